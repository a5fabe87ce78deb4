"""The jobs of a user's kernels: list, cancel, and sweep what no broker looks after any more."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from . import notices, record
from .reasons import why_waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from ..config.model import SiteConfig
    from .scheduler import Job, Scheduler

COMMENT = "kernelwright:"  # begins the comment of every kernel's job
NAME = re.compile(r"kw-.+-[0-9a-f]{12}")  # submission.py: for sites where Slurm drops comments
BEAT = 30.0  # seconds between two signs of life of a broker
DEAD = 180.0  # seconds without one after which a broker of another host is taken for dead
KEEP_LOGS = 7 * 86400.0


@dataclass(frozen=True)
class KernelJob:
    """One job of a kernel, as `kernelwright jobs list` shows it."""

    job: str
    kernel: str
    state: str
    text: str
    node: str
    elapsed: str
    partition: str
    session: str
    notebook: bool | None  # whether its broker lives; None where no record is found
    name: str

    def as_json(self) -> dict[str, Any]:
        """The member of `jobs list --json`."""
        return {k: v for k, v in self.__dict__.items() if k != "name"}


def listed(scheduler: Scheduler, bases: Sequence[Path], user: str | None = None) -> list[KernelJob]:
    """The jobs of the user's kernels that are not over. May raise Unreachable."""
    found = living(bases)
    rows = scheduler.own(user or pwd.getpwuid(os.getuid()).pw_name)
    ours = [row for row in rows if row.comment.startswith(COMMENT) or NAME.fullmatch(row.name)]
    return [_kernel_job(row, found.get(row.name)) for row in ours]


def _kernel_of(row: Job, facts: Mapping[str, str]) -> str:
    if name := facts.get("kernel"):
        return name
    return row.name.removeprefix("kw-").rpartition("-")[0] if NAME.fullmatch(row.name) else ""


def _kernel_job(row: Job, notebook: bool | None) -> KernelJob:
    facts = dict(
        part.partition("=")[::2]
        for part in row.comment.removeprefix(COMMENT).split(";")
        if row.comment.startswith(COMMENT) and "=" in part
    )
    text = ""
    if row.state == "PENDING":
        text = why_waiting(row.reason)
        if row.starts is not None and row.starts > time.time():
            text += f"; not before {notices.clock(row.starts, time.time())}"
    elif row.ends is not None:
        text = f"until {notices.clock(row.ends, time.time())}"
    return KernelJob(
        job=row.id, kernel=_kernel_of(row, facts), state=row.state, text=text, node=row.node,
        elapsed=row.elapsed, partition=row.partition, session=facts.get("session", ""),
        notebook=notebook, name=row.name,
    )  # fmt: skip


def select(
    jobs: Iterable[KernelJob], words: Sequence[str], *, session: str | None, everything: bool
) -> list[KernelJob]:
    """The jobs that the words name (job ids or kernel names). Raises UserError `no-such-job`.

    Empty words, which an unset variable of a script leaves, name nothing.
    """
    known = list(jobs)
    if session == "":
        raise UserError("no-such-job", "a session without a name has no jobs")
    if session is not None:
        return [job for job in known if job.session == record.session_word(session)]
    if everything:
        return known
    chosen = []
    for word in words:
        matching = [job for job in known if word and word in {job.job, job.kernel}]
        if not matching:
            raise UserError(
                "no-such-job",
                f"no kernel of yours has a job called `{word[:80]}`",
                hint="`kernelwright jobs list` shows them",
            )
        chosen += matching
    return list(dict.fromkeys(chosen))


def clean(scheduler: Scheduler, bases: Sequence[Path], user: str | None = None) -> list[KernelJob]:
    """Cancel the jobs whose notebook is gone and forget old records; the cancelled jobs.

    A job without a record may be another home's (of the demonstration): its own agent ends it.
    May raise Unreachable.
    """
    orphans = [job for job in listed(scheduler, bases, user) if job.notebook is False]
    if orphans:
        scheduler.cancel(ids=[job.job for job in orphans])
    for base in bases:
        _forget(base)
    return orphans


def folders(home: Path, environ: Mapping[str, str], site: SiteConfig) -> list[Path]:
    """Where the records of a user's kernels may lie: in the home, and on the site's storage."""
    from ..store.expand import expand

    root = site.storage.root
    return record.bases(home, expand(root, home, environ) if root else None)


def end_session(connect: Callable[[], Scheduler], bases: Sequence[Path], session: str) -> list[str]:
    """Cancel what the brokers of a session that is over have left behind; the names of these jobs.

    Slurm is asked only where there is such a record. Raises Unreachable: the jobs' own agents end them then.
    """
    names = []
    for base in bases:
        for path in [*base.glob("*/owner-*.json"), *base.glob("*/reaped-*.json")]:
            data = record.read(path)
            if data.get("session") != session or data.get("host") != socket.gethostname():
                continue
            folder, name = record.Folder(path.parent), str(data.get("job_name", ""))
            tag = str(data.get("tag", ""))
            folder.clear(tag)  # a job that is submitted this moment finds no keys and ends at once
            if NAME.fullmatch(name):
                connect().cancel(name=name)
                names.append(name)
            folder.clear(tag, record=path)
    return names


def living(bases: Sequence[Path]) -> dict[str, bool]:
    """Job name -> whether its broker lives, for every record there is."""
    found = {}
    for base in bases:
        now = _now(base)
        for path in base.glob("*/owner-*.json"):
            data = record.read(path)
            if name := data.get("job_name"):
                found[str(name)] = _lives(path, data, now)
    return found


def _lives(path: Path, data: dict[str, Any], now: float) -> bool:
    if data.get("host") == socket.gethostname():
        try:
            with open(f"/proc/{int(data.get('pid', 0))}/cmdline", "rb") as file:
                return b"kernelwright.slurm.broker" in file.read()
        except OSError:
            return False
    try:
        return now - path.stat().st_mtime < DEAD
    except OSError:
        return False


def _now(base: Path) -> float:
    """The file server's idea of now, by which its files' ages are told."""
    probe = base / f".now.{os.getpid()}"
    try:
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
    except OSError:
        return time.time()
    return now


def _forget(base: Path) -> None:
    """Remove the records of dead brokers, and folders whose log nobody will read any more."""
    now = _now(base)
    for folder in base.glob("*/"):
        for path in [*folder.glob("owner-*.json"), *folder.glob("reaped-*.json")]:
            data = record.read(path)
            with contextlib.suppress(OSError):
                is_old = now - path.stat().st_mtime > DEAD
                if is_old and not _lives(path, data, now):
                    record.Folder(folder).clear(str(data.get("tag", "")), record=path)
        with contextlib.suppress(OSError):
            newest = max((p.stat().st_mtime for p in folder.iterdir()), default=0.0)
            if not list(folder.glob("owner-*.json")) and now - newest > KEEP_LOGS:
                shutil.rmtree(folder, ignore_errors=True)
