"""What the agent has on its node: the folder of the kernel's sockets, and the job's log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path

PREFIX = "kw-"
MARK = "agent"
# slurmstepd's words in the job's log; SLURM_SUBMIT_DIR names the folder of sbatch, not of --chdir
_STRAYED = re.compile(r"chdir to [`'\"]?(/.*?)['\"]?: ([^:\n]*): going to /\S* instead")
SHORT = 60  # characters; the path of a Unix socket ends at 107 bytes


def make_folder(environ_tmp: str | None = None) -> Path:
    """A new 0700 folder for sockets and the connection file: below TMPDIR where that is short and has room.

    Raises OSError where /tmp has none either.
    """
    wanted = environ_tmp or os.environ.get("TMPDIR")
    if wanted and len(wanted) <= SHORT:
        try:
            return _made(Path(wanted))
        except OSError as error:  # missing, not writable or full
            say(f"TMPDIR cannot be used, /tmp is: {error}")
    return _made(Path("/tmp"))  # noqa: S108 - mkdtemp makes it private


def _made(base: Path) -> Path:
    sweep(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        _mark(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _mark(folder: Path) -> None:
    """A file that stays locked as long as this process lives: process ids differ between namespaces."""
    new = folder / "new"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # open to the process's end
    with contextlib.suppress(OSError):  # a file system without locks: the folder is never swept
        os.write(handle, _node().encode())
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(new, folder / MARK)


def sweep(base: Path) -> None:
    """Remove the folders of our agents that were killed: a key lies in them."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(base):
            if entry.name.startswith(PREFIX) and _is_left(Path(entry.path)):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether it is ours, of this node, and nobody holds its mark any more."""
    try:
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        with open(folder / MARK, encoding="utf-8") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return mark.read() == _node()  # else a folder that nodes share: perhaps not its locks
    except (OSError, ValueError):
        return False


def _node() -> str:
    return os.environ.get("SLURMD_NODENAME") or os.uname().nodename


def strayed(log: str) -> list[str]:
    """A line on the working folder, by the job's log, where Slurm could not enter the one that was asked for."""
    found = _STRAYED.search(log)
    if found is None:
        return []
    text = (
        f"the folder {found[1]} cannot be entered on node {_node()} ({found[2]}): "
        f"the kernel runs in {os.getcwd()}"
    )
    say(text)
    return [text]


def say(text: str) -> None:
    """A line in the job's log."""
    print(f"kernelwright: {time.strftime('%H:%M:%S')} {text}", flush=True)
