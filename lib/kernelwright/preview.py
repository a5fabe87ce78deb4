"""What a build would write, shown without building: `create ... --dry-run`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import environments
from .environments.base import Place
from .model import Made
from .paths import expand_user
from .recipe import dump

if TYPE_CHECKING:
    from .builder import Builder
    from .model import Recipe


def preview(builder: Builder, recipe: Recipe) -> dict[str, str]:
    """The files that a build would write, by name; nothing is changed and nothing is started."""
    from .launch.render import render

    builder.check_policy(recipe)
    folder = builder.store.data / "kernels/ID/1"
    prefix = builder.store.environments() / "ID/1/env"
    place = Place(prefix, folder, builder.home, builder.environ, builder.site, builder.runtime)
    made = _imagined(recipe, place)
    command = environments.kind(recipe.kind).command(recipe, made)
    files = render(
        recipe, command, generation=folder, runtime=builder.runtime, made=made, site=builder.site
    )
    shown = {"recipe.yml": dump(recipe), "launch.sh": files["launch.sh"]}
    if recipe.slurm is not None:
        from .slurm.script import render_script

        shown["sbatch"] = render_script(
            recipe.slurm, builder.site, generation=folder, name=recipe.name
        )
    return shown


def _imagined(recipe: Recipe, place: Place) -> Made:
    """What a build would most likely leave behind: enough to show the launch script beforehand."""
    path = getattr(recipe.environment, "path", None)
    prefix = expand_user(path, place.home) if path else str(place.prefix)
    facts: dict[str, Any] = {
        "image": getattr(recipe.environment, "image", None),
        "path": prefix if path else None,
        "dry_run": True,
    }
    if recipe.kind == "prefix":
        from .environments import layout

        facts["conda"] = layout.is_conda(Path(prefix))
    if imagined := getattr(environments.kind(recipe.kind), "imagined", None):
        facts |= imagined(recipe, place)
    return Made(
        recipe.kind, recipe.language, prefix, os.path.join(prefix, "bin/python"), facts=facts
    )
