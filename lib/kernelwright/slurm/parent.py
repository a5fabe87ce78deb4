"""Whether the Jupyter server that started us still lives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Parent:
    """Our parent process, and the server's process where Jupyter named it (JPY_PARENT_PID).

    Both, because a shell may stand between the server and us and outlive it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.parent = os.getppid()
        named = environ.get("JPY_PARENT_PID", "")
        self.server = int(named) if named.isdigit() and int(named) > 1 else None
        self.born = _born(self.server) if self.server is not None else None

    def is_gone(self) -> bool:
        """Whether we are an orphan; cheap, asked every second."""
        if os.getppid() != self.parent:
            return True
        return self.born is not None and _born(self.server) != self.born


def _born(pid: int | None) -> str | None:
    """The start time of a process, which tells it from a later one with the same pid."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in "ZX" else fields[19]
