"""What belongs to a kernel and to none of its generations: its names and how they change."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import UserError
from ..recipe import dump
from . import kernelspec
from .atomic import read_json, write_json, write_text
from .lock import lock

if TYPE_CHECKING:
    from ..model import Generation
    from .owned import Owned
    from .store import Store

WAIT = 60.0  # seconds for another command that changes one of the two kernels


def rename(store: Store, owned: Owned, new: str, title: str | None, *, alias: bool) -> None:
    """Publish `owned` as `new`; with `alias` the old name starts the same kernel.

    The generations are told first: a kill in between leaves the kernel under its old name, and
    whatever is built from them later is published under the new one. Raises `kernel-exists`.
    """
    command = f"kernelwright rename {owned.name}"
    with contextlib.ExitStack() as locks:
        for name in sorted({owned.name, new}):
            locks.enter_context(lock(store.lock_path(name), command=command, wait=WAIT))
        check_unchanged(store, owned)
        if any(o.id != owned.id and new in (o.name, *o.aliases) for o in store.kernels()):
            raise exists(new)
        for generation in store.generations(owned.id):
            _tell(generation, new, title)
        shown = title or _title(owned, new)
        store.publish(new, {**owned.spec, "display_name": shown}, resources=owned.folder)
        if alias:
            spec = kernelspec.read(store.specs / new) or dict(owned.spec)
            kernelspec.write(owned.folder, kernelspec.alias(spec, owned.name, new))
        else:
            store.unpublish(owned.name)


def check_unchanged(store: Store, owned: Owned) -> None:
    """Raise `kernel-changed` (or `no-such-kernel`) where `owned` was renamed or removed before its lock was ours."""
    now = store.find(owned.name)
    if (now.name, now.id) != (owned.name, owned.id):
        raise UserError(
            "kernel-changed",
            f"`{owned.name}` was renamed or replaced by another command just now",
            hint="call this again",
        )


def with_settings_of(store: Store, owned: Owned, number: int) -> Generation:
    """Generation `number` with the names, description and launcher settings that `owned` has now.

    They belong to the kernel, not to one build of it, so that a rollback leaves them as they are.
    """
    generation = store.generation(owned.id, number)
    current = [g.recipe for g in store.generations(owned.id) if g.number == owned.number]
    now, then = (current or [generation.recipe])[0], generation.recipe
    same_launcher = (now.slurm is None) == (then.slurm is None)  # else launch.sh would differ
    recipe = replace(
        then,
        display_name=now.display_name,
        description=now.description,
        slurm=now.slurm if same_launcher else then.slurm,
    )
    write_text(generation.folder / "recipe.yml", dump(recipe))
    return replace(generation, recipe=recipe)


def exists(name: str) -> UserError:
    """The name is taken."""
    return UserError(
        "kernel-exists", f"you have a kernel called `{name}` already", hint="choose another name"
    )


def _title(owned: Owned, new: str) -> str:
    shown = str(owned.spec["display_name"])
    return new if shown == owned.name else shown


def _tell(generation: Generation, new: str, title: str | None) -> None:
    """What speaks of the kernel by name: the recipe, and the facts for notebooks and diagnoses."""
    recipe = generation.recipe
    named = replace(recipe, name=new, display_name=title or recipe.display_name)
    write_text(generation.folder / "recipe.yml", dump(named))
    facts = read_json(generation.folder / "entry.json")
    if isinstance(facts, dict):
        write_json(generation.folder / "entry.json", facts | {"name": new}, 0o644)
