"""The end of a session: nothing of it goes on running, no job of its kernels either, and its private folder goes.

A server that ends in order ends its kernels. One that was killed leaves kernels behind (each leads a
process group of its own), and only Slurm's cgroups would end those. They are known by the session's folder
in their environment, which no other session has.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .places import check_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..config.model import SiteConfig

MARK = "KERNELWRIGHT_SESSION"
GRACE = 5.0  # seconds from TERM to KILL: a broker cancels its job in that time


def clean(private: Path, *, grace: float = GRACE) -> None:
    """End what still runs for this session, then remove the folder; called by clean.sh."""
    check_private(private)
    end_processes(private, grace=grace)
    shutil.rmtree(private, ignore_errors=True)


def end_jobs(private: Path, *, home: Path, environ: Mapping[str, str], site: SiteConfig) -> None:
    """Cancel the Slurm jobs of the session's kernels, where their brokers were killed before they could.

    Called when the server is over and again when all of its processes are. What fails is only said: a job that nobody
    cancels ends by itself when its lease is over.
    """
    from ..slurm import jobs
    from ..slurm.clients import Unreachable
    from ..slurm.scheduler import connect

    try:
        bases = jobs.folders(home, environ, site)
        jobs.end_session(
            lambda: connect(environ=environ, submit=site.slurm.submit), bases, str(private)
        )
    except (Unreachable, UserError, OSError) as error:
        print(f"kernelwright: the kernels' jobs were not cancelled now: {error}", file=sys.stderr)


def end_processes(private: Path, *, grace: float = GRACE) -> int:
    """TERM, then KILL to every process of this user that was started for the session; returns how many."""
    mine = _ancestors()
    first = [pid for pid in _started_for(private) if pid not in mine]
    _send(first, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        if not [pid for pid in _started_for(private) if pid not in mine]:
            return len(first)
        time.sleep(0.05)
    _send([pid for pid in _started_for(private) if pid not in mine], signal.SIGKILL)
    return len(first)


def _started_for(private: Path) -> Iterator[int]:
    """Processes with the session's mark in the same job.

    A batch job that the user submitted from a notebook inherits the mark, and may run on this very node.
    """
    mark = f"{MARK}={private}".encode()
    job = os.environ.get("SLURM_JOB_ID")
    me = os.geteuid()
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        with contextlib.suppress(OSError):
            folder = f"/proc/{entry}"
            if os.stat(folder).st_uid != me:
                continue
            said = Path(f"{folder}/environ").read_bytes().split(b"\0")
            jobs = [line for line in said if line.startswith(b"SLURM_JOB_ID=")]
            if mark in said and jobs == ([f"SLURM_JOB_ID={job}".encode()] if job else []):
                yield int(entry)


def _ancestors() -> set[int]:
    """This process and those above it: the job's own shell must live to say how it ended."""
    found = set()
    pid = os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found


def _send(pids: list[int], what: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, what)
