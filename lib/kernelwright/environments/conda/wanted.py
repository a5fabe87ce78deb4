"""From a recipe to what is asked of the solver: specs, pip part, variables, settings or a lock."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UserError
from . import envfile, lock, pip_lines
from .settings import Channels, settings, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...model import CondaSpec, Recipe
    from ..base import Place
    from .values import Settings

KEPT_FILE = "environment.yml"
LANGUAGE_PACKAGES = {"python": ("python", "ipykernel"), "r": ("r-irkernel",)}
LONGEST = 500  # characters of a spec
NAME = re.compile(r"^(?:.*::)?([A-Za-z0-9_][A-Za-z0-9_.-]*)")


@dataclass(frozen=True)
class Wanted:
    """What is to be installed; with `lock` set nothing is solved."""

    settings: Settings
    specs: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    lock: lock.Lock | None = None


def of(recipe: Recipe, spec: CondaSpec, place: Place, note: Callable[[str], None]) -> Wanted:
    """Everything that `recipe` asks for, its files read; raises UserError for what cannot be taken."""
    file = envfile.EnvironmentFile()
    exact = _lock(spec.lock, place) if spec.lock else None
    if spec.file and exact is None:
        data, source = _file(spec.file, place, note)
        if lock.is_explicit(data.decode("utf-8", "replace")):
            exact = lock.load(data.decode("utf-8", "replace"), source=source)
        else:
            file = envfile.read(
                data, source=source, beside=_beside(Path(_expand(spec.file, place)))
            )
        (place.keep / KEPT_FILE).write_bytes(_without_secrets(data))
    for line in file.notes:
        note(line)
    found, channels = settings(spec.channels or file.channels, spec.channels_append, place, note)
    if spec.file and not (spec.channels or file.channels) and exact is None:
        note(
            f"no channels are named: {', '.join(visible(c) for c in found.channels)} (from {found.sources['channels']})"
        )
    variables = (*file.variables, *spec.variables.items())
    if exact is not None:
        exact = _allowed(exact, channels)
        found = replace(found, credentials=channels.credentials)
        variables = tuple({**exact.variables, **dict(variables)}.items())
        pip = exact.pip or _missing_kernel(exact, recipe, note)
        return Wanted(found, specs=exact.specs, pip=pip, variables=variables, lock=exact)
    specs, more = _specs((*file.dependencies, *spec.dependencies), channels)
    pip = (*file.pip, *spec.pip)
    specs += _for_language(recipe, specs, pip)
    found = replace(
        found,
        channels=tuple(dict.fromkeys((*found.channels, *more))),
        credentials=channels.credentials,
    )
    return Wanted(found, specs=tuple(specs), pip=pip, variables=variables)


def _missing_kernel(
    exact: lock.Lock, recipe: Recipe, note: Callable[[str], None]
) -> tuple[str, ...]:
    """The lists of other tools seldom hold ipykernel: then pip brings it."""
    names = {p.name for p in exact.packages} | {b.name for b in exact.bare}
    if recipe.language != "python" or "ipykernel" in names or "python" not in names:
        return ()
    note("the list holds no ipykernel: it is added by pip")
    return ("ipykernel",)


def inlined(recipe: Recipe, spec: CondaSpec, keep: Path) -> CondaSpec:
    """`spec` with the kept copy of its file written out, for a recipe that goes elsewhere."""
    if spec.file is None:
        return spec
    try:
        data = (keep / KEPT_FILE).read_bytes()
    except OSError:
        return replace(spec, file=None)
    if lock.is_explicit(data.decode("utf-8", "replace")):
        return replace(spec, file=None)
    file = envfile.read(data, source=f"the file of {recipe.name}")
    return replace(
        spec,
        file=None,
        channels=spec.channels or file.channels,
        dependencies=(*file.dependencies, *spec.dependencies),
        pip=(*pip_lines.options(file.pip)[1], *spec.pip),
        variables={**dict(file.variables), **spec.variables},
    )


def _without_secrets(data: bytes) -> bytes:
    """The copy that stays with the kernel: variables keep their names, written-out tokens go."""
    return re.sub(rb"//[^/@\s]+:[^/@\s]+@", b"//", re.sub(rb"/t/(?!\$)[^/\s]+/", b"/", data))


def _expand(path: str, place: Place) -> str:
    return str(place.home) + path[1:] if path.startswith("~/") else path


def _beside(file: Path) -> Path | None:
    return file.absolute().parent if file.is_file() else None


def _file(path: str, place: Place, note: Callable[[str], None]) -> tuple[bytes, str]:
    """The file that the recipe names; where it is gone, the copy that the last build kept."""
    named = _expand(path, place)
    try:
        with open(named, "rb") as stream:
            return stream.read(envfile.LIMIT + 1), path
    except OSError as error:
        kept = sorted(
            place.keep.parent.glob(f"[0-9]*/{KEPT_FILE}"), key=lambda p: p.stat().st_mtime
        )
        if kept:
            note(f"`{path}` cannot be read: the copy of the last build is used")
            return kept[-1].read_bytes(), path
        raise UserError(
            "file-not-found",
            f"`{path}` cannot be read: {error.strerror}",
            hint="give the path of an environment.yml",
        ) from error


def _lock(path: str, place: Place) -> lock.Lock:
    named = Path(_expand(path, place))
    if not named.is_absolute():
        named = place.keep / named
    try:
        return lock.load(named.read_text(errors="replace"), source=str(named))
    except OSError as error:
        raise UserError(
            "file-not-found",
            f"the lock `{named}` cannot be read: {error.strerror}",
            hint="build the kernel without it: `kernelwright update NAME`",
        ) from error


def _allowed(exact: lock.Lock, channels: Channels) -> lock.Lock:
    """The lock with addresses without secrets; the site's rule on channels holds for locks too."""
    known: dict[str, str] = {}
    for url in (*(p.url for p in exact.packages), *(b.url for b in exact.bare)):
        channel = url.rsplit("/", 2)[0]
        if channel not in known:
            known[channel] = (*channels.addresses([channel], "the lock"), channel)[0]
    bare = tuple(
        replace(b, url=b.url.replace(b.url.rsplit("/", 2)[0], known[b.url.rsplit("/", 2)[0]], 1))
        for b in exact.bare
    )
    return replace(exact, bare=bare)


