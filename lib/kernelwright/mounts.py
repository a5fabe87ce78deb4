"""Which file system a path lies on, from the kernel's own list of mounts."""

from __future__ import annotations

import os
import re
from functools import cached_property

LIST = "/proc/self/mountinfo"
LIST_LIMIT = 1 << 20  # bytes
NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "lustre",
        "gpfs",
        "beegfs",
        "cifs",
        "smb3",
        "fuse.sshfs",
        "afs",
        "ceph",
        "panfs",
    }
)


class Mounts:
    """The mounts as they were when the first path was asked for."""

    def __init__(self, file: str = LIST) -> None:
        self.file = file

    @cached_property
    def all(self) -> list[tuple[str, str, str]]:
        """(mount point, file system type, options), longest mount point first."""
        try:
            with open(self.file, "rb") as stream:
                text = stream.read(LIST_LIMIT).decode("utf-8", "replace")
        except OSError:
            return []
        found = []
        for line in text.splitlines():
            fields = line.split()
            if "-" in fields[6:] and len(fields) > fields.index("-", 6) + 3:
                dash = fields.index("-", 6)
                options = f"{fields[5]},{fields[dash + 3]}"
                found.append((_unescaped(fields[4]), fields[dash + 1], options))
        return sorted(found, key=lambda mount: -len(mount[0]))

    def file_system(self, path: str) -> tuple[str, str]:
        """Type and options of the file system that `path` lies on; ("", "") when unknown."""
        real = os.path.realpath(path)
        for point, kind, options in self.all:
            if real == point or real.startswith(point.rstrip("/") + "/"):
                return kind, options
        return "", ""


def _unescaped(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), point)
