"""Every kernel and environment that a user can see, read tolerantly; and the index of them."""

from .choose import named, refuse_untrusted, with_spec
from .index import value_of, write_index
from .scan import discover

__all__ = ["discover", "named", "refuse_untrusted", "value_of", "with_spec", "write_index"]
