"""Plain values (of the files, or of catalog.json) <-> SiteConfig. No YAML here."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .keys import TABLE
from .model import SiteConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .table import Key

FITS: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "flag": bool,
    "integer": int,
    "number": (int, float),
    "list": (list, tuple),
    "map": dict,
    "section": dict,
}


def decode(values: Mapping[str, Any]) -> SiteConfig:
    """The settings; what is missing, unknown or of the wrong type leaves the default.

    Kernels and templates are passed on as they are: catalog knows them.
    """
    plain = {
        name: _decoded(key, values[name])
        for name, key in TABLE.keys.items()
        if name in values and name not in {"kernels", "templates"} and _fits(key, values[name])
    }
    for name in ("kernels", "templates"):
        found = values.get(name)
        plain[name] = (
            tuple(item for item in found if isinstance(item, dict))
            if isinstance(found, list | tuple)
            else ()
        )
    return SiteConfig(**plain)


def _fits(key: Key, value: Any) -> bool:
    if value is None:
        return key.may_be_null
    if key.kind == "free":
        return True
    if key.kind == "text" and key.keys and isinstance(value, dict):
        return all(name in value for name, inner in key.keys.items() if inner.required)
    if key.kind != "flag" and isinstance(value, bool):
        return False
    return isinstance(value, FITS[key.kind])


def _decoded(key: Key, value: Any) -> Any:
    if value is None:
        return None
    if key.kind == "list" and key.item:
        return tuple(_decoded(key.item, item) for item in value if _fits(key.item, item))
    if key.kind == "map" and key.item:
        return {
            str(name): _decoded(key.item, item)
            for name, item in value.items()
            if _fits(key.item, item)
        }
    if key.keys and isinstance(value, dict):
        known = {
            n: _decoded(k, value[n])
            for n, k in key.keys.items()
            if n in value and _fits(k, value[n])
        }
        return key.make(**known) if key.make else known
    return value


def encode(site: SiteConfig) -> dict[str, Any]:
    """Every effective value as plain data, kernels and templates left out."""
    found: dict[str, Any] = _plain(asdict(site))
    del found["kernels"], found["templates"]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
