"""What disks and quotas leave to this user."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process
from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Left:
    """What one limit leaves; None where the limit does not count that."""

    what: str
    bytes: int | None
    files: int | None


def limits(path: Path, environ: Mapping[str, str]) -> list[Left]:
    """Every limit that holds at `path`: the file system, then the user's quotas where they can be asked."""
    folder = existing(path)
    found = []
    try:
        status = os.statvfs(folder)
        files = status.f_favail if status.f_files else None
        if status.f_blocks:
            found.append(
                Left(f"the file system of {folder}", status.f_bavail * status.f_frsize, files)
            )
    except OSError:
        pass
    return [*_lustre(folder, environ), *_quota(folder, environ), *found]


def existing(path: Path) -> Path:
    """The nearest folder above `path` that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _lustre(folder: Path, environ: Mapping[str, str]) -> list[Left]:
    """`lfs quota -q -u USER FOLDER`: kbytes quota limit grace files quota limit grace."""
    text = _ask(["lfs", "quota", "-q", "-u", str(os.getuid()), str(folder)], environ)
    numbers = _columns(text, str(folder))
    return [_left(f"your Lustre quota at {folder}", *numbers)] if numbers else []


def _quota(folder: Path, environ: Mapping[str, str]) -> list[Left]:
    """`quota -w -p`: one line a file system, blocks of 1 kB, then files; the one that holds `folder`."""
    text = _ask(["quota", "-w", "-p"], environ)
    found = []
    for line in text.splitlines():
        device = line.split()[0] if line.split() else ""
        if device and _mounted_at(device, folder):
            numbers = _columns(line, device)
            if numbers:
                found.append(_left(f"your quota on {device}", *numbers))
    return found


def _ask(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    if shutil.which(argv[0], path=environ.get("PATH")) is None:
        return ""
    try:
        result = process.run(argv, timeout=5, env={**environ, "LC_ALL": "C"})
    except UserError:
        return ""  # a quota server that does not answer must not keep anybody from working
    return result.stdout


def _columns(text: str, name: str) -> tuple[int, int, int, int] | None:
    """(used kB, limit kB, used files, limit files) behind `name`; a soft limit stands in for no hard one."""
    flat = " ".join(text.split())
    rest = flat[flat.index(name) + len(name) :] if name in flat else ""
    cells = [c.rstrip("*") for c in rest.split()]
    if len(cells) < 7:
        return None
    used, soft, hard, _, files, soft_files, hard_files = cells[:7]
    values = [_kilobytes(v) for v in (used, soft, hard)] + [
        _count(v) for v in (files, soft_files, hard_files)
    ]
    if None in values:
        return None
    a, b, c, d, e, f = (v or 0 for v in values)
    return a, c or b, d, f or e


def _kilobytes(text: str) -> int | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kKMGT]?)", text)
    if not found:
        return None
    unit = UNITS.get(found[2].upper(), 1 << 10)
    return int(float(found[1]) * unit) >> 10


def _count(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _left(what: str, used: int, limit: int, files: int, file_limit: int) -> Left:
    return Left(
        what,
        max(0, limit - used) << 10 if limit else None,
        max(0, file_limit - files) if file_limit else None,
    )


def _mounted_at(device: str, folder: Path) -> bool:
    """Whether `folder` lies on the file system that the kernel knows by this device or export."""
    best, found = "", False
    try:
        rows = Path("/proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return False
    for row in rows:
        source, point, *_ = row.split()
        if (folder.is_relative_to(point)) and len(point) >= len(best):
            best, found = point, source == device
    return found
