"""Central kernels and templates: the site's own recipes, as data."""

from .central import Central, Resolved, central, central_home, find, resolve

__all__ = [
    "Central",
    "Resolved",
    "central",
    "central_home",
    "find",
    "resolve",
]
