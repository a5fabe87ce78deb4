"""Conda environments: solved and installed by ourselves, locked exactly; no conda has to exist.

`engine` is the only module that knows rattler; everything here speaks in plain values.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import Problem
from ...model import Command
from .. import layout, start

if TYPE_CHECKING:
    from ...model import Made, Recipe
    from ...progress import Progress
    from ..base import Choice, Place

__all__ = ["check", "command", "locked", "make", "solve_only"]


def make(recipe: Recipe, place: Place, progress: Progress) -> Made:
    """Solve (or read the lock), download, link and record; a second call completes a killed first."""
    from .build import make as build

    return build(recipe, place, progress)


def solve_only(recipe: Recipe, place: Place) -> dict[str, Choice]:
    """The packages that a build would choose now; `update --dry-run` compares them."""
    from .choose import solve_only as solve

    return solve(recipe, place)


def locked(text: str) -> dict[str, Choice]:
    """The packages of a lock that this kind wrote, those of the pip part left out."""
    from . import choose, lock

    return choose.by_name(lock.load(text, source="the lock").packages)


def command(recipe: Recipe, made: Made) -> Command:
    """What conda's own activation would do, written down when the environment was made."""
    assert made.prefix is not None  # noqa: S101 - make() always gives one
    base = start.command(recipe, made)
    variables = {str(k): str(v) for k, v in dict(made.facts.get("variables") or {}).items()}
    env = {"CONDA_PREFIX": made.prefix, "CONDA_DEFAULT_ENV": recipe.name, **variables}
    hooks = tuple(str(hook) for hook in made.facts.get("hooks") or ())
    return Command(
        base.argv, env=env, path=base.path, hooks=hooks, interrupt_mode=base.interrupt_mode
    )


def check(recipe: Recipe, made: Made) -> list[Problem]:
    """Whether the environment is there, whole, and made for a node like this one."""
    found = layout.check_prefix(made.prefix, made.interpreter, recipe.language)
    if any(problem.code == "environment-missing" for problem in found):
        return found
    from . import manifest

    path = made.facts.get("manifest")
    gone = (
        manifest.missing(Path(str(made.prefix)), Path(str(path)))
        if path and os.path.exists(str(path))
        else []
    )
    if gone:
        found = [
            Problem(
                "environment-purged",
                "error",
                f"files of the environment are gone (`{gone[0]}` and {len(gone) - 1} more of those looked at): partly purged",
                "`kernelwright repair NAME` rebuilds it from its lock",
                evidence=str(made.prefix),
            )
        ]
    return found
