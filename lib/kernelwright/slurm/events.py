"""What the broker does when the agent tells it that something happened at the node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from . import endings, notices
from .notices import Notice
from .waiting import fail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .alerts import Alerts
    from .allocation import Allocation
    from .cells import Cells
    from .front import Front


class Host(Protocol):
    """Who is told; the broker."""

    cells: Cells
    front: Front
    alerts: Alerts

    def released(self, node: str) -> None:
        """The kernel runs, and what has waited goes to it."""


def on_event(broker: Host, allocation: Allocation, event: Mapping[str, Any]) -> None:
    """Act on one event; unknown ones come from a newer agent and are ignored."""
    kind = event.get("event")
    if kind == "died":
        _died(broker, allocation, event)
    elif kind == "ready":
        broker.released(allocation.record.node)
    elif kind == "sigterm":
        allocation.watcher.hurry(0.05)
    elif kind == "leaving":
        allocation.watcher.hurry(0.2)
    elif kind == "usr1":
        broker.alerts.time_limit(allocation)
    elif kind == "remark":
        broker.cells.remark(str(event.get("text", "")))
    elif kind == "cancel":
        allocation.stop(endings.cancelled(allocation.job), 0)


def how_started(allocation: Allocation, node: str) -> Notice:
    """The last form of a waiting line. A kernel that starts again in its job has not waited for it."""
    if allocation.record.phase == "running":
        return Notice(f"started again in Slurm job {allocation.job} on node {node}", "good")
    return notices.started(allocation.job, node, time.time() - allocation.record.submitted)


def _died(broker: Host, allocation: Allocation, event: Mapping[str, Any]) -> None:
    """The kernel ended by itself; the agent starts it again in the same allocation."""
    allocation.agents.kernel_ready = False
    text = how_died(event)
    if tail := allocation.folder.tail(allocation.job, 10):
        text += f"\n\nthe end of the job's log:\n{tail}"
    for request in list(broker.cells.running.values()):
        fail(broker.front, request, "KernelDied", text)
    broker.cells.running.clear()
    broker.front.status("restarting", None)


def how_died(event: Mapping[str, Any]) -> str:
    """The end of a kernel process in words."""
    status = int(event.get("status", 0))
    again = "it starts again in the same Slurm job, without its variables"
    if event.get("oom"):
        return f"the kernel was killed because the job's memory was used up; {again}"
    if status < 0:
        return f"the kernel was killed by signal {-status}; {again}"
    return f"the kernel ended by itself with status {status}; {again}"
