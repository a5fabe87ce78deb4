"""Checks of the kernels that we made: the generation, its environment, the node that it was built for."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .. import changes, environments, node
from ..environments import intact
from ..errors import Problem, UserError
from ..model import Generation, Made
from ..recipe import load
from ..store.atomic import read_json
from ..store.sharing import LAUNCH_FILES
from .subject import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..model import Recipe
    from .subject import Subject

RECENT = 7 * 86400.0  # seconds that a failed start is worth a note
PASSING = frozenset(  # what another start may well be spared
    {"address-in-use", "kernel-silent", "kernel-killed", "out-of-memory", "disk-full", "cpu-limit"}
)


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
        hint = f"`kernelwright repair {name}` takes it from another generation, if there is one"
        yield Problem("recipe-unreadable", "error", text, hint)
        return
    yield from _environment(subject, recipe)
    yield from _last_end(subject, recipe, folder)
    yield from _by_hand(subject, recipe)
    facts = read_json(folder / "facts.json")
    reason = (
        node.mismatch(facts) if isinstance(facts, dict) and recipe.kind != "container" else None
    )
    if reason:
        hint = f"choose another kind of node, or `kernelwright update {name}` here"
        yield Problem("built-for-another-node", "warning", f"kernel `{name}`: {reason}", hint)


def _files(folder: Path, name: str) -> Iterator[Problem]:
    launch = text_of(str(folder / "launch.sh"))
    needed = ("launch.sh", *(file for file in LAUNCH_FILES if file in launch))
    missing = [file for file in needed if not _has_content(folder / file)]
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


def _has_content(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


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


def _last_end(subject: Subject, recipe: Recipe, folder: Path) -> Iterator[Problem]:
    """How the kernel's last bad start or end was explained; the next start that answers forgets it."""
    records = [p for pattern in ("*.problem", "*.died") for p in (folder / "starts").glob(pattern)]
    newest = max(records, key=_changed, default=None)
    answer = read_json(newest) if newest else None
    told = answer.get("problem") if isinstance(answer, dict) else None
    if newest is None or not isinstance(told, dict) or _changed(newest) < time.time() - RECENT:
        return
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(_changed(newest)))
    text = f"{when}: {told.get('message')}"
    hint = told.get("hint") if isinstance(told.get("hint"), str) else None
    code = str(told.get("code"))
    lasting = newest.suffix == ".problem" and code not in PASSING
    yield Problem("last-start-failed", "error" if lasting else "note", text, hint, code)
    if lasting and recipe.kind == "venv":
        yield from _damage(subject)


def _damage(subject: Subject) -> Iterator[Problem]:
    """Files of the environment that are missing or cut; looked at only after a start that failed."""
    spoilt = intact.damaged(Path(subject.made.get("prefix") or "/nowhere"))
    files = [path for paths in spoilt.values() for path in paths]
    if files:
        text = (
            f"{len(files)} files of the environment are missing or damaged, among them `{files[0]}`"
        )
        hint = f"`kernelwright repair {subject.kernel.name}` builds it again from its lock"
        yield Problem("environment-damaged", "error", text, hint)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _by_hand(subject: Subject, recipe: Recipe) -> Iterator[Problem]:
    """Packages that `%pip install` put into an environment of ours: an update would lose them."""
    folder, made = subject.generation, made_of(subject.made)
    if folder is None or made is None or recipe.kind != "venv":
        return
    if not os.access(made.prefix or folder, os.R_OK | os.X_OK):
        return
    generation = Generation(folder.parent.name, 0, folder, recipe, made, 0.0, complete=True)
    rows = changes.by_hand(generation)
    if rows:
        name = subject.kernel.name
        text = (
            f"{len(rows)} packages were installed by hand: {', '.join(r['name'] for r in rows[:8])}"
        )
        hint = f"`kernelwright update {name} --capture` writes them into the recipe"
        yield Problem("packages-by-hand", "note", text, hint)


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
