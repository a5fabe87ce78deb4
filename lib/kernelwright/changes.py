"""What differs between two generations, and what people put into an environment by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import environments
from .environments import layout
from .environments.base import Choice
from .errors import UserError
from .model import CondaSpec, VenvSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .builder import Builder
    from .model import Generation, Recipe
    from .store import Owned

SEEDED = {"pip", "setuptools", "wheel"}  # every venv has them, no lock names them


def difference(old: Generation, new: Generation) -> list[dict[str, Any]]:
    """Added, removed and changed packages, by name: `{change, name, old, new, size}`."""
    return compare(packages(old), packages(new))


def compare(before: Mapping[str, Choice], after: Mapping[str, Choice]) -> list[dict[str, Any]]:
    """The rows of a difference; `size` is that of the archive which comes, or goes, where it is known."""
    rows = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        versions = (old and old.version, new and new.version)
        if old and new and old.version == new.version and old.build and new.build:
            versions = (f"{old.version} {old.build}", f"{new.version} {new.build}")
        if versions[0] != versions[1]:
            change = "added" if old is None else "removed" if new is None else "changed"
            row = {"change": change, "name": name, "old": versions[0], "new": versions[1]}
            known = new or old
            rows.append(row | {"size": known.size if known else None})
    return rows


def packages(generation: Generation) -> dict[str, Choice]:
    """What is in the environment of a generation: conda records by their file names, and distributions."""
    if generation.made.prefix is None:  # a container: what the probe saw in the image
        versions = dict(generation.made.facts.get("versions") or {})
        return {str(k): Choice(str(v)) for k, v in versions.items()}
    prefix = Path(generation.made.prefix)
    listed = solved(generation)
    found = {}
    for path in (prefix / "conda-meta").glob("*.json"):
        match = re.fullmatch(r"(.+)-([^-]+)-([^-]+)\.json", path.name)
        if match:
            found[match[1]] = Choice(match[2], build=match[3])
    others = layout.distributions(prefix, by_conda=False)
    found = {name: Choice(version) for name, version in others.items()} | found
    return {k: _as_listed(v, listed.get(k)) for k, v in found.items()}


def _as_listed(present: Choice, listed: Choice | None) -> Choice:
    """The lock knows the size of what is there, unless it names something else."""
    if listed is None or listed.version != present.version:
        return present
    return replace(present, size=listed.size)


def drift(generation: Generation) -> list[dict[str, Any]]:
    """What was changed by hand since the build: present packages against those of the lock."""
    listed = solved(generation) if generation.made.kind == "venv" else {}
    if not listed:
        return []
    now = packages(generation)
    seen = {
        k: now.get(k, v) if v.version == "?" else v for k, v in listed.items()
    }  # an address names no version
    return compare(seen, {k: v for k, v in now.items() if k not in SEEDED})


def solved(generation: Generation) -> dict[str, Choice]:
    """What was chosen for a generation, from its lock; {} where there is none."""
    read = getattr(environments.kind(generation.made.kind), "locked", None)
    try:
        lock = generation.folder / (generation.made.lock or "requirements.lock")
        return dict(read(lock.read_text())) if read else {}
    except OSError:
        return {}


def by_hand(generation: Generation) -> list[dict[str, Any]]:
    """The rows of what `%pip install` added or changed: what a build from the lock would lack."""
    return [row for row in drift(generation) if row["change"] != "removed"]


def captured(generation: Generation) -> Recipe:
    """The recipe with what `%pip install` added or changed written down."""
    rows = by_hand(generation)
    if generation.made.kind != "venv":
        raise UserError(
            "cannot-capture",
            "only the packages of venv kernels can be captured",
            hint="name the packages: `kernelwright add NAME PACKAGE`",
        )
    return (
        with_packages(generation.recipe, tuple(f"{r['name']}=={r['new']}" for r in rows))
        if rows
        else generation.recipe
    )


def planned(builder: Builder, owned: Owned, recipe: Recipe) -> list[dict[str, Any]]:
    """What an update would change, by a solve alone; nothing is built or downloaded but metadata."""
    generation = builder.store.generation(owned.id, owned.number)
    solve = getattr(environments.kind(recipe.kind), "solve_only", None)
    if solve is None:
        raise UserError(
            "cannot-plan",
            f"the {recipe.kind} kernel `{owned.name}` has no packages that could change",
        )
    before = solved(generation)
    if recipe.kind == "container":  # what is in a newer image is known only once it is here
        before = {key: value for key, value in packages(generation).items() if key == "image"}
    return compare(before, solve(recipe, builder.place_for(owned, generation)))


def with_packages(recipe: Recipe, packages: tuple[str, ...]) -> Recipe:
    """`recipe` with more packages, in the way its kind names them; UserError `cannot-add` for others."""
    spec = recipe.environment
    stems = {_stem(p) for p in packages}
    if isinstance(spec, VenvSpec):
        kept = tuple(p for p in spec.requirements if _stem(p) not in stems)
        return replace(
            recipe, environment=replace(spec, requirements=(*kept, *packages), lock=None)
        )
    if isinstance(spec, CondaSpec):
        kept = tuple(p for p in spec.dependencies if _stem(p) not in stems)
        return replace(
            recipe, environment=replace(spec, dependencies=(*kept, *packages), lock=None)
        )
    raise UserError(
        "cannot-add",
        f"packages cannot be added to the {recipe.kind} kernel `{recipe.name}`",
        hint="its environment is not made by kernelwright: install them there, or make a conda or venv kernel",
    )


def _stem(requirement: str) -> str:
    import re

    name = re.match(r"(?:[^\s:]+::)?([A-Za-z0-9._-]+)", requirement)
    return re.sub(r"[-_.]+", "-", name[1]).lower() if name else requirement
