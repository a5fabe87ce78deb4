"""What Slurm says of the job: asked aside, one question at a time, with backoff and jitter.

"Slurm does not answer" means that the job is as it was; a job is gone only after several clean
answers that do not know it.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Protocol

from .reasons import OVER
from .scheduler import Ended, Job

if TYPE_CHECKING:
    from .background import Background
    from .queueview import QueueView
    from .scheduler import Scheduler

SHORTEST, LONGEST = 2.0, 30.0  # seconds between two questions
ENDING = 5.0  # seconds of COMPLETING after which the job is over for the person who waits
MISSES = 3  # clean "not found" answers after which a job is believed to be gone


class Listener(Protocol):
    """Who is told; the broker."""

    def seen(self, job: Job) -> None:
        """Slurm knows the job and it is not over."""

    def outage(self) -> None:
        """Slurm does not answer."""

    def over(self, ended: Ended) -> None:
        """The job is over; called once."""


class Watcher:
    """Watches one job from its submission to its end."""

    def __init__(
        self, scheduler: Scheduler, view: QueueView, background: Background, listener: Listener
    ) -> None:
        self.scheduler = scheduler
        self.view = view
        self.background = background
        self.listener = listener
        self.job: str | None = None
        self.next = float("inf")
        self.pause = SHORTEST
        self.misses = 0
        self.finished = False
        self._last: tuple[str, str] = ("", "")
        self._completing = float("inf")

    def watch(self, job: str) -> None:
        """Begin; the first look comes soon, because the first reason that Slurm gives is empty."""
        self.job = job
        self.next = time.monotonic() + 0.3

    def hurry(self, seconds: float = 0.0) -> None:
        """Look again soon: the agent has gone or was silent."""
        if not self.finished:
            self.next = min(self.next, time.monotonic() + seconds)
            self.pause = SHORTEST

    def tick(self) -> None:
        """Called by the loop: asks when it is time."""
        if self.job is None or self.finished or time.monotonic() < self.next:
            return
        job, fresh = self.job, min(self.pause / 2, 5.0)
        self.next = time.monotonic() + self.pause * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        self.background.ask("queue", lambda: self.view.job(job, fresh=fresh), self._answered)

    def _answered(self, answer: Job | Exception | None) -> None:
        if self.finished:
            return
        if isinstance(answer, Exception):  # Unreachable, or a client that cannot be run just now
            self.pause = min(LONGEST, self.pause * 1.5)
            self.listener.outage()
            return
        if answer is None:
            self.misses += 1
            self.pause = SHORTEST
            if self.misses >= MISSES:
                self._ask_end()
            return
        self.misses = 0
        unchanged = (answer.state, answer.reason) == self._last
        self._last = (answer.state, answer.reason)
        self.pause = min(LONGEST, self.pause * 1.5) if unchanged else SHORTEST
        if answer.state in OVER or answer.state == "COMPLETING":
            self._ask_end()
        else:
            self.listener.seen(answer)

    def _ask_end(self) -> None:
        job = self.job or ""
        self.background.ask("end", lambda: self.scheduler.ended(job), self._end_known)

    def _end_known(self, answer: Ended | Exception | None) -> None:
        if self.finished:
            return
        if isinstance(answer, Exception):
            self.listener.outage()
            self.hurry(SHORTEST)
            return
        if answer is None:
            answer = Ended("GONE")
        if answer.state not in OVER and answer.state != "GONE" and not self._lingers(answer.state):
            self.hurry(0.5)  # COMPLETING, or not yet noticed: the end comes in a moment
            return
        self.finished = True
        self.view.forget(self.job or "")
        self.listener.over(answer)

    def _lingers(self, state: str) -> bool:
        """Whether a job has been COMPLETING for a while: its processes are gone, an epilog runs."""
        if state != "COMPLETING":
            self._completing = float("inf")
            return False
        self._completing = min(self._completing, time.monotonic())
        return time.monotonic() - self._completing > ENDING
