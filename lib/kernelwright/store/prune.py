"""What may go: old generations, builds that were killed, environments that nothing names.

A generation that a live kernel uses is never removed, whichever node the kernel runs on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import kernelspec
from .lock import process_start
from .owned import published_numbers
from .store import KEPT, Store

if TYPE_CHECKING:
    from ..model import Generation

YOUNG = 60.0  # seconds in which a folder may still be without the file that says who builds in it
ELSEWHERE = 14 * 86400.0  # seconds for which a start record of another node counts as alive


def remove_stale(
    store: Store, kernel_id: str, *, keep: int = KEPT, spare: int | None = None
) -> list[int]:
    """Remove the generations of a kernel beyond the newest `keep`, and drafts whose builder is gone.

    The published generation, `spare` and those in use stay. Returns the numbers that were removed.
    """
    removed = []
    published = published_numbers(store.specs, kernel_id)
    generations = store.generations(kernel_id)
    kept = {g.number for g in generations[-keep:]} if keep else set()
    kept |= {*published, *([spare] if spare else [])}
    for generation in generations:
        if generation.number in kept or in_use(generation.folder):
            continue
        remove_generation(store, generation)
        removed.append(generation.number)
    _remove_drafts(store, kernel_id)
    return removed


def remove_kernel(store: Store, kernel_id: str) -> int:
    """Remove every generation of a kernel that is not in use; returns how many stay."""
    left = 0
    for generation in store.generations(kernel_id):
        if in_use(generation.folder):
            left += 1
        else:
            remove_generation(store, generation)
    _remove_drafts(store, kernel_id)
    folder = store.data / "kernels" / kernel_id
    if not left:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(store.environments() / kernel_id)
    return left


def remove_generation(store: Store, generation: Generation) -> None:
    """Remove one generation; its environment only when no other generation runs on it."""
    prefix = generation.made.prefix
    own = store.environments() / generation.kernel_id
    others = [g for g in store.generations(generation.kernel_id) if g.number != generation.number]
    with contextlib.suppress(OSError):  # invalid first: a kill from here on leaves a draft
        os.unlink(generation.folder / "complete")
    if prefix and Path(prefix).is_relative_to(own) and all(g.made.prefix != prefix for g in others):
        shutil.rmtree(
            Path(prefix).parent if Path(prefix).parent != generation.folder else prefix,
            ignore_errors=True,
        )
    if any(g.made.prefix and Path(g.made.prefix).is_relative_to(generation.folder) for g in others):
        return  # a later generation still runs on the environment that lies in this folder
    shutil.rmtree(generation.folder, ignore_errors=True)


def _remove_drafts(store: Store, kernel_id: str) -> None:
    """Builds that were killed: a folder without `complete` whose builder is no longer there."""
    folder = store.data / "kernels" / kernel_id
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            draft = folder / name
            if not name.isdecimal() or (draft / "complete").exists() or _builder_lives(draft):
                continue
            used = [g.made.prefix or "" for g in store.generations(kernel_id)]
            if any(p.startswith(f"{draft}/") for p in used):
                continue
            shutil.rmtree(store.environments() / kernel_id / name, ignore_errors=True)
            shutil.rmtree(draft, ignore_errors=True)


def remove_abandoned(store: Store) -> None:
    """What builds of new kernels left behind that were killed: no name leads to them, none is complete."""
    for folder in unreferenced(store):
        if folder.parent != store.data / "kernels" or any(folder.glob("*/complete")):
            continue
        _remove_drafts(store, folder.name)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(store.environments() / folder.name)


def _builder_lives(draft: Path, young: float = 0.0) -> bool:
    """Whether somebody builds there now; a folder that is `young` (seconds) may not say yet who does."""
    if (draft / "complete").exists():
        return False
    try:
        age = time.time() - draft.stat().st_mtime
        pid, started, host = (draft / "building").read_text().split()
    except FileNotFoundError:
        return age < young
    except (OSError, ValueError):
        return False
    if host != socket.gethostname():
        return age < 86400
    return str(process_start(int(pid))) == started


def in_use(folder: Path) -> bool:
    """Whether a kernel of this generation runs, here or (by its start record) on another node."""
    for record in (folder / "starts").glob("*.start"):
        start = _record(record)
        elsewhere = start.get("host") not in {None, "", socket.gethostname()}
        if elsewhere and "ended" not in start and time.time() < _latest_end(start):
            return True
    return _named_by_a_process(str(folder))


def _record(path: Path) -> dict[str, str]:
    """The start record that launch.sh leaves: `key=value` lines, `ended=` once the kernel is gone."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _latest_end(start: dict[str, str]) -> float:
    """When a kernel on another node is over at the latest, in seconds since the epoch."""
    for key, more in (("job_end", 0.0), ("started", ELSEWHERE)):
        if start.get(key, "").isdigit():
            return float(start[key]) + more
    return 0.0


def _named_by_a_process(folder: str) -> bool:
    """Whether any process that we may see was started from this folder: launch.sh or the entry."""
    needle = (folder + "/").encode()
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as stream:
                if any(part.startswith(needle) for part in stream.read(65536).split(b"\0")):
                    return True
    return False


def unreferenced(store: Store) -> list[Path]:
    """Kernel folders, and environments on the site's storage, that no kernelspec names any more.

    Where a kernel.json is broken, what it may have named counts as named: `repair` publishes it again.
    """
    named, broken = set(), set()
    for name in os.listdir(store.specs) if store.specs.is_dir() else []:
        spec = kernelspec.read(store.specs / name)
        mine = kernelspec.ours(spec)
        if mine is not None:
            named.add(mine["id"])
        elif spec is None:
            broken.add(name)
    found = []
    for root in {store.data / "kernels", store.environments()}:
        if os.access(root, os.R_OK | os.X_OK):
            for entry in sorted(os.listdir(root)):
                path = root / entry
                if len(entry) != 16 or entry in named or not path.is_dir() or _alive(path):
                    continue
                if not broken & {g.recipe.name for g in store.generations(entry)}:
                    found.append(path)
    return found


def _alive(folder: Path) -> bool:
    numbers = [n for n in os.listdir(folder) if n.isdecimal()]
    if not numbers:
        return time.time() - folder.stat().st_mtime < YOUNG
    return any(in_use(folder / n) or _builder_lives(folder / n, YOUNG) for n in numbers)
