"""Which packages: from the lock, from the solver, or from the lists of an earlier call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UserError
from ...model import CondaSpec
from ..base import Choice
from . import lock as locks
from . import wanted
from .explain import explain, way_out
from .values import EngineError, Package

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...model import Recipe
    from ...progress import Progress
    from ..base import Place
    from .engine import Engine


def solve_only(recipe: Recipe, place: Place) -> dict[str, Choice]:
    """The packages that a build would choose now; nothing is downloaded but lists."""
    from ...progress import Silent

    return by_name(plan(recipe, place, Silent()))


def by_name(packages: Iterable[Package]) -> dict[str, Choice]:
    """The packages as all kinds name them."""
    return {p.name: Choice(p.version, p.size or None, p.build) for p in packages}


def plan(recipe: Recipe, place: Place, progress: Progress) -> list[Package]:
    """The packages that a build would choose now, with the sizes of their archives."""
    spec = recipe.environment
    assert isinstance(spec, CondaSpec)  # noqa: S101 - the kind was chosen by the spec
    want = wanted.of(recipe, spec, place, progress.note)
    from .engine import Engine

    with Engine(want.settings) as engine:
        virtual = engine.virtual_packages(wanted.virtual_overrides(recipe, place))
        try:
            return packages(engine, want, virtual, place, progress)
        except EngineError as error:
            raise explain(error, want.settings, place, engine.names) from error


def packages(
    engine: Engine, want: wanted.Wanted, virtual: dict[str, str], place: Place, progress: Progress
) -> list[Package]:
    """The exact packages: from the lock, else from the solver; from earlier lists where there is no network."""
    if want.lock is not None:
        return _from_lock(engine, want.lock, progress)
    progress.phase("solve", "choosing packages")
    offline = bool(place.environ.get("SLURM_JOB_ID")) and not place.site.network.compute_nodes
    try:
        return engine.solve(want.specs, virtual, offline=offline)
    except EngineError as error:
        if offline and "not in the cache" in error.text:
            raise UserError(
                "channel-unreachable",
                "this node cannot reach the channels, and these packages were not downloaded before",
                hint=way_out(place),
            ) from error
        unreachable = explain(error, want.settings, place, list).code == "channel-unreachable"
        if offline or not unreachable:
            raise
        try:
            found = engine.solve(want.specs, virtual, offline=True)
        except EngineError:
            raise error from None
        progress.note("the channels cannot be reached: the lists of an earlier call are used")
        return found


def _from_lock(engine: Engine, lock: locks.Lock, progress: Progress) -> list[Package]:
    from .engine import platform

    here = platform()
    foreign = {
        url.rsplit("/", 2)[1]
        for url in (*(p.url for p in lock.packages), *(b.url for b in lock.bare))
    }
    if strange := foreign - {here, "noarch"}:
        raise UserError(
            "lock-for-another-platform",
            f"the lock is for {', '.join(sorted(strange))}, this node is {here}",
            hint="build from the recipe instead: `kernelwright create recipe`, without the lock",
        )
    if not lock.bare:
        return list(lock.packages)
    progress.phase("solve", "looking the listed packages up")
    channels = dict.fromkeys(b.url.rsplit("/", 2)[0] for b in lock.bare)
    known = {p.url: p for p in engine.query(sorted({b.name for b in lock.bare}), tuple(channels))}
    found = list(lock.packages)
    for entry in lock.bare:
        package = known.get(entry.url)
        if package is None:
            raise UserError(
                "conda-package-not-found",
                f"the channel does not have `{entry.url.rsplit('/', 1)[1]}` any more",
                context={"address": entry.url},
                hint="leave that line out, or make the list anew",
            )
        if entry.digest and package.record.get(entry.digest[0]) not in {entry.digest[1], None}:
            raise UserError(
                "hash-mismatch",
                f"`{package.folder}` in the channel is not the file that the list names",
                context={"address": entry.url},
                hint="the channel was changed; make the list anew",
            )
        found.append(package)
    return found
