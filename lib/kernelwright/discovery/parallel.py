"""Many small file operations, in threads where the file system is slow; bounded where it hangs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .places import Root

T = TypeVar("T")
R = TypeVar("R")
SAMPLE = 8  # items after which the speed is judged
SLOW = 0.0004  # seconds an item takes on a file system that deserves threads
THREADS = 32


def each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`work` on every item, results in order; on a fast disk without any thread."""
    first = [work(item) for item in items[:1]]  # imports what it needs: says nothing of the disk
    begun = time.perf_counter()
    done = first + [work(item) for item in items[1 : 1 + SAMPLE]]
    rest = items[1 + SAMPLE :]
    if not rest or time.perf_counter() - begun < SLOW * SAMPLE:
        return done + [work(item) for item in rest]
    return done + _threaded(work, rest)


def _threaded(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Threads take slices in turn; the first exception of a worker is raised here."""
    import threading

    results: dict[int, R] = {}
    failures: list[BaseException] = []
    count = min(THREADS, len(items))

    def worker(first: int) -> None:
        try:
            for number in range(first, len(items), count):
                results[number] = work(items[number])
        except BaseException as error:  # noqa: BLE001 - raised again in the caller
            failures.append(error)

    threads = [threading.Thread(target=worker, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [results[number] for number in range(len(items))]


def within(seconds: float, work: Callable[[T], R], items: Sequence[T]) -> list[R | None]:
    """`work` on all items at once; None for those that were not done in time (a dead mount hangs for ever)."""
    import threading

    results: list[R | None] = [None] * len(items)

    def worker(number: int, item: T) -> None:
        results[number] = work(item)

    threads = [threading.Thread(target=worker, args=pair, daemon=True) for pair in enumerate(items)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(results)


def names_in(root: Root) -> list[str] | OSError:
    """The entries of a folder in its own order, which decides between names that differ in case."""
    try:
        return os.listdir(root.folder)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return []
    except OSError as error:
        return error
