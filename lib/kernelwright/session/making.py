"""Making the kernel that the form asked for, within the job: found again where it was made before, else built.

The same request builds once: a kernel is known by the hash of its recipe, two sessions at once share one
build by the kernel's lock, and Relaunch builds nothing. What was downloaded before a job ended is used again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UserError
from . import job, recipes
from .card import CardProgress

if TYPE_CHECKING:
    from pathlib import Path

    from ..builder import Builder
    from ..model import Recipe
    from ..store import Owned
    from .card import Report
    from .request import Request
    from .session import Session

LEAST = {
    "venv": 60.0,
    "conda": 120.0,
    "container": 180.0,
}  # seconds below which a build is not begun
USUAL = {
    "venv": 300.0,
    "conda": 900.0,
    "container": 1200.0,
}  # seconds below which it is begun with a warning
TEST_TIMEOUT = (
    120.0  # seconds of the start test: a fresh environment on a cluster's file system is slow
)


@dataclass(frozen=True)
class MadeKernel:
    """The kernelspec that is there now; `built` when this session built it."""

    name: str
    folder: Path
    built: bool


class MakingError(UserError):
    """A kernel that could not be made, with the recipe as far as it was understood."""

    def __init__(self, error: UserError, recipe: Recipe | None) -> None:
        super().__init__(error.code, error.message, context=error.context, hint=error.hint)
        self.recipe = recipe


def make(session: Session, asked: Request, value: str, report: Report) -> MadeKernel:
    """The kernel that `value` asks for; raises MakingError."""
    recipe = None
    try:
        recipe = recipes.recipe(
            asked, value, site=session.site, home=session.home, environ=session.environ
        )
        return _make(session, recipe, report)
    except UserError as error:
        raise MakingError(error, recipe) from error


def _make(session: Session, recipe: Recipe, report: Report) -> MadeKernel:
    from ..builder import Builder

    ends = report.ends_at or job.ends_at(session.environ, ask=True)
    progress = CardProgress(session.root, recipe.title, ends)
    builder = Builder(
        session.home,
        session.environ,
        session.site,
        session.runtime,
        progress,
        test_timeout=TEST_TIMEOUT,
    )
    known = _known(builder, recipe)
    if known is not None:
        builder.reuse(known, recipe)
        progress.say(f"`{known.name}` was made before from the same answers: it is used as it is")
        return MadeKernel(known.name, known.folder, built=False)
    _check_time(recipe, ends, progress)
    try:
        generation = builder.create(recipe, reuse=True, replace=_is_same(builder, recipe))
    finally:
        progress.close()
    owned = builder.store.find(generation.recipe.name)
    return MadeKernel(owned.name, owned.folder, built="publish" in progress.phases)


def _known(builder: Builder, recipe: Recipe) -> Owned | None:
    """A kernel that was built from the same recipe and is whole, under whatever name it has now."""
    digest = builder.hash(recipe)
    known = sorted(builder.store.kernels(), key=lambda owned: owned.name != recipe.name)
    return next((owned for owned in known if builder.fits(owned, recipe, digest)), None)


def _is_same(builder: Builder, recipe: Recipe) -> bool:
    """Whether the kernel of that name came from this recipe: then a broken one is built anew."""
    digest = builder.hash(recipe)
    return any(o.name == recipe.name and o.recipe_hash == digest for o in builder.store.kernels())


def _check_time(recipe: Recipe, ends: float | None, progress: CardProgress) -> None:
    """Refuse a build that cannot end within the walltime, warn about one that may not."""
    if ends is None or recipe.kind not in LEAST:
        return
    left = ends - time.time()
    if left < LEAST[recipe.kind]:
        raise UserError(
            "too-little-time",
            f"the session ends in {max(0, int(left))} s, which is too short to make this kernel",
            hint="launch again with more hours",
        )
    if left < USUAL[recipe.kind]:
        progress.note(
            f"the session ends in {int(left / 60)} minutes: if that is too short, launch again; what was downloaded is kept"
        )
