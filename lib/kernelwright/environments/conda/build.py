"""Making a prefix: solve or read the lock, look at the room, install, pip part, lock and manifest."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from ...errors import UserError
from ...model import CondaSpec, Made
from ...store.atomic import make_folder, write_text
from .. import caches, layout, quota
from . import bytecode, choose, manifest, space, wanted
from . import lock as locks
from .explain import explain
from .values import EngineError, Package

if TYPE_CHECKING:
    from pathlib import Path

    from ...model import Recipe
    from ...progress import Progress
    from ..base import Place

LOCK = "conda.lock"
LONGEST = 200  # characters of a prefix: binary packages have no more room for it
HINTS = {
    "bash": "bash_kernel",
    "c++": "xeus-cling",
    "lua": "xeus-lua",
    "octave": "octave_kernel",
    "julia": "no package has it; use `create script`",
}


def make(recipe: Recipe, place: Place, progress: Progress) -> Made:
    """Build the environment of `recipe` at `place.prefix`; a second call completes what a kill left."""
    spec = recipe.environment
    assert isinstance(spec, CondaSpec)  # noqa: S101 - the kind was chosen by the spec
    check_prefix(place.prefix)
    _clear_purged(place)
    if (
        not (place.site.network.compute_nodes or not place.environ.get("SLURM_JOB_ID"))
        and not spec.lock
    ):
        progress.note(
            "compute nodes have no internet here: only what was downloaded before can be used"
        )
    want = wanted.of(recipe, spec, place, progress.note)
    from .engine import Engine

    with Engine(want.settings) as engine:
        virtual = engine.virtual_packages(wanted.virtual_overrides(recipe, place))
        try:
            packages = choose.packages(engine, want, virtual, place, progress)
            place.chosen(choose.by_name(packages))
            room = _check_room(packages, want, place, progress)
            make_folder(place.prefix.parent)
            engine.install(packages, place.prefix, want.specs, progress)
        except EngineError as error:
            raise explain(error, want.settings, place, engine.names) from error
    _set_variables(place.prefix, want.variables)
    _check_language(recipe, place.prefix)
    pinned = _pip(want, place, progress)
    return _made(
        recipe,
        place,
        want,
        packages=packages,
        virtual=virtual,
        pinned=pinned,
        download=room.download,
    )


def check_prefix(prefix: Path) -> None:
    """Refuse a folder that conda packages cannot be patched for; raises `prefix-unsuitable`."""
    text = str(prefix)
    if len(text) > LONGEST:
        what = f"has {len(text)} characters; conda packages have room for {LONGEST}"
    elif any(c.isspace() for c in text):
        what = "holds a space, with which the scripts of conda packages do not start"
    else:
        return
    raise UserError(
        "prefix-unsuitable",
        f"no conda environment can be made in `{text}`: the path {what}",
        hint="the site can set `storage.root` to another folder; a venv kernel works there as well",
    )


def _clear_purged(place: Place) -> None:
    """Take away an environment that was whole once: its conda-meta would say that nothing is missing.

    A manifest is only there after a build that ended; what a kill has left is completed instead.
    """
    if place.prefix.exists() and (place.keep / manifest.NAME).exists():
        aside = place.prefix.with_name(f".{place.prefix.name}.purged-{os.getpid()}")
        os.rename(place.prefix, aside)
        shutil.rmtree(aside, ignore_errors=True)


def _check_room(
    packages: list[Package], want: wanted.Wanted, place: Place, progress: Progress
) -> space.Need:
    if caches.left_to_others(place):
        progress.note(
            f"`{place.site.storage.package_cache}` cannot be written: your own package cache is used"
        )
    need = space.estimate(packages, want.settings.cache, place.prefix, copy=want.settings.copy)
    words = space.check(
        need, {"cache": want.settings.cache, "environment": place.prefix}, place.environ
    )
    progress.note(f"{len(packages)} packages; {words}")
    limit = place.site.policy.max_size
    if limit and (most := _bytes(limit)) and need.total_bytes > most:
        raise UserError(
            "environment-too-large",
            f"the environment needs about {need.words()}, the site allows {limit}",
            hint="leave packages out, or ask the site",
        )
    if need.env_bytes and not want.settings.copy:
        progress.note(
            "package cache and environments lie on different file systems: files are copied, not linked"
        )
    return need


def _bytes(text: str) -> int | None:
    unit = quota.UNITS.get(text.strip()[-1:].upper())
    number = text.strip()[:-1] if unit else text.strip()
    try:
        return int(float(number) * (unit or 1))
    except ValueError:
        return None


def _set_variables(prefix: Path, variables: tuple[tuple[str, str], ...]) -> None:
    """Where conda itself keeps `variables:`, so that `conda activate` of this folder sees them too."""
    if variables:
        write_text(
            prefix / "conda-meta/state",
            json.dumps({"version": 1, "env_vars": dict(variables)}, indent=1),
            0o644,
        )


def _check_language(recipe: Recipe, prefix: Path) -> None:
    if recipe.command:
        return
    if recipe.language == "python":
        if layout.interpreter(prefix) is None:
            raise UserError(
                "interpreter-not-found",
                f"the packages brought no Python to `{prefix}`",
                hint="ask for `python` too",
            )
    elif layout.language_command(prefix, recipe.language) is None:
        known = sorted({str(s.get("language")) for s in layout.kernelspecs(prefix).values()})
        package = HINTS.get(recipe.language, "the kernel package of that language")
        raise UserError(
            "language-not-found",
            f"no package brings a kernel for the language `{recipe.language}`",
            context={"languages there": ", ".join(known) or "none"},
            hint=f"add its kernel package to the list: {package}",
        )


def _pip(want: wanted.Wanted, place: Place, progress: Progress) -> tuple[str, ...]:
    python = layout.interpreter(place.prefix)
    if not want.pip:
        return ()
    if python is None:
        raise UserError(
            "pip-part-failed",
            "there is a pip part, but no Python in the environment",
            hint="ask for `python` too",
        )
    from . import pip_part  # uv and its settings are for the few recipes that have such a part

    exact = want.lock is not None and want.pip == want.lock.pip
    how = pip_part.replay if exact else pip_part.install
    return how(want.pip, python, place, progress)


def _made(
    recipe: Recipe,
    place: Place,
    want: wanted.Wanted,
    *,
    packages: list[Package],
    virtual: dict[str, str],
    pinned: tuple[str, ...],
    download: int,
) -> Made:
    from .engine import platform

    text = locks.dump(
        tuple(packages),
        platform=platform(),
        specs=want.specs,
        virtual=virtual,
        pip=pinned,
        variables=dict(want.variables),
    )
    write_text(place.keep / LOCK, text)
    count = manifest.write(place.prefix, place.keep / manifest.NAME)
    bytecode.compile_files(place.prefix, place.environ)
    python = layout.interpreter(place.prefix)
    return Made(
        kind="conda",
        language=recipe.language,
        prefix=str(place.prefix),
        interpreter=str(python) if python else None,
        lock=LOCK,
        facts={
            "packages": len(packages),
            "pip_packages": len(pinned),
            "files": count,
            "manifest": str(place.keep / manifest.NAME),
            "channels": list(want.settings.channels),
            "virtual_packages": virtual,
            "python": layout.python_version(place.prefix),
            "hooks": list(layout.conda_hooks(place.prefix)),
            "variables": layout.conda_variables(place.prefix),
            "conda": True,
            "download": download,
        },
    )
