"""Starting kernels: launch.sh, the in-environment entry, the diagnostic kernel, the start test."""
