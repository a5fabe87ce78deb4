"""Kernels that go to other people: one file, a group's folder, or a request to the site."""
