"""When a kernel may be given ports of 127.0.0.1 in place of socket files, and how it is told from a slow one.

Any user of the node can connect to a port and read iopub, so only a kernel that cannot do otherwise gets
them. Most can: they are waited for, however long a cold file system or a container keeps them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from typing import TYPE_CHECKING

from . import record

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 120.0  # seconds that a kernel of which nothing is known may live without sockets
SHORT = 20.0  # the same for languages whose kernels mostly know no socket files
# what launch.sh calls where the kernel is known to open socket files; kw_entry=1 is entry.py
_SPEAKS = re.compile(
    r"\bkw_entry=1\b|\bipykernel|\bIRkernel\b|\bIJulia\b|\bxeus|\bx(python|r|cpp|lua|sqlite|octave)\b"
)
# JeroMQ, NetMQ and Deno open ports of their own where they are asked for files
_MOSTLY_WITHOUT = {
    "java", "scala", "kotlin", "groovy", "clojure", "c#", "f#", "powershell", "typescript"
}  # fmt: skip
_COMPLAINT = re.compile(r"\b(ipc|transport|endpoint|address)\b", re.IGNORECASE)


class Habits:
    """What is known of a generation's kernel before it runs, and what is learnt."""

    def __init__(self, generation: Path, cache: Path) -> None:
        """`cache` keeps what was learnt; its file system is asked once, now."""
        name = hashlib.sha256(str(generation).encode()).hexdigest()[:16]
        self.mark = cache / f"ipc-{name}"
        self.is_told = bool(_SPEAKS.search(_text(generation / "launch.sh")))
        self.knows_ipc = self.is_told or self.mark.exists()
        language = str(record.read(generation / "kernel.json", foreign=True).get("language", ""))
        self.patience = SHORT if language.lower() in _MOSTLY_WITHOUT else PATIENCE

    def learn_ipc(self) -> None:
        """The kernel has answered on socket files: a slow start of it is nothing else from now on."""
        if self.knows_ipc:
            return
        self.knows_ipc = True
        # nobody may wait for a home that hangs
        import threading

        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        with contextlib.suppress(OSError):
            self.mark.touch(0o600)

    def is_too_late(self, seconds: float) -> bool:
        """Whether a kernel that lives but has opened nothing so far will not do it any more."""
        return not self.knows_ipc and seconds > self.patience

    def complains(self, said: str) -> bool:
        """Whether a kernel that ended has complained of the transport that it was asked for."""
        return not self.knows_ipc and bool(_COMPLAINT.search(said))


def exposed(why: str, node: str) -> str:
    """What is said of a kernel on ports."""
    return (
        f"this kernel {why}: it listens on ports of 127.0.0.1, where other users of node {node} "
        "can read its output; an exclusive node keeps them away"
    )


def log_size() -> int:
    """Bytes in the job's log, which is this process's standard output; 0 where it is no file."""
    with contextlib.suppress(OSError):
        return os.fstat(1).st_size
    return 0


def said_since(size: int) -> str:
    """What others wrote in the job's log since it had `size` bytes, 64 KiB at most."""
    try:
        with open("/proc/self/fd/1", "rb") as file:
            file.seek(size)
            text = file.read(65536).decode("utf-8", "replace")
    except OSError:  # a pipe or a terminal
        return ""
    return "\n".join(line for line in text.splitlines() if not line.startswith("kernelwright: "))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
