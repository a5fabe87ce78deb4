"""The one module that knows a scheduler's words, behind a small contract.

The broker, the reaper and `kernelwright jobs` use a `Scheduler` and nothing else of Slurm. Another
one (PBS Pro, LSF) is one more class here with these methods, plus its own header lines in `script`
and its state names in `reasons`; see docs/admins/slurm.md.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from ..errors import UserError
from .clients import Clients, Unreachable, job_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..process import Result

_ROW = "%i|%T|%N|%S|%e|%M|%P|%r|%j|%k"
_ID = re.compile(
    r"(\d+)(?:;\S+)?"
)  # of sbatch --parsable: the id, and the cluster where there are several
_UNKNOWN = re.compile(r"Invalid job id", re.IGNORECASE)
QUICK = 10.0  # seconds for the question that is asked again and again
_NO_NODE_NOW = "Requested node configuration is not available"


@dataclass(frozen=True)
class Job:
    """One row of the queue; times are seconds since the epoch, None where Slurm gives none."""

    id: str
    state: str
    reason: str = ""
    node: str = ""
    starts: float | None = None  # PENDING: not before; RUNNING: the start
    ends: float | None = None
    elapsed: str = ""
    partition: str = ""
    name: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Ended:
    """What the scheduler knows of a job that is over (or still is not: `state` says it)."""

    state: str
    reason: str = ""
    exit_code: str = "0:0"
    node: str = ""
    elapsed: str = ""
    limit: str = ""


class Scheduler(Protocol):
    """What a scheduler must answer. Every call may raise `Unreachable`; none waits for ever."""

    def preflight(self, script: str) -> str | None:
        """Slurm's own words for why the script can never run; None where it may."""

    def submit(self, script: str) -> str:
        """Submit the script and return the job id. Raises UserError `slurm-refused`."""

    def jobs(self, ids: Sequence[str]) -> Mapping[str, Job]:
        """The queue's rows of these jobs, ended ones too; an absent id is not known (any more)."""

    def named(self, name: str) -> list[str]:
        """The ids of the user's jobs of that name which are not over (COMPLETING is over)."""

    def own(self, user: str) -> list[Job]:
        """All jobs of a user that are not over."""

    def ended(self, job: str) -> Ended | None:
        """How a job ended, from every record there is; None where nobody knows it."""

    def cancel(self, *, ids: Iterable[str] = (), name: str | None = None) -> None:
        """Cancel jobs by id or by name; unknown ones are no error."""

    def shorten(self, job: str, seconds: float) -> None:
        """Lower the time limit of a job, which its owner may do."""

    def address(self, node: str) -> str | None:
        """The network address of a node."""


