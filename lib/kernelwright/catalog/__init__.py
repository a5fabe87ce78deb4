"""Central kernels and templates: the site's own recipes, as data."""

from .central import Central, Resolved, central, central_home, find, resolve
from .templates import answers_from_form, fill_in, instantiate
from .templates import find as template

__all__ = [
    "Central",
    "Resolved",
    "answers_from_form",
    "central",
    "central_home",
    "fill_in",
    "find",
    "instantiate",
    "resolve",
    "template",
]
