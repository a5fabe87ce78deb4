"""What is wrong with kernels, notebooks and accounts; and the repairs that have one right answer."""

from .diagnose import Diagnosis, diagnose, examine_kernel, quick

__all__ = ["Diagnosis", "diagnose", "examine_kernel", "quick"]
