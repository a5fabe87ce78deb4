"""The site's settings: read, checked, and compiled for those who only read JSON."""

from .effective import load_effective, read_catalog

__all__ = ["load_effective", "read_catalog"]
