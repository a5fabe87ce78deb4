"""Central kernels: from the site's entries (JSON only, no look at any disk) to what is really started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import paths
from ..errors import Problem, UserError, did_you_mean
from ..store import kernelspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.model import SiteConfig


@dataclass(frozen=True)
class Central:
    """One central kernel as people see it; `target` is the name of the one that starts in its place.

    `folder` holds the kernel.json that is started (the target's, for an alias); None where there is none.
    `notice` is one line for whoever opens it, such as a deprecation; `state` is what the catalog said.
    """

    name: str
    label: str
    language: str
    folder: Path | None
    target: str
    notice: str | None = None
    alias: bool = False
    hidden: bool = False
    default: bool = False
    gpu: str = "none"
    partitions: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    description: str | None = None
    deprecated: str | None = None
    successor: str | None = None
    recipe: Mapping[str, Any] | None = None
    state: str = "ok"
    problem: str | None = None
    hint: str | None = None

    @property
    def value(self) -> str:
        """How the form and request.json name it."""
        return f"site:{self.name}"


@dataclass(frozen=True)
class Resolved:
    """A central kernel as it lies on this node: its kernel.json, or why there is none."""

    central: Central
    spec: Mapping[str, Any]
    problem: Problem | None = None


def central(
    site: SiteConfig, *, environ: Mapping[str, str] = os.environ, today: date | None = None
) -> list[Central]:
    """Every central kernel in the site's order, aliases included. Reads no file but the settings given."""
    entries = {str(entry["name"]): entry for entry in site.kernels if entry.get("name")}
    day = (today or date.today()).isoformat()  # noqa: DTZ011 - the admin means the cluster's own day
    return [_one(entry, entries, site, environ, day) for entry in entries.values()]


def find(site: SiteConfig, name: str, *, environ: Mapping[str, str] = os.environ) -> Central:
    """The central kernel called `name` (or `site:name`). Raises UserError `no-such-central-kernel`."""
    known = {kernel.name: kernel for kernel in central(site, environ=environ)}
    wanted = name.removeprefix("site:")
    if wanted in known:
        return known[wanted]
    raise UserError(
        "no-such-central-kernel",
        f"{site.site.name} has no central kernel `{wanted[:80]}`",
        hint=did_you_mean(wanted, known, "`kernelwright site show` lists the site's settings"),
    )


def central_home(site: SiteConfig, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that stands for a home where `site build` makes central kernels."""
    if site.storage.central:
        return Path(site.storage.central)
    return Path(site.runtime or paths.runtime_folder(environ)) / "site"


def entry_folder(
    entry: Mapping[str, Any], site: SiteConfig, environ: Mapping[str, str]
) -> Path | None:
    """Where an entry's own kernel.json is, or will be once `site build` made it."""
    if entry.get("path"):
        return Path(entry["path"])
    if entry.get("recipe"):
        return paths.kernelspec_folder(central_home(site, environ)) / str(entry["name"])
    return None


def resolve(kernel: Central) -> Resolved:
    """Read the kernel.json of a central kernel on this node."""
    spec = kernelspec.read(kernel.folder) if kernel.folder else None
    if spec and isinstance(spec.get("argv"), list) and spec["argv"]:
        return Resolved(kernel, spec)
    where = (
        f"`{kernel.folder}` holds no usable kernel.json on this node"
        if kernel.folder
        else "it has no software"
    )
    why = kernel.problem or where
    return Resolved(
        kernel,
        {},
        Problem(
            "central-unavailable",
            "error",
            f"the central kernel `{kernel.name}` cannot be used: {why}",
            kernel.hint,
        ),
    )


def _one(
    entry: Mapping[str, Any],
    entries: Mapping[str, Mapping[str, Any]],
    site: SiteConfig,
    environ: Mapping[str, str],
    day: str,
) -> Central:
    target = _target(entry, entries, day)
    alias = target is not entry
    folder = entry_folder(target, site, environ)
    state, problem, hint = (target.get(key) for key in ("state", "problem", "hint"))
    return Central(
        name=str(entry["name"]),
        label=str(entry.get("label") or entry["name"]),
        language=str(
            target.get("language") or (target.get("recipe") or {}).get("language") or "python"
        ),
        folder=folder,
        target=str(target["name"]),
        notice=_notice(entry, target, day),
        alias=alias,
        hidden=bool(entry.get("hidden")) or alias,
        default=bool(entry.get("default")),
        gpu=str(target.get("gpu") or "none"),
        partitions=tuple(target.get("partitions") or ()),
        clusters=tuple(target.get("clusters") or ()),
        description=entry.get("description"),
        deprecated=entry.get("deprecated"),
        successor=entry.get("successor"),
        recipe=entry.get("recipe"),
        state=state or "ok",
        problem=problem,
        hint=hint,
    )


def _target(
    entry: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]], day: str
) -> Mapping[str, Any]:
    """Follow successors from entries that have no software any more, or whose day has come."""
    seen = set()
    while (successor := entries.get(str(entry.get("successor")))) and entry["name"] not in seen:
        seen.add(entry["name"])
        gone = not (entry.get("path") or entry.get("recipe"))
        if not gone and not (entry.get("deprecated") and str(entry["deprecated"]) <= day):
            break
        entry = successor
    return entry


def _notice(entry: Mapping[str, Any], target: Mapping[str, Any], day: str) -> str | None:
    label = str(entry.get("label") or entry["name"])
    if target is not entry:
        return f"{label} was replaced: this is {target.get('label') or target['name']}"
    if not entry.get("deprecated"):
        return None
    verb = "ended" if str(entry["deprecated"]) <= day else "ends"
    following = f"; change to {entry['successor']}" if entry.get("successor") else ""
    return f"{label} {verb} on {entry['deprecated']}{following}"
