"""Where a session writes: its private folder, Jupyter's runtime folder and IPython's folder.

The private folder is made by before.sh on the node's own disk (0700). HOME is tried by writing, because a
full or read-only HOME shows in no permission bit; what Jupyter and IPython would write there moves then.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import Problem, UserError
from ..process import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROBE = 256 << 10  # bytes: room for an SQLite history and a few connection files
LOCK_TIMEOUT = 3.0  # seconds: a lock that works takes milliseconds, also on NFS
TRY_LOCK = """
import fcntl, sys, tempfile
with tempfile.NamedTemporaryFile(dir=sys.argv[1], prefix=".kernelwright-probe-") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


@dataclass(frozen=True)
class Places:
    """The folders of one session; `moved` are the variables that lead Jupyter away from HOME."""

    private: Path
    runtime: Path
    kernelspecs: Path
    moved: Mapping[str, str]
    problem: Problem | None = None


def arrange(
    private: Path, home: Path, environ: Mapping[str, str], *, network: bool = False
) -> Places:
    """Make the private folder's parts and say what must move away from HOME.

    `network` says that HOME is on a network file system: then its locks are tried too.
    """
    check_private(private)
    for part in ("runtime", "jupyter", "jupyter/kernels"):
        os.makedirs(private / part, mode=0o700, exist_ok=True)
    why = refusal(home) or (locks_fail(home) if network else None)
    if why is None:
        moved: dict[str, str] = {}
    else:
        moved = {
            "IPYTHONDIR": str(private / "ipython"),
            "JUPYTER_CONFIG_DIR": str(private / "config"),
            "JUPYTERLAB_SETTINGS_DIR": str(private / "lab/user-settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(private / "lab/workspaces"),
            "XDG_CACHE_HOME": environ.get("XDG_CACHE_HOME") or str(private / "cache"),
            "KERNELWRIGHT_HOME_READONLY": "1",
        }
        if os.access(home / ".jupyter", os.R_OK | os.X_OK):
            moved["JUPYTER_CONFIG_PATH"] = str(home / ".jupyter")
    problem = None
    if why is not None:
        problem = Problem(
            "home-unwritable",
            "warning",
            f"your home folder `{home}` cannot be written ({why}): settings and command history of this session are not kept",
            hint="free some space in your home folder, then launch again",
        )
    return Places(private, private / "runtime", private / "jupyter", moved, problem)


def check_private(folder: Path) -> None:
    """Refuse a folder for secrets that is not ours alone; raises `session-folder-not-private`."""
    try:
        status = os.lstat(folder)
    except OSError as error:
        raise _not_private(folder, error.strerror or "it is not there") from error
    if not stat.S_ISDIR(status.st_mode):
        raise _not_private(folder, "it is not a folder")
    if status.st_uid != os.geteuid():
        raise _not_private(folder, "it belongs to somebody else")
    if status.st_mode & 0o077:
        raise _not_private(folder, "others may enter it")


def refusal(home: Path) -> str | None:
    """Why nothing can be written in `home`, in the system's words; None when it can be."""
    probe = home / f".kernelwright-probe-{os.getpid()}"
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    try:
        os.posix_fallocate(handle, 0, PROBE)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(handle)
        os.unlink(probe)
    return None


def locks_fail(home: Path) -> str | None:
    """Why SQLite cannot be used in `home`; tried in a process of its own, because such a lock may hang."""
    try:
        done = run([sys.executable, "-I", "-c", TRY_LOCK, str(home)], timeout=LOCK_TIMEOUT)
    except UserError:
        return "file locks hang there"
    return None if done.ok else "file locks do not work there"


def _not_private(folder: Path, why: str) -> UserError:
    return UserError(
        "session-folder-not-private",
        f"the session's folder for secrets cannot be used: {why}",
        context={"folder": str(folder)},
        hint="launch again; if it happens twice, ask the support about the node's temporary folder",
    )
