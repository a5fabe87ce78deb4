"""Repairs of the kernels that we made: launch files, an environment that was purged, a lost kernel.json."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..launch.render import write
from ..model import Generation, PrefixSpec
from ..recipe import dump
from ..store import Owned, Store, kernelspec, write_text
from . import environment
from .install import install_ipykernel, own_folder
from .owned import made_of, recipe_of
from .search import find_moved
from .steps import Outcome, Step, diff
from .subject import text_of

if TYPE_CHECKING:
    from ..model import Made, Recipe
    from ..progress import Progress
    from .diagnose import Diagnosis
    from .subject import Around, Subject

GONE = frozenset(
    {
        "environment-missing",
        "interpreter-not-found",
        "base-python-missing",
        "ipykernel-missing",
        "image-not-found",
        "image-missing",
        "image-unusable",
    }
)
SPOILT = GONE | {"environment-damaged"}
FILES = frozenset({"launch-script-missing", "script-not-executable"})


def plan(one: Subject, found: Diagnosis, progress: Progress, prefix: str | None) -> list[Step]:
    """The steps for one of our kernels."""
    folder = one.generation
    recipe = recipe_of(folder) if folder else None
    made = made_of(one.made)
    if folder is not None and recipe is None:
        return _recipe_from_others(one, folder)
    if folder is None or recipe is None or made is None:
        return []
    errors = {p.code for p in found.problems if p.severity == "error"}
    if "environment-closed" in errors and made.prefix and _is_mine(made.prefix):
        prefix_folder = Path(made.prefix)
        text = f"let its owner into {prefix_folder}"
        mode = 0o700 | prefix_folder.stat().st_mode & 0o7777
        return [Step("environment-closed", text, lambda: prefix_folder.chmod(mode))]
    if errors & FILES:
        return [_launch_files(one, folder, recipe, made)]
    if isinstance(recipe.environment, PrefixSpec) and "ipykernel-missing" in errors and not prefix:
        return _ipykernel(one, made, progress)
    if prefix is not None or (isinstance(recipe.environment, PrefixSpec) and errors & GONE):
        return _repoint(one, recipe, progress, prefix)
    if errors & SPOILT and recipe.kind in {"venv", "conda", "container"}:
        return [environment.again(one, recipe, made, progress)]
    return []


def _recipe_from_others(one: Subject, folder: Path) -> list[Step]:
    """The recipe of the nearest generation that has one."""
    around = one.around
    others = Store(around.home, around.site, around.environ).generations(folder.parent.name)
    if not others:
        return []
    other = others[-1]
    text = f"take the recipe of generation {other.number}"
    path = folder / "recipe.yml"
    return [Step("recipe-unreadable", text, lambda: write_text(path, dump(other.recipe)))]


def _is_mine(folder: str) -> bool:
    return os.stat(folder).st_uid == os.getuid()


def forget_problems(one: Subject) -> None:
    """What was written about starts that failed before the repair."""
    for path in (one.generation / "starts").glob("*.problem") if one.generation else ():
        path.unlink(missing_ok=True)


def _ipykernel(one: Subject, made: Made, progress: Progress) -> list[Step]:
    """An environment of the user's own lost ipykernel: it is installed there again."""
    python = made.interpreter
    if python is None or made.prefix is None or not own_folder(os.path.realpath(made.prefix)):
        return []
    text = f"install ipykernel into {made.prefix}"
    return [
        Step("ipykernel-missing", text, lambda: install_ipykernel(python, one.around, progress))
    ]


def _repoint(one: Subject, recipe: Recipe, progress: Progress, prefix: str | None) -> list[Step]:
    """A kernel over somebody's environment that was moved: the recipe gets its new place."""
    spec = recipe.environment
    if not isinstance(spec, PrefixSpec):
        raise UserError(
            "not-a-prefix-kernel",
            f"the environment of `{recipe.name}` is made by kernelwright and has no other place",
            hint=f"`kernelwright repair {recipe.name}` makes it again",
        )
    old = Path(one.made.get("prefix") or spec.path)
    places = (
        [Path(os.path.abspath(os.path.expanduser(prefix)))]
        if prefix
        else find_moved(old, one.around)
    )
    if len(places) != 1:
        return []
    changed = replace(recipe, environment=PrefixSpec(str(places[0])))
    text = f"start the environment in {places[0]}, which was {old}"
    return [Step("environment", text, lambda: environment.next_generation(one, changed, progress))]


def _launch_files(one: Subject, folder: Path, recipe: Recipe, made: Made) -> Step:
    files = environment.launch_files(one, folder, recipe, made)
    shown = []
    for name, text in files.items():
        path = folder / name
        old = text_of(str(path)) if os.access(path, os.R_OK) else ""
        if old != text:
            shown.append(diff(old, text, path) if old else f"+ {path}")

    return Step(
        "launch",
        f"write the start script of `{recipe.name}` again",
        lambda: write(folder, files),
        "\n".join(shown),
        tuple(folder / name for name in files if os.access(folder / name, os.R_OK)),
    )


def restore(name: str, around: Around, progress: Progress, *, dry_run: bool) -> Outcome:
    """A kernel of ours whose kernel.json is gone: publish its newest generation again.

    Raises UserError `no-such-kernel` when no generation carries that name.
    """
    store = Store(around.home, around.site, around.environ)
    lost = lost_generation(name, store)
    if lost is None:
        store.find(name)  # raises with the nearest names
        raise UserError("no-such-kernel", f"there is no kernel called `{name[:80]}`")
    step = publish_step(name, lost, store, around, progress)
    if not dry_run:
        step.apply()
    return Outcome(name, (step,), dry_run=dry_run)


def publish_step(
    name: str, lost: Generation, store: Store, around: Around, progress: Progress
) -> Step:
    """Publish a generation under its name again; a broken kernel.json is moved to the backups first."""
    folder = store.specs / name

    def apply() -> None:
        if os.path.lexists(folder):
            progress.note(
                f"what was there is now in {kernelspec.move_to_backup(folder, store.backups)}"
            )
        spec: dict[str, Any] = {"metadata": {"kernelwright": {"recipe_hash": ""}}}
        owned = Owned(name, lost.kernel_id, folder, spec, lost.number)
        environment.builder_for(around, progress).switch(owned, lost.number)

    return Step("kernelspec", f"publish generation {lost.number} of `{name}` again", apply)


def lost_generation(name: str, store: Store) -> Generation | None:
    """The newest complete generation of a kernel of ours that no kernelspec leads to any more."""
    published = {owned.id for owned in store.kernels()}
    try:
        ids = sorted(os.listdir(store.data / "kernels"))
    except OSError:
        return None
    found = []
    for kernel_id in ids:
        if kernel_id in published:
            continue
        found += [g for g in store.generations(kernel_id)[-1:] if g.recipe.name == name]
    return max(found, key=lambda g: g.created, default=None)
