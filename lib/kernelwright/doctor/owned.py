"""Checks of the kernels that we made: the generation, its environment, the node that it was built for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import environments, node
from ..errors import Problem, UserError
from ..model import Made
from ..recipe import load
from ..store.atomic import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..model import Recipe
    from .subject import Subject

FILES = ("launch.sh", "start.sh", "entry.py")


def check_owned(subject: Subject) -> Iterator[Problem]:
    """Everything that can be said of one of our kernels without starting it."""
    folder = subject.generation
    if not subject.kernel.owned or folder is None:
        return
    name = subject.kernel.name
    if not os.path.isdir(folder):
        text = f"the files of kernel `{name}` in `{folder}` are gone"
        yield Problem(
            "generation-missing", "error", text, f"`kernelwright rollback {name}`, or make it again"
        )
        return
    yield from _files(folder, name)
    recipe = recipe_of(folder)
    if recipe is None:
        text = f"`{folder}/recipe.yml` is missing or cannot be read"
        yield Problem(
            "recipe-unreadable",
            "error",
            text,
            f"`kernelwright repair {name}` takes it from another generation",
        )
        return
    yield from _environment(subject, recipe)
    facts = read_json(folder / "facts.json")
    reason = (
        node.mismatch(facts) if isinstance(facts, dict) and recipe.kind != "container" else None
    )
    if reason:
        hint = f"choose another kind of node, or `kernelwright update {name}` here"
        yield Problem("built-for-another-node", "warning", f"kernel `{name}`: {reason}", hint)


def _files(folder: Path, name: str) -> Iterator[Problem]:
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        text = f"`{folder / missing[0]}` is gone, with which the kernel starts"
        yield Problem(
            "launch-script-missing", "error", text, f"`kernelwright repair {name}` writes it again"
        )
    elif not os.access(folder / "launch.sh", os.X_OK):
        text = f"`{folder / 'launch.sh'}` may not be run"
        yield Problem(
            "script-not-executable", "error", text, f"`kernelwright repair {name}` mends it"
        )
    if not (folder / "complete").exists():
        text = f"the build of kernel `{name}` was not finished"
        yield Problem(
            "generation-incomplete", "error", text, f"`kernelwright update {name}` builds it again"
        )


def recipe_of(folder: Path) -> Recipe | None:
    """The recipe of a generation, None where it cannot be read."""
    try:
        return load((folder / "recipe.yml").read_text(), source=str(folder / "recipe.yml"))
    except (OSError, ValueError, UserError):
        return None


def made_of(values: dict[str, object]) -> Made | None:
    """made.json as the value that kinds take; None where it is not sound."""
    known = {key: values[key] for key in Made.__dataclass_fields__ if key in values}
    try:
        return Made(**known)  # type: ignore[arg-type] # our own file; the kinds check what they use
    except TypeError:
        return None


def _environment(subject: Subject, recipe: Recipe) -> Iterator[Problem]:
    made = made_of(subject.made)
    if made is None:
        text = f"`{subject.generation}/made.json` is missing or cannot be read"
        yield Problem(
            "generation-incomplete",
            "error",
            text,
            f"`kernelwright update {subject.kernel.name}` builds it again",
        )
        return
    known = {p.code for p in subject.kernel.problems}
    try:
        found = environments.kind(made.kind).check(recipe, made)
    except (KeyError, ImportError, OSError, AssertionError):
        return
    for problem in found:
        if problem.code not in known:
            hint = (problem.hint or "").replace("NAME", subject.kernel.name) or None
            yield Problem(problem.code, problem.severity, problem.message, hint, problem.evidence)
