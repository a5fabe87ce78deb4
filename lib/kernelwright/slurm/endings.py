"""What a cell says when the job is over: what happened, the log's end, and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .notices import Notice
from .reasons import CANNOT_DIAL, why_ended
from .record import read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..errors import UserError
    from .record import Folder
    from .scheduler import Ended


@dataclass(frozen=True)
class Ending:
    """The error that every cell gets from now on, and the line that replaces a waiting one."""

    name: str
    text: str
    notice: Notice


def of_job(job: str, ended: Ended, folder: Folder, tag: str, addresses: Sequence[str]) -> Ending:
    """The end of a job in words."""
    tail = folder.tail(job)
    why = why_ended(ended.state, ended.exit_code, tail)
    place = f" on node {ended.node}" if ended.node not in {"", "(null)", "None assigned"} else ""
    head = f"Slurm job {job}{place} is over: {why.cause} ({_state(ended)})"
    lines = [head]
    if ended.elapsed and ended.elapsed != "00:00:00":
        limit = f" of {ended.limit}" if ended.limit else ""
        lines.append(f"it ran {ended.elapsed}{limit}")
    if ended.exit_code == f"{CANNOT_DIAL}:0":
        lines += _unreachable(folder, tag, addresses)
    lines.append(why.remedy)
    if tail:
        lines += ["", f"the end of its log ({folder.log(job)}):", tail]
    return Ending("SlurmJobEnded", "\n".join(lines), Notice(head, "bad", (why.remedy,)))


def _state(ended: Ended) -> str:
    told = ended.state.replace("_", "")  # OutOfMemory says no more than OUT_OF_MEMORY
    plain = ended.reason in {"", "None", "(null)"} or ended.reason.upper() == told
    return ended.state if plain else f"{ended.state}, {ended.reason}"


def _unreachable(folder: Folder, tag: str, addresses: Sequence[str]) -> list[str]:
    report = read(folder.report(tag))
    node = ", ".join(report.get("addresses", [])) or "unknown"
    lines = [
        f"the node's addresses: {node}",
        f"the notebook's addresses: {', '.join(addresses)}",
    ]
    return lines + [f"  {tried}" for tried in report.get("tried", [])]


def of_error(error: UserError) -> Ending:
    """A job that could not even be submitted."""
    lines = [error.message, *(f"{k}: {v}" for k, v in error.context.items())]
    if error.hint:
        lines.append(error.hint)
    hint = (error.hint,) if error.hint else ()
    return Ending("SlurmJobRefused", "\n".join(lines), Notice(error.message, "bad", hint))


def idle(job: str, minutes: float) -> Ending:
    """The site's idle limit."""
    head = f"Slurm job {job} is over: no cell had run for {minutes:g} min"
    remedy = "Kernel > Restart submits a new job"
    return Ending("SlurmJobEnded", f"{head}\n{remedy}", Notice(head, "bad", (remedy,)))


def cancelled(job: str) -> Ending:
    """`%kernelwright cancel`."""
    head = f"Slurm job {job} is over: you cancelled it"
    remedy = "Kernel > Restart submits a new job"
    return Ending("SlurmJobEnded", f"{head}\n{remedy}", Notice(head, "bad", (remedy,)))
