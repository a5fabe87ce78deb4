"""The real kernel, as the agent's child: started from launch.sh on sockets that nobody else can open.

The sockets are files in a 0700 folder (`ipc`), so the node opens no port. Kernels that cannot do that
get 127.0.0.1; the agent finds out by trying.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import zmq

from .wire import Wire, parent_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .spawn import Spawned, Spawner

KINDS = {"shell": zmq.DEALER, "iopub": zmq.SUB, "stdin": zmq.DEALER, "control": zmq.DEALER}
NUDGE = 0.05  # seconds between two questions to a kernel that starts
GRACE = 1.5  # seconds to end by itself; then SIGTERM, then SIGKILL


class Child:
    """One kernel after another in the same allocation; `incarnation` counts them."""

    def __init__(self, spawner: Spawner, first: Spawned) -> None:
        """`first` was started already, while zmq was still being loaded."""
        self.spawner = spawner
        self.current = first
        self.folder = spawner.folder
        self.key = str(first.connection["key"])
        self.scheme = str(first.connection["signature_scheme"])
        self.context = zmq.Context()
        self.poller: zmq.Poller | None = None
        self.sockets: dict[str, Any] = {}
        self.incarnation = 0
        self.ready = False
        self._heard: set[str] = set()
        self._probes: set[str] = set()
        self._next_nudge = 0.0

    @property
    def transport(self) -> str:
        """`ipc`, or `tcp` for a kernel that knows no `ipc`."""
        return self.current.transport

    @property
    def started(self) -> float:
        """When the present kernel was started, by the monotonic clock."""
        return self.current.started

    # --- starting and ending ------------------------------------------------------------------

    def watch(self, poller: zmq.Poller) -> None:
        """Connect to the kernel; `ready` becomes true when it really answers."""
        self.poller = poller
        self.incarnation += 1
        self.ready, self._heard, self._probes = False, set(), set()
        self.wire = Wire(self.key, self.scheme)
        self._connect(self.current.connection)

    def start(self, poller: zmq.Poller, transport: str | None = None) -> None:
        """Start a fresh kernel after the end of the one before."""
        self._forget_sockets()
        self.current = self.spawner.spawn(self.key, self.scheme, transport or self.transport)
        self.watch(poller)

    def _connect(self, connection: Mapping[str, Any]) -> None:
        name = os.urandom(8)  # the same on shell and stdin: the kernel asks for input by that name
        for channel, kind in KINDS.items():
            made = self.context.socket(kind)
            made.linger = 0
            made.sndhwm = made.rcvhwm = 0
            made.reconnect_ivl = 10
            if kind == zmq.SUB:
                made.subscribe(b"")
            else:
                made.identity = name
            made.connect(_endpoint(connection, channel))
            self.sockets[channel] = made
            if self.poller is not None:
                self.poller.register(made, zmq.POLLIN)

    def _forget_sockets(self) -> None:
        for made in self.sockets.values():
            if self.poller is not None:
                self.poller.unregister(made)
            made.close(0)
        self.sockets = {}

    def signal(self, number: int) -> None:
        """Send a signal to the kernel and everything that it started in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.current.process.pid, number)

    def end(self, grace: float = GRACE) -> None:
        """Ask the kernel to end, so that it can tidy up, then make it."""
        if self.ready and grace:
            self.sockets["control"].send_multipart(
                self.wire.make("shutdown_request", {"restart": False})
            )
            self._wait(grace)
        self.signal(signal.SIGTERM)
        self._wait(grace / 2)
        self.signal(signal.SIGKILL)
        self.current.process.wait()

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.current.process.wait(seconds)

    def has_ended(self) -> int | None:
        """The status of a kernel that is gone, as in subprocess; None while it lives."""
        return self.current.process.poll()

    # --- the way to readiness -----------------------------------------------------------------

    def nudge(self) -> None:
        """Ask the starting kernel who it is, again and again, once its socket is there."""
        now = time.monotonic()
        if self.ready or now < self._next_nudge:
            return
        if not self.has_sockets():
            return
        patience = NUDGE if "shell" not in self._heard or now - self.started < 5 else 1.0
        self._next_nudge = now + patience
        self.sockets["shell"].send_multipart(self.wire.make("kernel_info_request", {}))
        self._probes.add(f"{self.wire.session}_{self.wire.count}")

    def has_sockets(self) -> bool:
        """Whether the kernel has opened its socket files, or needs none.

        Older kernels for Julia write a colon for the hyphen in their names: they get both.
        """
        if self.ready or self.transport != "ipc" or (self.folder / "s-1").exists():
            return True
        if not (self.folder / "s:1").exists():
            return False
        for number in range(1, 6):
            with contextlib.suppress(FileExistsError):
                (self.folder / f"s-{number}").symlink_to(f"s:{number}")
        return True

    def heard(self, channel: str) -> bool:
        """A message came before the kernel was ready; whether it is ready now.

        Ready means a reply on shell and a message on iopub: before the subscription has arrived,
        the first cell's output and its end would be lost, and the cell would hang for ever.
        """
        self._heard.add(channel)
        if {"shell", "iopub"} <= self._heard:
            self.ready = True
        return self.ready

    def is_probe(self, frames: list[Any]) -> bool:
        """Whether a message answers one of our own questions: front ends must not see those."""
        if not self._probes:
            return False
        texts = [bytes(f) if len(f) < 65536 else b"" for f in frames]
        parent = parent_id(texts)
        if parent not in self._probes:
            return False
        if b'"idle"' in texts[-1]:
            self._probes.discard(parent)
        return True


def _endpoint(connection: Mapping[str, Any], channel: str) -> str:
    ip, port = connection["ip"], connection[f"{channel}_port"]
    return f"ipc://{ip}-{port}" if connection["transport"] == "ipc" else f"tcp://{ip}:{port}"
