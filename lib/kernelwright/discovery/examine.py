"""One kernelspec folder looked at: at most two file operations when the index knows it already."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import Problem
from ..model import Kernel
from ..store.kernelspec import ours
from .kernelspec_file import NAME, Reading, look, read
from .programs import Programs, guess_kind, program_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .places import Root


@dataclass(frozen=True)
class Candidate:
    """A folder that may be a kernelspec, with the root that it was found in."""

    root: Root
    name: str
    folder: str


@dataclass(frozen=True)
class Found:
    """A candidate with what is known of it; `found`: Jupyter takes the folder for a kernel."""

    candidate: Candidate
    kernel: Kernel
    found: bool


@dataclass(frozen=True)
class Surroundings:
    """What an examination needs to know of this call."""

    cache: Mapping[str, Mapping[str, Any]]
    programs: Programs


def examine(candidate: Candidate, around: Surroundings) -> Found | None:
    """What `candidate` holds; None where there is nothing that wants to be a kernel."""
    path = os.path.join(candidate.folder, NAME)
    facts, problem = look(path)
    if facts is None:
        return _without_file(candidate, problem)
    stamp = (facts.st_mtime_ns, facts.st_size)
    known = around.cache.get(candidate.folder)
    if known is not None and known["stamp"] == stamp:
        found = _from_cache(candidate, known, stamp)
    else:
        found = _from_file(candidate, read(candidate.folder, facts), facts)
    return _with_program(found, around.programs)


def _without_file(candidate: Candidate, problem: Problem | None) -> Found | None:
    if problem is None:
        problem = _misnamed(candidate)
    if problem is None:
        return None
    return Found(candidate, _kernel(candidate, Reading(problems=(problem,))), False)


def _misnamed(candidate: Candidate) -> Problem | None:
    """A folder without kernel.json: say so, where the person seems to have wanted a kernel."""
    try:
        names = os.listdir(candidate.folder)
    except NotADirectoryError:
        return _misplaced(candidate)
    except FileNotFoundError:
        return _dangling(candidate)
    except OSError:
        text, hint = (
            "the folder of the kernel cannot be read",
            "its owner can open it: `chmod a+rx`",
        )
        return Problem("kernelspec-folder-unreadable", "error", text, hint, candidate.folder)
    near = [name for name in names if name.lower().startswith("kernel.js")]
    if not near:
        return None
    text = f"`{near[0][:80]}` must be called `kernel.json` for Jupyter to see it"
    return Problem("kernelspec-misnamed", "error", text, "rename the file", candidate.folder)


def _misplaced(candidate: Candidate) -> Problem | None:
    if not candidate.folder.endswith(".json"):
        return None
    text = f"`{os.path.basename(candidate.folder)[:80]}` lies among the kernels; a kernel is a folder with kernel.json in it"
    hint = "`mkdir NAME; mv kernel.json NAME/` in that folder"
    return Problem("kernelspec-misplaced", "warning", text, hint, candidate.folder)


def _dangling(candidate: Candidate) -> Problem | None:
    if not os.path.islink(candidate.folder):
        return None
    text = f"the kernel's folder is a link to `{os.readlink(candidate.folder)[:200]}`, which does not exist"
    return Problem("kernelspec-dangling-link", "error", text, None, candidate.folder)


def _from_file(candidate: Candidate, reading: Reading, facts: os.stat_result) -> Found:
    """A kernel.json read anew; who may change it is looked at only now, not at every listing."""
    kernel = _kernel(candidate, reading)
    more = (
        () if candidate.root.origin == "group" else (*_owners(candidate, facts), *_name(candidate))
    )
    return Found(candidate, replace(kernel, problems=(*kernel.problems, *more)), reading.found)


def _owners(candidate: Candidate, facts: os.stat_result) -> tuple[Problem, ...]:
    """Whether others than this user and root can change what would run as this user."""
    try:
        pairs = (
            (candidate.folder, os.stat(candidate.folder)),
            (f"{candidate.folder}/{NAME}", facts),
        )
    except OSError:
        return ()
    for path, known in pairs:
        if known.st_uid not in {0, os.getuid()} and candidate.root.origin in {"user", "legacy"}:
            text = f"`{path}` belongs to another user ({known.st_uid}), who can change what runs as you"
            return (
                Problem("kernelspec-foreign-owner", "warning", text, "copy it, or adopt it", path),
            )
        if known.st_mode & stat.S_IWOTH and not known.st_mode & stat.S_ISVTX:
            text = f"everybody can write to `{path}`, and it runs as you"
            return (
                Problem("kernelspec-writable-by-all", "warning", text, f"`chmod o-w {path}`", path),
            )
    return ()


def _name(candidate: Candidate) -> tuple[Problem, ...]:
    if candidate.root.origin == "site" or re.fullmatch(r"[a-z0-9._-]+", candidate.name):
        return ()
    text = (
        f"`{candidate.name[:80]}` is no valid kernel name for Jupyter, which only warns in its log"
    )
    hint = "rename the folder: ASCII letters, digits, `.`, `_` and `-`"
    return (Problem("invalid-kernel-name", "warning", text, hint),)


def _kernel(candidate: Candidate, reading: Reading) -> Kernel:
    spec = reading.spec
    title = spec.get("display_name")
    language = spec.get("language")
    mine = ours(dict(spec))
    kernel = Kernel(
        name=candidate.name,
        display_name=title if isinstance(title, str) and title else candidate.name,
        language=language if isinstance(language, str) else "",
        origin=candidate.root.origin,
        kind=guess_kind(spec),
        launcher="local",
        path=candidate.folder,
        owned=mine is not None,
        visible=False,
        problems=(*_named(reading.problems, candidate.name), *_alias(candidate, mine)),
        spec=spec,
        group=candidate.root.group,
        stamp=reading.facts,
        watch=program_of(spec, candidate.folder),
        loads=reading.listed,
    )
    return _owned(kernel) if kernel.owned else kernel


def _named(problems: tuple[Problem, ...], name: str) -> tuple[Problem, ...]:
    """Hints with the kernel's own name in the command, to be pasted."""
    return tuple(
        replace(p, hint=p.hint.replace("NAME", name)) if p.hint and p.hint[:2] == "`k" else p
        for p in problems
    )


