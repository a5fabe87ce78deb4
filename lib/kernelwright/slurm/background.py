"""Questions to Slurm and writes to the home, which must not stop the message loop.

One thread each, answers by a pipe.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from typing import TYPE_CHECKING, Any

from .clients import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable


def _ignore(answer: Any) -> None:
    """Nobody waits for it: a failure is made good by the next try, or by the job's own end."""


class Background:
    """Runs calls aside; the loop polls `fd` and takes the answers with `finish`."""

    def __init__(self) -> None:
        self.fd, self._wake = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._wake, False)
        self._answers: queue.SimpleQueue[tuple[str, Callable[[Any], None], Any]] = (
            queue.SimpleQueue()
        )
        self._asked: set[str] = set()

    def busy(self, *tags: str) -> bool:
        """Whether a question with one of these tags is under way."""
        return not self._asked.isdisjoint(tags)

    def ask(
        self, tag: str, question: Callable[[], Any], then: Callable[[Any], None] = _ignore
    ) -> bool:
        """Start `question` unless one with this tag is under way.

        `then` is called by the loop with the answer, or with the exception that was raised.
        """
        if tag in self._asked:
            return False
        self._asked.add(tag)
        try:
            threading.Thread(target=self._run, args=(tag, question, then), daemon=True).start()
        except RuntimeError as error:  # the session has no room for a thread at this moment
            self._deliver(tag, then, Unreachable(str(error)))
        return True

    def _run(self, tag: str, question: Callable[[], Any], then: Callable[[Any], None]) -> None:
        try:
            answer = question()
        except Exception as error:  # noqa: BLE001 - the loop decides what each error means
            answer = error
        self._deliver(tag, then, answer)

    def _deliver(self, tag: str, then: Callable[[Any], None], answer: Any) -> None:
        self._answers.put((tag, then, answer))
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b".")

    def finish(self) -> None:
        """Deliver every answer that has come; called by the loop when `fd` is readable."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 4096)
        while True:
            try:
                tag, then, answer = self._answers.get_nowait()
            except queue.Empty:
                return
            self._asked.discard(tag)
            then(answer)
