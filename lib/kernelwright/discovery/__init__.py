"""Every kernel and environment that a user can see, read tolerantly; and the index of them."""

from .index import value_of, write_index
from .scan import discover

__all__ = ["discover", "value_of", "write_index"]
