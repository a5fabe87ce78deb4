"""What differs between two generations, and what people put into an environment by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environments import layout
from .errors import UserError
from .model import CondaSpec, VenvSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .builder import Builder
    from .model import Generation, Recipe
    from .store import Owned


def difference(old: Generation, new: Generation) -> list[dict[str, Any]]:
    """Added, removed and changed packages, by name: `{change, name, old, new}`."""
    return compare(packages(old), packages(new))


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of a difference between two mappings of package to version."""
    rows = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            change = "added" if old is None else "removed" if new is None else "changed"
            rows.append({"change": change, "name": name, "old": old, "new": new})
    return rows


def packages(generation: Generation) -> dict[str, str]:
    """What is in the environment of a generation: conda records by their file names, else distributions."""
    if generation.made.prefix is None:  # a container: what the probe saw in the image
        return {
            str(k): str(v) for k, v in dict(generation.made.facts.get("versions") or {}).items()
        }
    prefix = Path(generation.made.prefix)
    found = {}
    for path in (prefix / "conda-meta").glob("*.json"):
        match = re.fullmatch(r"(.+)-([^-]+)-[^-]+\.json", path.name)
        if match:
            found[match[1]] = match[2]
    return found | {k: v for k, v in layout.distributions(prefix).items() if k not in found}


def drift(generation: Generation) -> list[dict[str, Any]]:
    """What was changed by hand since the build: present packages against those of the lock."""
    if generation.made.kind != "venv":
        return []
    locked = _locked(generation)
    if locked is None:
        return []
    now = {k: v for k, v in packages(generation).items() if k not in {"pip", "setuptools", "wheel"}}
    return compare(locked, now)


def _locked(generation: Generation) -> dict[str, str] | None:
    try:
        text = (generation.folder / (generation.made.lock or "requirements.lock")).read_text()
    except OSError:
        return None
    found = {}
    for name, version in re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE
    ):
        found[re.sub(r"[-_.]+", "-", name).lower()] = version
    for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])? @ ", text, re.MULTILINE):
        plain = re.sub(r"[-_.]+", "-", name).lower()
        found[plain] = packages(generation).get(plain, "?")
    return found


def captured(generation: Generation) -> Recipe:
    """The recipe with what `%pip install` added or changed written down."""
    rows = [r for r in drift(generation) if r["change"] != "removed"]
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
    from . import environments

    generation = builder.store.generation(owned.id, owned.number)
    solve = getattr(environments.kind(recipe.kind), "solve_only", None)
    if solve is None:
        raise UserError(
            "cannot-plan",
            f"the {recipe.kind} kernel `{owned.name}` has no packages that could change",
        )
    before = _locked(generation) if recipe.kind == "venv" else packages(generation)
    if recipe.kind == "container":  # what is in a newer image is known only once it is here
        before = {key: value for key, value in packages(generation).items() if key == "image"}
    return compare(before or {}, solve(recipe, builder.place_for(owned, generation)))


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
