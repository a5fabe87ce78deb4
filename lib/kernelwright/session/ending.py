"""Why a session is over, for the completed card: walltime, cancelled, out of memory, or the server's own exit."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import Problem
from . import job
from .card import Report, last_lines, read_report, write_report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARGIN = 120.0  # seconds before the walltime's end in which a TERM is the walltime's
SIGNALS = {
    9: "SIGKILL",
    11: "SIGSEGV",
    6: "SIGABRT",
    7: "SIGBUS",
    15: "SIGTERM",
    2: "SIGINT",
    1: "SIGHUP",
}
TIME_LIMIT = re.compile(r"slurmstepd.*CANCELLED AT .* DUE TO TIME LIMIT")
OUT_OF_MEMORY = re.compile(
    r"slurmstepd.*(oom[-_ ]kill|Out Of Memory|exceeded (job )?memory limit)", re.IGNORECASE
)
SAID = re.compile(r"kernelwright: ([a-z0-9-]{3,60}): (.{1,500})")


@dataclass(frozen=True)
class Ended:
    """How the server ended: its exit status as a shell gives it; `asked` when the job was told to end."""

    root: Path
    private: Path
    status: int
    asked: bool = False


def running(root: Path) -> None:
    """Say that the server answers; called once by after.sh. An end that was quicker stays."""
    if read_report(root).get("state") in {"preparing", "starting"}:
        _update(root, {"state": "running"})


def ended(how: Ended, environ: Mapping[str, str]) -> None:
    """Write the reason into report.json and, unless all went well, into output.log."""
    before = read_report(how.root)
    if before.get("state") in {"ended", "failed"}:
        return  # the first reason is the reason
    ran = before.get("state") == "running"
    log = last_lines(how.root / "output.log")
    problem = reason(
        how, log, ran=ran, ends_at=_end_of(before, environ), oom=_oom_grew(how.private)
    )
    _update(
        how.root,
        {
            "state": "ended" if ran or how.asked else "failed",
            "code": problem.code,
            "message": problem.message,
            "hint": problem.hint,
            "log": log if problem.severity == "error" else (),
        },
    )
    if problem.severity != "note":
        print(f"kernelwright: {problem.code}: {problem.message}", flush=True)
        if problem.hint:
            print(f"hint: {problem.hint}", flush=True)


def _end_of(before: Mapping[str, Any], environ: Mapping[str, str]) -> float | None:
    """When the walltime ends the job: as `prepare` found it, else as the environment says."""
    known = before.get("ends_at")
    return float(known) if isinstance(known, (int, float)) else job.ends_at(environ)


def reason(
    how: Ended, log: tuple[str, ...], *, ran: bool, ends_at: float | None, oom: bool = False
) -> Problem:
    """What a person should be told about this end."""
    text = "\n".join(log)
    if (oom or OUT_OF_MEMORY.search(text)) and how.status != 0:
        return Problem(
            "session-out-of-memory",
            "error",
            "the session used more memory than it had asked for, and the node ended it",
            "launch again with more memory",
        )
    if how.asked:
        over = ends_at is not None and time.time() > ends_at - MARGIN
        if over or TIME_LIMIT.search(text):
            return Problem(
                "session-walltime",
                "warning",
                "the session reached the end of its hours",
                "launch again, with more hours",
            )
        return Problem("session-cancelled", "note", "the session was cancelled")
    if how.status == 0:
        return Problem("session-shut-down", "note", "the notebook server was shut down")
    return _of_server(how.status, log, ran=ran)


def _of_server(status: int, log: tuple[str, ...], *, ran: bool) -> Problem:
    """Why the server ended by itself: in its own words, by a signal, or by its status."""
    for line in reversed(log):
        if match := SAID.search(line):
            return Problem(match[1], "error", match[2], HINTS.get(match[1]))
    if status - 128 in SIGNALS:
        return Problem(
            "server-killed",
            "error",
            f"the notebook server was ended by {SIGNALS[status - 128]}",
            "launch again; if it happens twice, ask for more memory",
        )
    return Problem(
        "server-exit" if ran else "server-did-not-start",
        "error",
        f"the notebook server ended with status {status}"
        + ("" if ran else " before it could be reached"),
        "the last lines of its log say more",
    )


HINTS = {
    "server-too-old": "ask the site to set `jupyter:` in its settings to a newer Jupyter, or to leave it out",
    "server-config-unreadable": "launch again; if it happens twice, ask the support about the node's temporary folder",
    "server-command-missing": "ask the site to correct `jupyter:` in its settings",
    "modules-not-loaded": "correct “Modules for the server” on the form; `module avail` lists what there is",
    "no-free-port": "launch again; the node had no free port",
    "server-slow": "launch again; if it happens twice, ask the support about the node's file systems",
}


def _oom_grew(private: Path) -> bool:
    """Whether the kernel killed something of this job since the session began."""
    try:
        before = int((private / "oom").read_text())
    except (OSError, ValueError):
        return False
    return job.oom_kills() > before


def _update(root: Path, changes: Mapping[str, Any]) -> None:
    """Write the report anew with `changes`; what stood there before is kept as far as it is sound."""
    before = read_report(root)
    problems = before.get("problems")
    known = [_problem(p) for p in problems] if isinstance(problems, list) else []
    if changes.get("code") and before.get("code"):
        known.append(_problem(before))
    report = Report(**_kept(before), problems=tuple(p for p in known if p))
    write_report(root, replace(report, **changes))


def _kept(before: Mapping[str, Any]) -> dict[str, Any]:
    """The members of an earlier report that have the right type."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "state": str,
        "code": str,
        "message": str,
        "hint": str,
        "kernel": dict,
        "node": str,
        "interface": str,
        "ends_at": (int, float),
    }
    kept = {key: before[key] for key, kind in kinds.items() if isinstance(before.get(key), kind)}
    log = before.get("log")
    return {**kept, "log": tuple(str(line) for line in log) if isinstance(log, list) else ()}


def _problem(value: Any) -> Problem | None:
    """A problem out of an earlier report, None where it is not one."""
    if not isinstance(value, dict) or not isinstance(value.get("code"), str):
        return None
    hint = value.get("hint")
    severity = value.get("severity")
    return Problem(
        value["code"],
        severity if severity in {"error", "warning", "note"} else "error",
        str(value.get("message") or ""),
        hint if isinstance(hint, str) else None,
    )