def _specs(texts: tuple[str, ...], channels: Channels) -> tuple[list[str], list[str]]:
    """The specs as the solver takes them, and the channels that only `channel::package` names."""
    from . import engine

    specs: list[str] = []
    more: list[str] = []
    for text in texts:
        if "://" in text.split("::")[0] and "::" not in text:
            more += channels.addresses([text.rsplit("/", 2)[0]], "the list of packages")
            spec = text
        elif "::" in text:
            name, _, rest = text.rpartition("::")
            addresses = channels.addresses([name], "the list of packages")
            more += addresses
            spec = f"{addresses[0]}::{rest}" if addresses else rest
        else:
            spec = text
        if reason := _words_only(text) or engine.check_spec(spec):
            raise UserError(
                "conda-spec-invalid",
                f"`{visible(text)[:120]}` is not a package that can be asked for: {reason}",
                hint="write `name`, `name=1.2`, `name>=1.2,<2` or `channel::name`, one a line",
            )
        specs.append(spec)
    return specs, more


def _words_only(text: str) -> str | None:
    """`no such name` would be read as a package, a version and a build."""
    if len(text) > LONGEST:
        return f"it has {len(text)} characters"
    found = re.match(r"\S+\s+([A-Za-z]\w*)", text)
    return f"`{found[1]}` is no version" if found and "[" not in text else None


def _for_language(recipe: Recipe, specs: list[str], pip: tuple[str, ...]) -> list[str]:
    """What a kernel of this language needs and the list does not name."""
    have = {package_name(spec) for spec in specs}
    have |= {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in pip_lines.options(pip)[1]}
    return [name for name in LANGUAGE_PACKAGES.get(recipe.language, ()) if name not in have]


def package_name(spec: str) -> str:
    """The package's name in a spec, without asking the engine."""
    text = spec.rsplit("/", 1)[1].rsplit("-", 2)[0] if "://" in spec and "::" not in spec else spec
    found = NAME.match(text)
    return found[1].lower() if found else spec


def virtual_overrides(recipe: Recipe, place: Place) -> Mapping[str, str | None]:
    """The site's virtual packages for the partition where the kernel will run.

    Keys of the site's table: a partition's name, or `default` for all. A build node without a GPU can
    so choose CUDA builds for the partition that has them.
    """
    table = place.site.conda.virtual_packages
    slurm = recipe.slurm.partition if recipe.slurm else None
    partition = (
        slurm
        or place.environ.get("KERNELWRIGHT_PARTITION")
        or place.environ.get("SLURM_JOB_PARTITION")
    )
    return {**table.get("default", {}), **(table.get(partition, {}) if partition else {})}
