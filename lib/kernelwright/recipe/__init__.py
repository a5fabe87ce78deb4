r"""Recipe <-> file: read with line numbers, validate, write, hash.

>>> load("version: 1\nname: a\nenvironment: {venv: {}}", source="demo").kind
'venv'
"""

from .names import check_name, check_title, propose_name
from .parse import from_mapping
from .text import dump, load, recipe_hash, to_mapping

__all__ = [
    "check_name",
    "check_title",
    "dump",
    "from_mapping",
    "load",
    "propose_name",
    "recipe_hash",
    "to_mapping",
]