class Slurm:
    """Slurm, through its command-line clients; `-o` text is parsed, `--json` differs by version."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients

    def preflight(self, script: str) -> str | None:
        """See Scheduler. "No such nodes" is believed only while no node of the cluster is away."""
        env = job_environment(self.clients.environ)
        found = self.clients.call("sbatch", "--test-only", stdin=script, env=env)
        if found.ok:
            return None
        words = _words(found)
        if _is_outage(words):
            raise Unreachable(words)
        if _NO_NODE_NOW in words and self._nodes_away():
            return None
        return words

    def _nodes_away(self) -> bool:
        found = self.clients.call("sinfo", "-h", "-o", "%T")
        return any(s.rstrip("*~#!%$@^-").lower() in _AWAY for s in found.stdout.split())

    def submit(self, script: str) -> str:
        """See Scheduler."""
        env = job_environment(self.clients.environ)
        found = self.clients.call("sbatch", "--parsable", stdin=script, env=env)
        ids = [
            word[1] for line in found.stdout.splitlines() if (word := _ID.fullmatch(line.strip()))
        ]
        if found.ok and ids:
            return ids[-1]  # a site's wrapper may have said something before it
        words = _words(found)
        if found.ok or _is_outage(words):  # the job may be there: it is looked for by its name
            raise Unreachable(words)
        raise UserError("slurm-refused", f"Slurm refused the job: {words}", hint=HINT_REFUSED)

    def jobs(self, ids: Sequence[str]) -> Mapping[str, Job]:
        """See Scheduler."""
        found = self.clients.call(
            "squeue", "-h", "-t", "all", "-j", ",".join(ids), "-o", _ROW, timeout=QUICK
        )
        return {job.id: job for job in self._rows(found)}

    def named(self, name: str) -> list[str]:
        """See Scheduler."""
        rows = self._rows(self.clients.call("squeue", "-h", "-n", name, "-o", _ROW))
        return [job.id for job in rows if job.state != "COMPLETING"]

    def own(self, user: str) -> list[Job]:
        """See Scheduler."""
        return self._rows(self.clients.call("squeue", "-h", "-u", user, "-o", _ROW))

    def _rows(self, found: Result) -> list[Job]:
        if not found.ok and not _UNKNOWN.search(found.stderr):
            raise Unreachable(_words(found))
        return [_job(line) for line in found.stdout.splitlines() if line.count("|") >= 9]

    def ended(self, job: str) -> Ended | None:
        """See Scheduler: scontrol first, then the accounting database."""
        found = self.clients.call("scontrol", "show", "job", "-o", job)
        if found.ok:
            return _ended(found.stdout)
        if not _UNKNOWN.search(found.stderr):
            raise Unreachable(_words(found))
        fields = "State,Reason,ExitCode,NodeList,Elapsed,Timelimit"
        found = self.clients.call("sacct", "-n", "-X", "-P", "-j", job, "-o", fields)
        row = (found.stdout.splitlines() or [""])[0].split("|")
        if not found.ok or len(row) < 6:
            return None
        return Ended(row[0].split(" ")[0], *row[1:6])

    def cancel(self, *, ids: Iterable[str] = (), name: str | None = None) -> None:
        """See Scheduler."""
        found = self.clients.call("scancel", *([f"--name={name}"] if name else []), *ids)
        if not found.ok and not _UNKNOWN.search(found.stderr):
            raise Unreachable(_words(found))

    def shorten(self, job: str, seconds: float) -> None:
        """See Scheduler; Slurm counts in minutes."""
        limit = f"TimeLimit={max(1, round(seconds / 60))}"
        self.clients.call("scontrol", "update", f"JobId={job}", limit)

    def address(self, node: str) -> str | None:
        """See Scheduler: NodeAddr, because node names need no DNS entry."""
        found = self.clients.call("scontrol", "show", "node", "-o", node)
        return _fields(found.stdout).get("NodeAddr") if found.ok else None


HINT_REFUSED = "change it with `kernelwright edit NAME --slurm ...`; `sinfo` lists the partitions"
_AWAY = frozenset(
    [
        "down",
        "drained",
        "draining",
        "drng",
        "drain",
        "fail",
        "failing",
        "maint",
        "reserved",
        "unknown",
    ]
)


def _words(found: Result) -> str:
    """What a client said, without its own name in front."""
    said = found.stderr.strip() or found.stdout.strip() or f"exit status {found.status}"
    lines = [
        re.sub(r"^(sbatch|squeue|scancel|scontrol): (error: )?", "", x) for x in said.splitlines()
    ]
    return "; ".join(dict.fromkeys(x.strip() for x in lines if x.strip()))[:400]


def _is_outage(words: str) -> bool:
    return bool(
        re.search(r"Unable to contact|timed out|Connection refused|Socket|Zero Bytes", words)
    )


def _job(line: str) -> Job:
    job, state, node, starts, ends, elapsed, partition, reason, name, comment = line.split("|", 9)
    return Job(
        id=job, state=state, node=node, starts=_epoch(starts), ends=_epoch(ends), elapsed=elapsed,
        partition=partition, name=name, reason=reason, comment="" if comment == "(null)" else comment,
    )  # fmt: skip


def _epoch(text: str) -> float | None:
    """Slurm's local time as seconds since the epoch; None for N/A, Unknown and NONE."""
    try:
        return time.mktime(datetime.fromisoformat(text).timetuple())
    except (ValueError, OverflowError):
        return None


def _fields(text: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def _ended(text: str) -> Ended:
    values = _fields(text)
    return Ended(
        state=values.get("JobState", "UNKNOWN"),
        reason=values.get("Reason", ""),
        exit_code=values.get("ExitCode", "0:0"),
        node=values.get("BatchHost", values.get("NodeList", "")),
        elapsed=values.get("RunTime", ""),
        limit=values.get("TimeLimit", ""),
    )


def connect(*, environ: Mapping[str, str], submit: str = "local") -> Slurm:
    """The site's scheduler. Raises UserError `slurm-off` where the site submits none."""
    if submit == "none":
        raise UserError(
            "slurm-off",
            "this site does not run kernels in Slurm jobs of their own",
            hint="make the kernel local with `kernelwright edit NAME --local`",
        )
    return Slurm(Clients(environ=environ, submit=submit))
