"""One squeue for all of a user's kernels on a host: whoever finds the answer old asks for everybody.

The answers lie in a private folder of the node. Without it (or with a foreign one in its place) each
broker asks for itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .scheduler import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .scheduler import Scheduler

WANTED = 120.0  # seconds after which a kernel that has not asked again is forgotten


class QueueView:
    """The shared view; a cluster's brokers find each other by the name of its configuration."""

    def __init__(self, scheduler: Scheduler, *, cluster: str, base: Path = Path("/tmp")) -> None:  # noqa: S108 - checked for owner and mode before use
        self.scheduler = scheduler
        name = hashlib.sha256(cluster.encode()).hexdigest()[:8]
        self.folder = base / f"kernelwright-{os.getuid()}-{name}"

    def job(self, job: str, *, fresh: float) -> Job | None:
        """The row of a job, at most `fresh` seconds old; None where Slurm does not know it.

        May raise Unreachable.
        """
        if not self._usable():
            return self.scheduler.jobs([job]).get(job)
        wanted = self._wanted(job)
        answer = self._cached(fresh)
        if answer is None or job not in answer[1]:
            rows = self.scheduler.jobs(wanted)
            self._keep(wanted, rows)
            return rows.get(job)
        return answer[0].get(job)

    def forget(self, job: str) -> None:
        """The job is over: nobody needs to ask for it any more."""
        with contextlib.suppress(OSError):
            os.unlink(self.folder / f"want-{job}")

    def _usable(self) -> bool:
        with contextlib.suppress(OSError):
            os.mkdir(self.folder, 0o700)
        try:
            found = os.lstat(self.folder)
        except OSError:
            return False
        mine = found.st_uid == os.getuid() and not found.st_mode & 0o077
        return mine and stat.S_ISDIR(found.st_mode)

    def _wanted(self, job: str) -> list[str]:
        """This job and those that other brokers asked for lately."""
        found = {job}
        with contextlib.suppress(OSError):
            (self.folder / f"want-{job}").touch()
            now = time.time()
            for entry in os.scandir(self.folder):
                if entry.name.startswith("want-") and entry.name[5:].isdigit():
                    with contextlib.suppress(OSError):
                        if now - entry.stat().st_mtime < WANTED:
                            found.add(entry.name[5:])
                        else:
                            os.unlink(entry.path)
        return sorted(found, key=int)

    def _cached(self, fresh: float) -> tuple[Mapping[str, Job], set[str]] | None:
        path = self.folder / "queue.json"
        try:
            if abs(time.time() - os.stat(path).st_mtime) > fresh:
                return None
            data = json.loads(path.read_text())
            return {k: Job(**v) for k, v in data["jobs"].items()}, set(data["asked"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _keep(self, asked: list[str], rows: Mapping[str, Job]) -> None:
        text = json.dumps({"asked": asked, "jobs": {k: asdict(v) for k, v in rows.items()}})
        temporary = self.folder / f".queue.{os.getpid()}"
        with contextlib.suppress(OSError):
            temporary.write_text(text)
            os.replace(temporary, self.folder / "queue.json")
