"""The session's own kernelspecs: central and group kernels, and the chosen one, under names that are unique.

Jupyter knows flat names only and the first folder of its search path wins. A name that the user's own kernel
has stays the user's; the central one is then `site.NAME`, the group's `group.G.NAME`. The names depend on
nothing else, so that a notebook finds its kernel in the next session too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..store import kernelspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ..errors import Problem

RESOURCES = re.compile(r"(logo-[A-Za-z0-9x_-]{1,40}\.(png|svg)|kernel\.(js|css))")


@dataclass(frozen=True)
class Offer:
    """A kernel that others made and everybody (or a group) may use: where it lies and what it is called."""

    name: str
    folder: Path
    group: str | None = None
    label: str | None = None

    @property
    def value(self) -> str:
        """How the form names it."""
        return f"site:{self.name}" if self.group is None else f"group:{self.group}/{self.name}"

    @property
    def long_name(self) -> str:
        """The name where the plain one is taken: `site.NAME` or `group.G.NAME`, in Jupyter's alphabet."""
        middle = "" if self.group is None else f"{re.sub(r'[^a-z0-9_-]', '-', self.group.lower())}."
        return ("site." if self.group is None else "group.") + middle + self.name.lower()


def names(offers: Iterable[Offer], taken: Iterable[str]) -> dict[str, str]:
    """The name of each offer in Jupyter, by its value: central kernels first, groups in order of name.

    A name that two groups use belongs to neither.
    """
    used = {name.lower() for name in taken}
    ordered = sorted(offers, key=lambda offer: (offer.group is not None, offer.value))
    shared = [o.name.lower() for o in ordered if o.group is not None]
    found: dict[str, str] = {}
    for offer in ordered:
        plain = offer.name.lower()
        contested = offer.group is not None and shared.count(plain) > 1
        name = offer.long_name if plain in used or contested else plain
        if name in used:
            continue
        used.add(name)
        found[offer.value] = name
    return found


def write_offer(kernels: Path, name: str, offer: Offer) -> bool:
    """Write the kernelspec of an offer as `name`; False where its kernel.json is not sound."""
    spec = sound(offer.folder)
    if spec is None:
        return False
    if offer.label:
        spec["display_name"] = offer.label
    elif offer.group is not None:
        spec["display_name"] = f"{spec['display_name']} ({offer.group})"
    write(kernels / name, spec, offer.folder)
    return True


def sound(folder: Path) -> dict[str, Any] | None:
    """The kernel.json of a folder if Jupyter can start it: argv of texts, a display name, a language."""
    spec = kernelspec.read(folder)
    if spec is None:
        return None
    argv = spec.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        return None
    spec["display_name"] = (
        spec["display_name"] if isinstance(spec.get("display_name"), str) else folder.name
    )
    spec["language"] = spec["language"] if isinstance(spec.get("language"), str) else ""
    return spec


def write(folder: Path, spec: dict[str, Any], resources: Path | None = None) -> None:
    """Write a kernelspec into the session's folder, which nobody reads yet; logos are linked."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if resources is not None:
        spec = {**spec, "argv": [w.replace("{resource_dir}", str(resources)) for w in spec["argv"]]}
        for entry in _resources(resources):
            with contextlib.suppress(FileExistsError):
                os.symlink(resources / entry, folder / entry)
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


@dataclass(frozen=True)
class Unmade:
    """A kernel that could not be made: what it would have been called, why there is none, and its log."""

    name: str
    label: str
    problem: Problem
    log: str = ""
    language: str = "python"


def diagnostic(kernels: Path, unmade: Unmade, runtime: Path) -> None:
    """Write a kernelspec that opens as the diagnostic kernel and says why the wanted one is not there."""
    folder = kernels / unmade.name
    folder.mkdir(mode=0o700, exist_ok=True)
    answer = {
        "version": 1,
        "kernel": unmade.name,
        "display_name": unmade.label,
        "language": unmade.language,
        "problem": unmade.problem.as_json(),
        "log": unmade.log,
        "runtime": str(runtime),
    }
    (folder / "problem.json").write_text(json.dumps(answer), encoding="utf-8")
    start = (str(runtime / "venv/bin/python"), "-I", "-m", "kernelwright.launch.diagnostic")
    spec = {
        "argv": [*start, str(folder / "problem.json"), "{connection_file}"],
        "display_name": f"{unmade.label} (could not be made)",
        "language": unmade.language,
        "interrupt_mode": "message",
        "metadata": {},
    }
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def describe(spec: Mapping[str, Any], fallback: str) -> str:
    """What people read: the display name on one line."""
    text = " ".join(str(spec.get("display_name") or fallback).split())
    return text[:120]


def _resources(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if RESOURCES.fullmatch(name)]
    except OSError:
        return []
