"""How the kernel of an environment starts: by absolute path, whoever made the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..model import Command
from . import layout

if TYPE_CHECKING:
    from ..model import Made, Recipe

LAUNCHER = ("-m", "ipykernel_launcher", "-f", "{connection_file}")


def command(recipe: Recipe, made: Made) -> Command:
    """The environment's own interpreter by absolute path; other languages by their kernelspec in it."""
    assert made.prefix is not None  # noqa: S101 - make() always gives one
    bin_folder = os.path.join(made.prefix, "bin")
    env = {"VIRTUAL_ENV": made.prefix}
    if recipe.language == "python" and not recipe.command:
        return Command((str(made.interpreter), *LAUNCHER), env=env, path=(bin_folder,))
    argv = recipe.command or layout.language_command(Path(made.prefix), recipe.language)
    if argv is None:
        raise no_such_language(made.prefix, recipe.language)
    return Command(argv, env=env, path=(bin_folder,))


def no_such_language(prefix: str, language: str) -> UserError:
    """No kernelspec in the prefix speaks the language that the recipe asks for."""
    known = sorted({str(s.get("language")) for s in layout.kernelspecs(Path(prefix)).values()})
    return UserError(
        "language-not-found",
        f"no kernel for the language `{language}` lies in `{prefix}`",
        context={"languages there": ", ".join(known) or "none"},
        hint="install that language's kernel package in the environment, or give the start command in the recipe's `command`",
    )
