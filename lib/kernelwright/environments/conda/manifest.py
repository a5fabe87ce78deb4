"""What an environment is made of, kept in HOME: scratch file systems remove files one by one.

The list is compressed (60 kB for 8,000 files) and leaves out compiled files, which Python writes itself.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "files.list.z"
SAMPLE = 48  # files that a quick look asks for


def write(prefix: Path, target: Path) -> int:
    """Write the manifest of `prefix` to `target` and return the number of files."""
    from ...store.atomic import write_bytes

    rows = sorted(_walk(prefix))
    write_bytes(target, zlib.compress("\n".join(rows).encode("utf-8", "surrogateescape"), 1))
    return len(rows)


def _walk(prefix: Path) -> Iterator[str]:
    root = len(str(prefix)) + 1
    waiting = [str(prefix)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    yield entry.path[root:]
                elif entry.name != "__pycache__":
                    waiting.append(entry.path)


def names(target: Path) -> list[str]:
    """The files of a manifest; [] when it cannot be read."""
    try:
        return zlib.decompress(target.read_bytes()).decode("utf-8", "surrogateescape").split("\n")
    except (OSError, zlib.error):
        return []


def missing(prefix: Path, target: Path, *, everything: bool = False) -> list[str]:
    """The files of the manifest that are gone; only a fixed sample unless `everything` is asked for.

    The sample takes milliseconds also on a slow file system; `doctor` asks for everything.
    """
    known = names(target)
    if not everything and len(known) > SAMPLE:
        step = len(known) / SAMPLE
        known = [known[int(i * step)] for i in range(SAMPLE)]
    return [name for name in known if not os.path.lexists(os.path.join(prefix, name))]
