"""One writer at a time, over nodes that share a file system.

A lock is a file made by O_EXCL that says who holds it; a thread beats it by its modification time. On
the same host it is broken when its process is gone, on another when it has not beaten for STALE
seconds by the file server's own clock. flock is not used: it is off or local on many cluster file systems.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .atomic import explained, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BEAT = 10.0  # seconds between two heartbeats
STALE = 60.0  # seconds without a heartbeat after which a lock of another host is broken


@contextlib.contextmanager
def lock(
    path: Path,
    *,
    command: str,
    wait: float = 0.0,
    on_wait: Callable[[str], None] = lambda _: None,
    host: str | None = None,
) -> Iterator[None]:
    """Hold the lock file `path`, waiting for at most `wait` seconds.

    `on_wait` is told once who holds it. Raises UserError `locked` with the holder's host, process and
    since when. `host` is for tests that play two hosts.
    """
    me = holder(command, host or socket.gethostname())
    make_folder(path.parent)
    deadline = time.monotonic() + wait
    told = False
    while not _take(path, me):
        other = _read(path)
        if other is not None and _is_dead(path, other, me["host"]):
            _break(path, other)
            continue
        words = describe(other)
        if time.monotonic() >= deadline:
            raise UserError(
                "locked",
                f"another kernelwright is at work here: {words}",
                context={"lock": str(path)},
                hint="wait for it, or end that process",
            )
        if not told:
            on_wait(words)
            told = True
        time.sleep(0.1 + random.random() * 0.2)  # noqa: S311 - jitter, not a secret
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, me, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        if _read(path) == me:
            with contextlib.suppress(OSError):
                os.unlink(path)


def holder(command: str, host: str) -> dict[str, Any]:
    """Who we are, as it stands in the lock file."""
    return {
        "host": host,
        "boot": _boot_id(),
        "pid": os.getpid(),
        "started": process_start(os.getpid()),
        "job": os.environ.get("SLURM_JOB_ID"),
        "since": time.time(),
        "command": command[:200],
        "nonce": os.urandom(8).hex(),
    }


def describe(other: dict[str, Any] | None) -> str:
    """The holder in words: command, process, host, job and since when."""
    if other is None:
        return "somebody who has just begun"
    since = time.strftime("%H:%M:%S", time.localtime(float(other.get("since") or 0)))
    job = f", job {other['job']}" if other.get("job") else ""
    return f"`{other.get('command')}` (process {other.get('pid')} on {other.get('host')}{job}) since {since}"


def process_start(pid: int) -> int | None:
    """The start time of a process in clock ticks since boot, or None when it is gone.

    Together with the pid it names a process for ever: pids are used again, start times are not.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rsplit(b")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else int(fields[19])


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as stream:
            return stream.read().strip()
    except OSError:
        return sys.platform


def _take(path: Path, me: dict[str, Any]) -> bool:
    with explained(path):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        try:
            os.write(handle, json.dumps(me).encode())
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(handle)
    return True


def _read(path: Path) -> dict[str, Any] | None:
    """The holder, {} when the file cannot be understood, None when it is gone or still empty."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(10_000)
    except OSError:
        return None
    if not data:
        return {} if _silent_for(path) > STALE else None
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _is_dead(path: Path, other: dict[str, Any], host: str) -> bool:
    if other.get("host") == host:
        if other.get("boot") != _boot_id():
            return True
        pid = other.get("pid")
        return not isinstance(pid, int) or process_start(pid) != other.get("started")
    return _silent_for(path) > STALE


def _silent_for(path: Path) -> float:
    """Seconds since the last heartbeat, by the clock of the file server."""
    probe = path.with_name(f".kw-clock-{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with open(probe, "wb"):
            pass
        return probe.stat().st_mtime - path.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        with contextlib.suppress(OSError):
            os.unlink(probe)


def _break(path: Path, other: dict[str, Any]) -> None:
    """Take a dead lock away; of several who try, only the one who moved that very lock succeeds."""
    aside = path.with_name(f".kw-broken-{os.urandom(6).hex()}.tmp")
    try:
        os.rename(path, aside)
    except OSError:
        return
    if _read(aside) != other:  # somebody was quicker and holds a new lock: put it back
        with contextlib.suppress(OSError):
            os.link(aside, path)
    with contextlib.suppress(OSError):
        os.unlink(aside)


def _beat(path: Path, me: dict[str, Any], stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        if _read(path) != me:
            return
        with contextlib.suppress(OSError):
            os.utime(path)
