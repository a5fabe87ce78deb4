"""A copy of a kernel under another name: of one's own, a shared or a central one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UserError
from .model import PrefixSpec, Recipe, with_lock
from .recipe import load
from .store import Store, kernelspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .config.model import SiteConfig
    from .model import Kernel

LOCKS = ("requirements.lock", "conda.lock")


def clone_recipe(
    source: str,
    name: str,
    title: str | None,
    *,
    home: Path,
    environ: Mapping[str, str],
    site: SiteConfig,
) -> Recipe:
    """The recipe for a copy of the kernel `source`, built from its lock so that versions stay.

    Shared and central kernels are found as `list` names them; the copy belongs to the user.
    """
    store = Store(home, site, environ)
    try:
        owned = store.find(source)
    except UserError:
        return _of_others(source, name, title, home=home, environ=environ, site=site)
    generation = store.generation(owned.id, owned.number)
    return _named(generation.recipe, generation.folder, generation.made.lock, name, title)


def _named(recipe: Recipe, folder: Path, lock: str | None, name: str, title: str | None) -> Recipe:
    shown = title or (f"{recipe.title} (copy)" if recipe.display_name else None)
    copy = replace(recipe, name=name, display_name=shown)
    return with_lock(copy, str(folder / lock)) if lock else copy


def _of_others(
    source: str,
    name: str,
    title: str | None,
    *,
    home: Path,
    environ: Mapping[str, str],
    site: SiteConfig,
) -> Recipe:
    from .discovery import discover, named, refuse_untrusted

    found = named(discover(home=home, environ=environ, site=site), source)
    usable = [kernel for kernel in found if kernel.state != "untrusted"]
    if usable:
        return _copy_of(usable[0], name, title)
    if found:
        refuse_untrusted(found[0])
    raise UserError(
        "no-such-kernel",
        f"there is no kernel called `{source[:80]}` that you may use",
        hint="`kernelwright list` shows what there is",
    )


def _copy_of(kernel: Kernel, name: str, title: str | None) -> Recipe:
    """By the recipe and lock beside its launch script; else over the environment that its argv names."""
    argv = kernel.spec.get("argv") or [""]
    program = Path(str(argv[0]))
    generation, prefix = program.parent, program.parent.parent
    recipe = generation / "recipe.yml"
    if kernelspec.ours(dict(kernel.spec)) is not None and recipe.is_file():
        lock = next((n for n in LOCKS if (generation / n).is_file()), None)
        return _named(load(recipe.read_text(), source=str(recipe)), generation, lock, name, title)
    if program.is_absolute() and (prefix / "bin").is_dir():
        shown = title or f"{kernel.display_name} (copy)"
        return Recipe(name, PrefixSpec(str(prefix)), display_name=shown, language=kernel.language)
    raise UserError(
        "cannot-clone",
        f"`{kernel.name}` was not made by kernelwright and has no environment of its own",
        context={"kernelspec": kernel.path},
        hint=f"`kernelwright adopt {kernel.name}` takes a kernel of yours into care first",
    )
