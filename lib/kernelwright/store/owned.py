"""The kernels that we made, as their kernelspecs name them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import kernelspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Owned:
    """A kernel that we made for this user: its id, its published name and its kernel.json."""

    name: str
    id: str
    folder: Path
    spec: Mapping[str, Any]
    number: int
    aliases: tuple[str, ...] = ()

    @property
    def recipe_hash(self) -> str:
        """By which the same request finds this kernel again."""
        return str(self.spec["metadata"]["kernelwright"].get("recipe_hash", ""))


def read_owned(specs: Path) -> list[Owned]:
    """Every kernel of ours in a folder of kernelspecs, by name; aliases are joined to their kernel."""
    found: list[Owned] = []
    aliases: dict[str, list[str]] = {}
    for name in _folders(specs):
        spec = kernelspec.read(specs / name)
        mine = kernelspec.ours(spec)
        if spec is None or mine is None:
            continue
        if mine.get("alias_of"):
            aliases.setdefault(mine["id"], []).append(name)
            continue
        number = mine.get("generation")
        found.append(
            Owned(name, mine["id"], specs / name, spec, number if isinstance(number, int) else 0)
        )
    return [replace(o, aliases=tuple(aliases.get(o.id, ()))) for o in found]


def aliases_of(specs: Path, kernel_id: str) -> list[str]:
    """The former names under which old notebooks still find the kernel."""
    known = ((name, kernelspec.ours(kernelspec.read(specs / name))) for name in _folders(specs))
    return [n for n, mine in known if mine and mine["id"] == kernel_id and mine.get("alias_of")]


def published_numbers(specs: Path, kernel_id: str) -> set[int]:
    """The generations that a kernelspec starts, be it under the kernel's name or under an alias."""
    known = (kernelspec.ours(kernelspec.read(specs / name)) for name in _folders(specs))
    return {mine.get("generation", 0) for mine in known if mine and mine["id"] == kernel_id}


def _folders(specs: Path) -> list[str]:
    try:
        with os.scandir(specs) as entries:
            return sorted(e.name for e in entries if e.is_dir())
    except OSError:
        return []
