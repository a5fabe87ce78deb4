"""Cancels the job when its broker is gone: a small child in a session of its own, holding a pipe.

Nothing is left behind by a broker that dies, by whatever signal: the pipe's end tells it. The reaper
is forked before threads and sockets exist, so that it is there before the job is submitted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from ..errors import UserError
from .clients import Unreachable
from .record import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from .record import Folder, Record
    from .scheduler import Scheduler

GRACE = 10.0  # seconds in which a restarted broker may take the job over
SETTLE = 0.0  # seconds in which the queue must stay empty, where the job was known
SETTLE_LATE = 45.0  # the same where a submission may have been under way: sbatch may take as long
LONGEST = 3600.0  # after an outage longer than this the agent's lease has done the work
CANCEL, CANCEL_LATE, KEEP, HAND_OVER = b"c", b"l", b"k", b"h"


class Reaper:
    """The broker's end of the pipe."""

    def __init__(self, act: Callable[[bytes], None]) -> None:
        """Fork the child; it calls `act` with the broker's last word (b"" for a sudden death)."""
        read_end, self._write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            _live(read_end, act)
        os.close(read_end)
        self.pid = pid

    def tell(self, word: bytes) -> None:
        """Say how the broker leaves.

        CANCEL now (CANCEL_LATE: a submission is under way), KEEP: nothing to do, HAND_OVER: another
        broker takes the job within the grace.
        """
        with contextlib.suppress(OSError):
            os.write(self._write_end, word)
            os.close(self._write_end)


def _live(pipe: int, act: Callable[[bytes], None]) -> None:
    """The child: wait for the pipe's end, act, leave without any of the parent's clean-up."""
    try:
        os.setsid()
        for unwanted in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(unwanted, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        os.closerange(3, pipe)
        os.closerange(pipe + 1, 1024)
        word = b""
        while data := os.read(pipe, 16):
            word = data
        act(word)
    finally:
        os._exit(0)


def reap(
    word: bytes, *, folder: Folder, record: Record, scheduler: Scheduler, grace: float = GRACE
) -> None:
    """Cancel every job of this record's name, unless another broker has taken it over."""
    if word == KEEP:
        return
    if word not in {CANCEL, CANCEL_LATE}:
        time.sleep(grace)
    reaped = folder.reaped(record.nonce)
    if not folder.claim(folder.owner(record.nonce), reaped):
        return
    folder.clear(record.tag)  # an agent that starts later finds no keys and ends at once
    submitted = word == CANCEL or read(reaped).get("job") is not None
    settle = SETTLE if submitted else SETTLE_LATE
    job = read(reaped).get("job") or record.job
    if cancel_until_gone(scheduler, record.job_name, job=job, settle=settle):
        folder.clear(record.tag, record=reaped)


def cancel_until_gone(
    scheduler: Scheduler, job_name: str, *, job: str | None = None, settle: float
) -> bool:
    """Cancel by name, which needs no job id, until the queue has shown none for `settle` seconds.

    `job` is cancelled once by its id as well: somebody may have given it another name.
    """
    begun, clean_since, pause = time.monotonic(), None, 0.3
    while time.monotonic() - begun < LONGEST:
        try:
            if job is not None:
                scheduler.cancel(ids=[job])
                job = None
            if scheduler.named(job_name):
                clean_since = None
                scheduler.cancel(name=job_name)
            else:
                clean_since = clean_since or time.monotonic()
                if time.monotonic() - clean_since >= settle:
                    return True
        except (Unreachable, UserError):
            clean_since = None
            pause = min(30.0, pause * 2)
        else:
            pause = min(5.0, pause * 1.3)
        time.sleep(pause)
    return False


def cancel_others(scheduler: Scheduler, job_name: str, *, keep: str) -> None:
    """Cancel the jobs of this name but one. Raises Unreachable."""
    others = [job for job in scheduler.named(job_name) if job != keep]
    if others:
        scheduler.cancel(ids=others)
