"""Records of starts whose session has gone: what became of them is said at the next start of the kernel.

start.sh calls it in the background, only when it finds such a record:
`python -I -m kernelwright.launch.leftovers GENERATION STARTS OWN_KEY OWN_JOB`. Slurm is asked what became of the
job; a job that still runs (another session of the same person) is remembered as such and not asked again.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process
from ..errors import Problem, UserError
from . import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT = 20.0
# state of Slurm -> code, sentence, remedy; states that are not here are no news
ENDS = {
    "TIMEOUT": (
        "walltime-reached",
        "the time limit of job {job} was reached",
        "ask for more hours when you start the session",
    ),
    "OUT_OF_MEMORY": (
        "out-of-memory",
        "job {job} used up its memory",
        "ask for more memory when you start the session",
    ),
    "NODE_FAIL": ("node-failed", "the node {host} of job {job} failed", None),
    "BOOT_FAIL": ("node-failed", "the node {host} of job {job} failed", None),
    "PREEMPTED": (
        "job-ended",
        "job {job} had to make room for another one (PREEMPTED)",
        "choose another partition or QOS",
    ),
    "FAILED": ("job-ended", "job {job} ended as FAILED", None),
}
GOING = frozenset({"RUNNING", "PENDING", "SUSPENDED", "COMPLETING", "CONFIGURING", "STOPPED", ""})


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    generation, starts, own_key, own_job = Path(words[0]), Path(words[1]), words[2], words[3]
    for path in sorted(starts.glob("*.start")):
        if path.stem != own_key:
            with contextlib.suppress(OSError):
                settle(path, generation, own_job)
    return 0


def settle(path: Path, generation: Path, own_job: str) -> None:
    """Turn one record into a sentence for the next start, or remove it, or leave it where its job goes on."""
    record = explain.read_record(path)
    job = record.get("job", "")
    if job and job != own_job:
        state = job_state(job)
        if state in GOING:
            with path.open("a") as file:
                file.write(f"alive_for={own_job or 'none'}\n")
            return
        _tell(path, generation, record, state)
    elif (
        record.get("host") != os.uname().nodename or Path("/proc", record.get("pid", "0")).exists()
    ):
        return
    for suffix in (".start", ".log", ".problem"):
        path.with_suffix(suffix).unlink(missing_ok=True)


def job_state(job: str) -> str:
    """Slurm's word for the job: TIMEOUT, RUNNING...; empty where it cannot be asked; GONE when it forgot it."""
    known = False
    for argv, pattern in (
        (["scontrol", "show", "job", "-o", job], r"JobState=(\w+)"),
        (["sacct", "-n", "-X", "-P", "-o", "State", "-j", job], r"^(\w+)"),
    ):
        try:
            answer = process.run(argv, timeout=TIMEOUT)
        except UserError:
            continue
        found = re.search(pattern, answer.stdout)
        if answer.ok and found:
            return found[1]
        known = known or answer.ok or "Invalid job id" in answer.stderr
    return "GONE" if known else ""


def _tell(path: Path, generation: Path, record: Mapping[str, str], state: str) -> None:
    if state not in ENDS:
        return
    code, message, hint = ENDS[state]
    text = message.format(job=record.get("job"), host=record.get("host"))
    answer = explain.document(generation, record, Problem(code, "error", text, hint))
    died = path.with_suffix(".died")
    explain.write(died, answer)
    with contextlib.suppress(ValueError):
        begun = float(record.get("started", ""))
        os.utime(died, (begun, begun))  # old: not of a kernel that is being restarted just now


if __name__ == "__main__":
    raise SystemExit(main())
