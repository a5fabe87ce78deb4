"""What stands in a waiting cell: one line, as HTML and as plain text, rewritten in place."""

from __future__ import annotations

import html
import time
from dataclasses import dataclass, field
from typing import Any

from .reasons import duration, why_waiting


@dataclass(frozen=True)
class Notice:
    """One line with its colour, and further lines (a log, a remedy) below it."""

    text: str
    level: str = "waiting"  # waiting | good | warning | bad
    detail: tuple[str, ...] = field(default=())

    def bundle(self) -> dict[str, str]:
        """The MIME bundle of a display message."""
        colour = _COLOURS[self.level]
        below = "".join(f"<div>{html.escape(line)}</div>" for line in self.detail)
        page = (
            f'<div role="status" style="border-left:4px solid {colour};padding:2px 10px;margin:2px 0">'
            f"{html.escape(self.text)}{below}</div>"
        )
        return {"text/plain": "\n".join([self.text, *self.detail]), "text/html": page}

    def content(self, display_id: str) -> dict[str, Any]:
        """The content of display_data or update_display_data."""
        return {"data": self.bundle(), "metadata": {}, "transient": {"display_id": display_id}}


_COLOURS = {"waiting": "#d69e2e", "good": "#38a169", "warning": "#dd6b20", "bad": "#e53e3e"}


@dataclass(frozen=True)
class Waiting:
    """All that a waiting line is made from."""

    job: str | None = None
    state: str = ""
    reason: str = ""
    starts: float | None = None
    submitted: float = 0.0
    outage: bool = False
    node: str = ""

    def notice(self, now: float) -> Notice:
        """The line of this moment: state, reason in plain words, not-before time, time waited."""
        waited = duration(now - self.submitted)
        if self.job is None:
            why = (
                "Slurm does not answer; still trying" if self.outage else "asking Slurm for a place"
            )
            return Notice(f"{why} · {waited}")
        if self.state == "SUSPENDED":
            return Notice(f"Slurm job {self.job} is suspended at the moment", "warning")
        if self.outage:
            why = "Slurm does not answer at the moment; the job keeps its place"
            return Notice(f"Slurm job {self.job}: {why} · waited {waited}", "warning")
        if self.state in {"RUNNING", "CONFIGURING", "COMPLETING"}:
            place = f" on {self.node}" if self.node else ""
            return Notice(
                f"Slurm job {self.job} has started{place}; starting the kernel · waited {waited}"
            )
        words = f"Slurm job {self.job} {self.state or 'PENDING'}: {why_waiting(self.reason)}"
        if self.starts is not None and self.starts > now:
            words += f"; not before {clock(self.starts, now)}"
        return Notice(f"{words} · waited {waited}")


def clock(moment: float, now: float) -> str:
    """A time of day, with the date where it is not today."""
    local = time.localtime(moment)
    same_day = local[:3] == time.localtime(now)[:3]
    return time.strftime("%H:%M" if same_day else "%a %d %b %H:%M", local)


def started(job: str, node: str, waited: float) -> Notice:
    """The last form of a waiting line: the kernel runs."""
    return Notice(f"Slurm job {job} on node {node} after {duration(waited)}", "good")


def time_limit(job: str, left: float) -> Notice:
    """The warning before the time limit; Slurm itself is only exact to half a minute."""
    return Notice(
        f"Slurm job {job} ends in about {duration(max(left, 30))}: it reaches its time limit",
        "warning",
        ("save what you need now; Kernel > Restart then submits a new job",),
    )


def idle_soon(job: str, left: float) -> Notice:
    """The warning before an idle kernel ends."""
    return Notice(
        f"no cell has run for a long time: Slurm job {job} ends in {duration(left)}",
        "warning",
        ("run any cell to keep the kernel",),
    )


def contact_lost(job: str, node: str, silent: float, state: str) -> Notice:
    """The node has not been heard for a while; what Slurm says of the job."""
    says = {
        "RUNNING": f"Slurm job {job} still runs, waiting for contact",
        "SUSPENDED": f"Slurm job {job} is suspended at the moment",
    }.get(state, f"Slurm job {job} is {state}")
    return Notice(f"no word from node {node} for {duration(silent)}; {says}", "warning")


def contact_back(node: str) -> Notice:
    """The silence is over."""
    return Notice(f"contact with node {node} is back; nothing was lost", "good")
