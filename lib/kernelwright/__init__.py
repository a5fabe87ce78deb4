"""Make, find, trust and run Jupyter kernels on HPC clusters."""

__version__ = "1.0.0"
