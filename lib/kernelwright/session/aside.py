"""Work that goes on beside the rest of `session prepare`; concurrent.futures would take 6 ms to import."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")


class Aside(Generic[R]):
    """`work` in a thread of its own; `result` waits for it and raises what it raised."""

    def __init__(self, work: Callable[[], R]) -> None:
        self._work = work
        self._done: list[R] = []
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._done.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again in `result`
            self._failed = error

    def result(self) -> R:
        """What `work` returned."""
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        return self._done[0]
