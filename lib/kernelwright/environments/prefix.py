"""An environment that exists already, whoever made it: looked at, never written to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..model import Command, Made, PrefixSpec
from ..paths import expand_user
from . import layout, start

if TYPE_CHECKING:
    from ..errors import Problem
    from ..model import Recipe
    from ..progress import Progress
    from .base import Place


def make(recipe: Recipe, place: Place, progress: Progress) -> Made:
    """Look at the environment and record what is there; nothing is built or changed."""
    spec = recipe.environment
    assert isinstance(spec, PrefixSpec)  # noqa: S101 - the kind was chosen by the spec
    prefix = Path(expand_user(spec.path, place.home))
    progress.phase("probe", f"looking at {prefix}")
    if not prefix.is_dir():
        what = "is a file, not an environment folder" if prefix.exists() else "does not exist"
        raise UserError(
            "environment-missing",
            f"`{prefix}` {what}",
            hint="give the folder that holds `bin/` and `lib/`",
        )
    python = layout.interpreter(prefix)
    if recipe.language == "python" and not recipe.command:
        if python is None:
            raise UserError(
                "interpreter-not-found",
                f"there is no Python in `{prefix}`",
                hint="give the environment's own folder; for another language add --language",
            )
        if not layout.has_ipykernel(prefix):
            raise UserError(
                "ipykernel-missing",
                f"ipykernel is not installed in `{prefix}`",
                hint=f"install it there with `{python} -m pip install ipykernel`, then call this again",
            )
    elif not recipe.command and layout.language_command(prefix, recipe.language) is None:
        raise start.no_such_language(str(prefix), recipe.language)
    return Made(
        kind="prefix",
        language=recipe.language,
        prefix=str(prefix),
        interpreter=str(python) if python else None,
        facts={
            "python": layout.python_version(prefix),
            "conda": layout.is_conda(prefix),
            "packages": len(layout.distributions(prefix)),
        },
    )


def command(recipe: Recipe, made: Made) -> Command:
    """As the environment's own activation would have it, by absolute path."""
    assert made.prefix is not None  # noqa: S101 - make() always gives one
    if not made.facts.get("conda"):
        return start.command(recipe, made)
    prefix = Path(made.prefix)
    base = start.command(recipe, made)
    env = {
        "CONDA_PREFIX": made.prefix,
        "CONDA_DEFAULT_ENV": os.path.basename(made.prefix),
        **layout.conda_variables(prefix),
    }
    return Command(
        base.argv,
        env=env,
        path=base.path,
        hooks=layout.conda_hooks(prefix),
        interrupt_mode=base.interrupt_mode,
    )


def check(recipe: Recipe, made: Made) -> list[Problem]:
    """Whether the environment is still where it was."""
    return layout.check_prefix(made.prefix, made.interpreter, recipe.language)
