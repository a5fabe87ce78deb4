"""The environment kinds, by name. A new kind is one file and one row here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import Kind

KINDS = {
    "conda": "conda",
    "venv": "venv",
    "container": "container",
    "script": "script",
    "prefix": "prefix",
}


def kind(name: str) -> Kind:
    """The kind called `name`, which a validated recipe holds; imported only now."""
    return importlib.import_module(f".{KINDS[name]}", __package__)
