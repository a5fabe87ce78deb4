"""How much an environment needs and what is left, told before the first byte is written.

What lies in the package cache is counted exactly; for the rest the archive's size stands in (packages of
conda-forge unpack to 3.5 times their archive and hold one file per 12 kB of it, in the mean).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ... import process
from ...errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .values import Package

UNPACKED = 3.5
PER_FILE = 12_000
MARGIN = 64 << 20  # bytes that stay free for logs and compiled files, or a tenth of a small need
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Need:
    """What a build writes: bytes and files in the cache, and in the environment itself."""

    download: int
    cache_bytes: int
    cache_files: int
    env_bytes: int
    env_files: int

    @property
    def total_bytes(self) -> int:
        """Everything that is written, wherever."""
        return self.cache_bytes + self.env_bytes

    @property
    def total_files(self) -> int:
        """Every file that counts in a quota of files."""
        return self.cache_files + self.env_files

    def words(self) -> str:
        """For people: "1.2 GB in 31,000 files"."""
        return f"{size(self.total_bytes)} in {_round(self.total_files):,} files"


@dataclass(frozen=True)
class Left:
    """What one limit leaves; None where the limit does not count that."""

    what: str
    bytes: int | None
    files: int | None


def estimate(packages: Sequence[Package], cache: Path, prefix: Path, *, copy: bool = False) -> Need:
    """What linking (or copying) `packages` into `prefix` over the cache at `cache` will write."""
    linked = not copy and same_device(cache, prefix)
    download = cache_bytes = cache_files = env_bytes = env_files = 0
    for package in packages:
        known = _in_cache(cache / "pkgs" / package.folder)
        unpacked, files = known or (int(package.size * UNPACKED), 5 + package.size // PER_FILE)
        if known is None:
            download += package.size
            cache_bytes += unpacked
            cache_files += files
        if not linked:
            env_bytes += unpacked
            env_files += files
    return Need(download, cache_bytes, cache_files, env_bytes, env_files)


def same_device(cache: Path, prefix: Path) -> bool:
    """Whether files of the cache can be hard-linked into the prefix."""
    return os.stat(_existing(cache)).st_dev == os.stat(_existing(prefix)).st_dev


def _in_cache(folder: Path) -> tuple[int, int] | None:
    """Bytes and files of a package that lies in the cache."""
    try:
        rows = json.loads((folder / "info/paths.json").read_bytes())["paths"]
        return sum(int(r.get("size_in_bytes") or 0) for r in rows), len(rows)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def check(need: Need, places: Mapping[str, Path], environ: Mapping[str, str]) -> str:
    """Compare `need` with what disks and quotas leave; the sentence for people, or `not-enough-space`."""
    words = f"needs about {need.words()}"
    tightest = ""
    for left in (limit for path in places.values() for limit in limits(path, environ)):
        short_of = []
        if left.bytes is not None:
            tightest = tightest or f", {size(left.bytes)} left"
            if need.total_bytes + min(MARGIN, need.total_bytes // 10) > left.bytes:
                short_of.append(f"{size(left.bytes)} left")
        if left.files is not None and need.total_files > left.files:
            short_of.append(f"{left.files:,} files left")
        if short_of:
            raise UserError(
                "not-enough-space",
                f"the environment {words}, {' and '.join(short_of)}",
                context={
                    "limit": left.what,
                    "folders": ", ".join(str(p) for p in dict.fromkeys(places.values())),
                },
                hint="remove what you do not need (`kernelwright storage --clean` shows what is ours), or ask for more room",
            )
    return words + tightest


def limits(path: Path, environ: Mapping[str, str]) -> list[Left]:
    """Every limit that holds at `path`: the file system, then the user's quotas where they can be asked."""
    folder = _existing(path)
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


def size(number: float) -> str:
    """Bytes for people: "800 MB", "1.2 GB"."""
    for unit, step in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= step:
            value = number / step
            return (
                f"{value:.1f} {unit}"
                if value < 10 and unit in {"GB", "TB"}
                else f"{value:.0f} {unit}"
            )
    return f"{number:.0f} bytes"


def _round(count: int) -> int:
    return round(count, -3) if count > 10_000 else round(count, -2) if count > 1000 else count
