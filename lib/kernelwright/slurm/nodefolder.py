"""What the agent has on its node: the folder of the kernel's sockets, and the job's log."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

PREFIX = "kw-"
SHORT = 60  # characters; the path of a Unix socket ends at 107 bytes


def make_folder(environ_tmp: str | None = None) -> Path:
    """A new 0700 folder for sockets and the connection file, below TMPDIR where that is short."""
    wanted = environ_tmp or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - mkdtemp makes it private
    base = Path(wanted if len(wanted) <= SHORT and os.path.isdir(wanted) else "/tmp")  # noqa: S108 - as above
    sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    (folder / "pid").write_text(f"{os.getpid()} {_node()}")
    return folder


def sweep(base: Path) -> None:
    """Remove the folders of our agents that were killed: a key lies in them."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(base):
            if entry.name.startswith(PREFIX) and _is_left(Path(entry.path)):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    try:
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        pid, node = (folder / "pid").read_text().split()
        if node != _node():
            return False  # a folder that nodes share: its pids are not ours to judge
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _node() -> str:
    return os.environ.get("SLURMD_NODENAME") or os.uname().nodename


def say(text: str) -> None:
    """A line in the job's log."""
    print(f"kernelwright: {time.strftime('%H:%M:%S')} {text}", flush=True)