def _alias(candidate: Candidate, mine: Any) -> tuple[Problem, ...]:
    """The name that a kernel had before it was renamed: old notebooks still ask for it."""
    new = mine.get("alias_of") if isinstance(mine, dict) else None
    if not isinstance(new, str):
        return ()
    text = f"`{candidate.name}` is the former name of `{new[:80]}`"
    return (Problem("kernel-alias", "note", text),)


def _owned(kernel: Kernel) -> Kernel:
    """What the generation's own files tell: its kind, the interpreter to watch, the launcher."""
    argv = kernel.spec.get("argv")
    if not isinstance(argv, list) or not argv or not isinstance(argv[0], str):
        return kernel
    generation = os.path.dirname(argv[0])
    made = _json(os.path.join(generation, "made.json"))
    settings = _json(os.path.join(os.path.dirname(generation), "launcher.json"))
    watch = next(
        (made[key] for key in ("interpreter", "prefix") if isinstance(made.get(key), str)), None
    )
    if made.get("kind") == "container":
        watch = _container_runtime(made)
    return replace(
        kernel,
        kind=str(made.get("kind") or kernel.kind),
        launcher="slurm" if settings.get("slurm") else "local",
        watch=watch if watch and made else kernel.watch,
    )


def _container_runtime(made: Mapping[str, Any]) -> str | None:
    """The recorded program, None where it comes from a module: whether that exists nobody knows here."""
    facts = made.get("facts")
    runtime = facts.get("runtime") if isinstance(facts, dict) else None
    known = runtime if isinstance(runtime, dict) and not runtime.get("module") else {}
    path = known.get("path")
    return path if isinstance(path, str) and path.startswith("/") else None


def _json(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            value = json.loads(stream.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _from_cache(candidate: Candidate, known: Mapping[str, Any], stamp: tuple[int, int]) -> Found:
    kernel = Kernel(
        name=candidate.name,
        display_name=known["label"],
        language=known["language"],
        origin=candidate.root.origin,
        kind=known["kind"],
        launcher=known["launcher"],
        path=candidate.folder,
        owned=known["owned"],
        visible=False,
        problems=known["problems"],
        group=candidate.root.group,
        stamp=stamp,
        watch=known["watch"],
        loads=known["loads"],
    )
    return Found(candidate, kernel, True)


def _with_program(found: Found, known: Programs) -> Found:
    problem = known.check(found.kernel)
    if problem is None:
        return found
    return replace(found, kernel=replace(found.kernel, problems=(*found.kernel.problems, problem)))
