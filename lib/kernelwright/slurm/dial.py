"""How the agent reaches its broker: one address after the other, and again when contact is lost."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import zmq

from . import addresses, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE = 20.0  # seconds until an agent that never had contact gives up
ANSWER = 5.0  # seconds without a word, of a broker that beats every second, until another try


class Dial:
    """The agent's socket and what it knows of the broker's place."""

    def __init__(self, secrets: Mapping[str, str], where: Path) -> None:
        self.secrets = secrets
        self.where = where
        self.context = zmq.Context()
        self.name = os.urandom(8).hex().encode()
        self.socket: Any = None
        self.place: Mapping[str, Any] = {}
        self.tried: list[str] = []
        self.contact = False  # whether a broker has ever welcomed us
        self.begun = time.monotonic()
        self._since = self.begun  # when the present address was dialled
        self._heard = False  # whether a word has come from it
        self._probe: threading.Thread | None = None
        self.address: str | None = None  # the one that was found to answer, and is dialled
        self._bad: set[str] = set()

    def step(self, poller: zmq.Poller, silent: float) -> None:
        """Called by the loop: probe, connect; leave an address that is silent for the next one.

        `silent`: seconds since the broker was last heard. An address may go away while the host's
        others stay, and then TCP alone would wait for minutes.
        """
        if self.socket is not None:
            if min(silent, time.monotonic() - self._since) > ANSWER:
                self._leave(poller)
            return
        if self._probe is None:
            self.place = record.read(self.where) or self.place
            self.address = None
            self._probe = threading.Thread(target=self._look, daemon=True)
            self._probe.start()
        elif not self._probe.is_alive():
            self._probe = None
            if self.address is not None:
                self._connect(self.address, poller)

    def _leave(self, poller: zmq.Poller) -> None:
        if not self._heard and self.address is not None:
            self._bad.add(self.address)
            self._note(f"{self.address}: reached, but it is not our notebook's")
        self.hang_up(poller)

    def _note(self, text: str) -> None:
        if text not in self.tried:
            self.tried.append(text)

    def _look(self) -> None:
        """Find the first address that accepts a connection (in a thread of its own)."""
        port = int(self.place.get("port", 0))
        offered = [a for a in self.place.get("addresses", []) if a not in self._bad]
        self.address = addresses.first_open(
            offered, port, lambda address, reason: self._note(f"{address} port {port}: {reason}")
        )
        if self.address is not None:
            return
        self._bad.clear()
        time.sleep(0.5)

    def _connect(self, address: str, poller: zmq.Poller) -> None:
        made = self.context.socket(zmq.DEALER)
        made.identity = self.name
        made.linger = 500
        made.sndhwm = made.rcvhwm = 0
        made.reconnect_ivl = 100
        made.reconnect_ivl_max = 2000
        made.tcp_keepalive = 1
        made.tcp_keepalive_idle = 60
        made.ipv6 = ":" in address
        made.curve_serverkey = self.secrets["broker_public"].encode()
        made.curve_publickey = self.secrets["agent_public"].encode()
        made.curve_secretkey = self.secrets["agent_secret"].encode()
        host = f"[{address}]" if ":" in address else address
        made.connect(f"tcp://{host}:{self.place['port']}")
        self.socket, self._since, self._heard = made, time.monotonic(), False
        poller.register(made, zmq.POLLIN)

    def hang_up(self, poller: zmq.Poller) -> None:
        """Leave this address; the next step looks anew."""
        if self.socket is not None:
            poller.unregister(self.socket)
            self.socket.close(0)
            self.socket = None

    def has_moved(self) -> bool:
        """Whether another broker (or another place) is written down than the one we dialled."""
        now = record.read(self.where)
        keys = ("owner", "port", "addresses")
        return bool(now) and any(now.get(k) != self.place.get(k) for k in keys)

    def is_hopeless(self) -> bool:
        """Whether it is time to give up: no broker has welcomed us since the start."""
        patience = min(PATIENCE, float(self.place.get("lease", PATIENCE)))
        return not self.contact and time.monotonic() - self.begun > patience

    def send(self, frames: list[Any]) -> None:
        """Send to the broker; without a connection the stream repeats it later."""
        if self.socket is not None:
            with contextlib.suppress(zmq.Again, zmq.ZMQError):
                self.socket.send_multipart(frames, copy=False)

    def receive(self) -> list[Any] | None:
        """One link message, or None."""
        if self.socket is None:
            return None
        try:
            found: list[Any] = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        self._heard = True
        return found
