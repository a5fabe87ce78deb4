"""How much an environment needs and what is left, told before the first byte is written.

What lies in the package cache is counted exactly; for the rest the archive's size stands in (packages of
conda-forge unpack to 3.5 times their archive and hold one file per 12 kB of it, in the mean).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UserError
from ..quota import existing, limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .values import Package

UNPACKED = 3.5
PER_FILE = 12_000
PATHS = "info/paths.json"  # of an unpacked package: its files and their sizes
MARGIN = 64 << 20  # bytes that stay free for logs and compiled files, or a tenth of a small need


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


def estimate(packages: Sequence[Package], cache: Path, prefix: Path, *, copy: bool = False) -> Need:
    """What linking (or copying) `packages` into `prefix` over the cache at `cache` will write."""
    linked = not copy and same_device(cache, prefix)
    download = cache_bytes = cache_files = env_bytes = env_files = 0
    for package in packages:
        folder = cache / "pkgs" / package.folder
        if linked and (folder / PATHS).exists():
            continue  # links take no room
        known = _in_cache(folder)
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
    return os.stat(existing(cache)).st_dev == os.stat(existing(prefix)).st_dev


def _in_cache(folder: Path) -> tuple[int, int] | None:
    """Bytes and files of a package that lies in the cache."""
    try:
        rows = json.loads((folder / PATHS).read_bytes())["paths"]
        return sum(int(r.get("size_in_bytes") or 0) for r in rows), len(rows)
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
