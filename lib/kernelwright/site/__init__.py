"""What admins do beyond settings: make, try and import central kernels, and test the cluster."""
