"""What the broker says by the clock: waiting lines, the time limit, idleness, lost contact."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import endings, notices
from .reasons import IDLE_OVER
from .settings import idle_limit

if TYPE_CHECKING:
    from ..config.model import SlurmConfig
    from .allocation import Allocation
    from .cells import Cells

LIMIT_WARNING = 120.0  # seconds before the time limit
IDLE_WARNING = 300.0  # seconds before an idle kernel ends
ASK = 3.0  # seconds of silence after which Slurm is asked
SILENCE = 15.0  # seconds of silence after which the person is told


class Alerts:
    """Remembers what was said, so that it is said once."""

    def __init__(self, cells: Cells, site: SlurmConfig) -> None:
        self.cells = cells
        self.idle = idle_limit(site)
        self.next_line = 0.0
        self.begun = time.monotonic()
        self.warned_for: float | None = None
        self.idle_warned = False
        self.asked = False
        self.silent = False

    def waiting(self, allocation: Allocation) -> None:
        """Rewrite the waiting lines: every second at first, less often for a long wait."""
        now = time.monotonic()
        if now < self.next_line:
            return
        age = now - self.begun
        self.next_line = now + (0.9 if age < 120 else 5.0 if age < 900 else 15.0)
        self.cells.room.update(allocation.waiting.notice(time.time()))

    def running(self, allocation: Allocation) -> None:
        """Everything that may be said while the kernel runs."""
        self._contact(allocation)
        if allocation.ends is not None and allocation.ends - time.time() <= LIMIT_WARNING:
            self.time_limit(allocation)
        if self.idle is not None:
            self._idle(allocation, self.idle)

    def time_limit(self, allocation: Allocation) -> None:
        """Say once that the time limit is near; again if the limit was moved meanwhile."""
        ends = allocation.ends
        if self.warned_for is not None and (ends is None or abs(ends - self.warned_for) < 60):
            return
        self.warned_for = ends or time.time() + LIMIT_WARNING
        left = self.warned_for - time.time()
        self.cells.say(notices.time_limit(allocation.job, left), "limit")

    def _idle(self, allocation: Allocation, limit: float) -> None:
        left = limit - self.cells.idle_since()
        near = left <= min(IDLE_WARNING, limit / 2)
        if left <= 0:
            allocation.stop(endings.idle(allocation.job, limit / 60), IDLE_OVER)
        elif not near:
            self.idle_warned = False  # a cell or a widget's callback has run since
        elif not self.idle_warned:
            self.idle_warned = True
            self.cells.say(notices.idle_soon(allocation.job, left), "idle")

    def _contact(self, allocation: Allocation) -> None:
        silent = allocation.agents.silent
        if silent < ASK:
            if self.silent:
                self.cells.say(notices.contact_back(allocation.record.node), "contact", again=True)
            self.asked = self.silent = False
            return
        if not self.asked:
            self.asked = True
            allocation.watcher.hurry()
        if silent > SILENCE:
            state = allocation.waiting.state
            notice = notices.contact_lost(allocation.job, allocation.record.node, silent, state)
            self.cells.say(notice, "contact", again=self.silent)
            self.silent = True
