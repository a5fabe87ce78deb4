"""Each effective value with its source: `site show`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .decode import encode
from .keys import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .loaded import KeyPath, Loaded
    from .model import SiteConfig
    from .table import Key


@dataclass(frozen=True)
class Row:
    """One key: `source` is file:line:column, `default`, or the path of the catalog."""

    key: str
    value: Any
    source: str

    @property
    def text(self) -> str:
        """The value as it would stand in a file."""
        return (
            self.value
            if isinstance(self.value, str)
            else json.dumps(self.value, ensure_ascii=False)
        )

    def as_json(self) -> dict[str, Any]:
        """One element of `values` in `site show --json`."""
        return {"key": self.key, "value": self.value, "source": self.source}


def rows(site: SiteConfig, loaded: Loaded | None, otherwise: str) -> list[Row]:
    """Every key in the table's order. Without the site's files every source is `otherwise`."""
    values = encode(site) | {"kernels": list(site.kernels), "templates": list(site.templates)}
    return list(_rows(TABLE.keys, values, (), loaded, otherwise))


def _rows(
    keys: Mapping[str, Key],
    values: Mapping[str, Any],
    path: KeyPath,
    loaded: Loaded | None,
    otherwise: str,
) -> Iterator[Row]:
    for name, key in keys.items():
        here = (*path, name)
        value = values.get(name)
        if key.kind == "section" and isinstance(value, dict) and key.make:
            yield from _rows(key.keys, value, here, loaded, otherwise)
        elif key.by and value:
            for entry in value:
                yield Row(
                    ".".join((*here, str(entry[key.by]))),
                    _short(entry),
                    _source(loaded, (*here, str(entry[key.by])), otherwise),
                )
        else:
            yield Row(".".join(here), value, _source(loaded, here, otherwise))


def _short(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value not in (None, [], (), {})}


def _source(loaded: Loaded | None, path: KeyPath, otherwise: str) -> str:
    if loaded is None:
        return otherwise
    spot = loaded.spots.get(path)
    return str(spot) if spot else "default"
