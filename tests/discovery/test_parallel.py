"""Threads for slow file systems only: what the first item imports says nothing of the disk."""

import threading
import time

import pytest

from kernelwright.discovery import parallel


@pytest.mark.parametrize(
    ("slow", "threads"),
    [((), False), ((0,), False), (range(9), True)],
    ids=["fast", "first", "all"],
)
def test_threads_are_for_slow_disks(monkeypatch, slow, threads):
    monkeypatch.setattr(parallel, "SLOW", 0.02)  # a loaded machine is slow by itself
    seen = set()

    def work(item):
        seen.add(threading.get_ident())
        if item in slow:
            time.sleep(0.3 if slow == (0,) else 0.05)
        return 2 * item

    assert parallel.each(work, list(range(40))) == [2 * item for item in range(40)]
    assert (len(seen) > 1) is threads


def test_a_failure_in_a_thread_is_raised():
    def work(item):
        time.sleep(0.002)
        return 1 / (item - 30)

    with pytest.raises(ZeroDivisionError):
        parallel.each(work, list(range(40)))
