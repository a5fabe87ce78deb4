"""The contract of an environment kind, and what it is given.

A kind is one module (or small package) with the three functions of `Kind`, named in the dict literal
of environments/__init__.py. It knows neither kernels nor kernel.json: `builder` brings them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeAlias

    from ..config.model import SiteConfig
    from ..errors import Problem
    from ..model import Command, Made, Recipe
    from ..progress import Progress

    Chosen: TypeAlias = Callable[[Mapping[str, "Choice"]], None]


@dataclass(frozen=True)
class Choice:
    """A package that was chosen: its version, and the bytes of its archive where these are known.

    `build` is conda's: the same version built anew, against other libraries say, is another package.
    """

    version: str
    size: int | None = None
    build: str = ""


def tell_nobody(choices: Mapping[str, Choice]) -> None:
    """Nobody asked what was chosen."""


@dataclass(frozen=True)
class Place:
    """Where a build may write and what surrounds it.

    `prefix` is the final folder of the environment (on the site's storage, not there yet); `keep` is
    the generation's folder in the user's HOME for locks and logs, where the kind may write files of
    its own; `runtime` is the folder of our runtime (its venv holds uv, ipykernel and argon2). `chosen`
    is told the packages by name, before the first byte of them is fetched.
    """

    prefix: Path
    keep: Path
    home: Path
    environ: Mapping[str, str]
    site: SiteConfig
    runtime: Path
    chosen: Chosen = tell_nobody


class Kind(Protocol):
    """What every environment kind answers."""

    def make(self, recipe: Recipe, place: Place, progress: Progress) -> Made:
        """Build or find the environment; may write below `place` only. Raises UserError.

        Called by `builder` under the kernel's lock. A second call after a kill completes the first.
        """

    def command(self, recipe: Recipe, made: Made) -> Command:
        """How the kernel starts; pure, called by launch (rendering) and by doctor (comparison)."""

    def check(self, recipe: Recipe, made: Made) -> list[Problem]:
        """Look at the environment from outside, in milliseconds, starting no process."""
