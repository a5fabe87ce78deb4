"""A copy of a kernel under another name: of one's own, a shared or a central one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UserError
from .model import PrefixSpec, Recipe, with_lock
from .store import Store, kernelspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .config.model import SiteConfig


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
    from .recipe import load

    found = named(discover(home=home, environ=environ, site=site), source)
    for kernel in found:
        if kernel.state == "untrusted":
            continue
        folder = (
            Path(kernel.path).parent if kernel.path.endswith("kernel.json") else Path(kernel.path)
        )
        mine = kernelspec.ours(dict(kernel.spec))
        argv = kernel.spec.get("argv") or [""]
        generation = Path(str(argv[0])).parent
        if mine is not None and (generation / "recipe.yml").is_file():
            recipe = load(
                (generation / "recipe.yml").read_text(), source=str(generation / "recipe.yml")
            )
            lock = next(
                (n for n in ("requirements.lock", "conda.lock") if (generation / n).is_file()), None
            )
            return _named(recipe, generation, lock, name, title)
        prefix = Path(str(argv[0])).parent.parent
        if Path(str(argv[0])).is_absolute() and (prefix / "bin").is_dir():
            return Recipe(
                name,
                PrefixSpec(str(prefix)),
                display_name=title or f"{kernel.display_name} (copy)",
                language=kernel.language,
            )
        raise UserError(
            "cannot-clone",
            f"`{source}` was not made by kernelwright and has no environment of its own",
            context={"kernelspec": str(folder)},
            hint=f"`kernelwright adopt {source}` takes a kernel of yours into care first",
        )
    if found:
        refuse_untrusted(found[0])
    raise UserError(
        "no-such-kernel",
        f"there is no kernel called `{source[:80]}` that you may use",
        hint="`kernelwright list` shows what there is",
    )
