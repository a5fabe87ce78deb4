"""The agent as the broker sees it: hello, attachment, orders, and the stream of messages."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from .link import HEADER, Stream, greeting
from .trim import Trim

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .gate import Gate
    from .link import Frame

BATCH = 200  # messages taken in one go before the other sockets get their turn


class Listener(Protocol):
    """Who is told; the broker."""

    def attached(self, node: str) -> None:
        """The kernel runs and nothing of it will be missed from now on."""

    def starting(self, node: str, job: str) -> None:
        """The agent is there, in this job; its kernel may not be ready yet."""

    def arrived(self, channel: str, frames: list[Frame]) -> None:
        """A message of the kernel."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Something happened at the node."""


class AgentSide:
    """One agent, from its first hello to the end."""

    def __init__(
        self, gate: Gate, epoch: bytes, listener: Listener, *, respawn: Mapping[str, Any] | None
    ) -> None:
        """`respawn`: the kernel that runs belongs to an earlier broker; the keys of a fresh one."""
        self.gate = gate
        self.epoch = epoch
        self.listener = listener
        self.respawn = respawn
        self.agent: bytes | None = None
        self.stream: Stream | None = None
        self.trim = Trim()
        self.kernel_ready = False
        self.last_heard = 0.0
        self.dismissed: int | None = None  # exit status with which every agent is sent away
        self._respawned_from: dict[bytes, int] = {}
        self._seen: bytes | None = None

    @property
    def is_attached(self) -> bool:
        """Whether messages flow: not before the first hello, nor while a dead kernel starts anew."""
        return self.stream is not None and self.kernel_ready

    @property
    def silent(self) -> float:
        """Seconds since the agent was last heard."""
        return time.monotonic() - self.last_heard if self.last_heard else 0.0

    def pump(self) -> None:
        """Take what the agent has sent."""
        for _ in range(BATCH):
            message = self.gate.receive()
            if message is None:
                return
            name, *frames = message
            if not frames or len(frames[0]) != HEADER.size:
                continue
            self.last_heard = time.monotonic()
            if bytes(frames[0])[:1] == b"H":
                self._hello(bytes(name), json.loads(bytes(frames[1])))
            elif bytes(name) != self.agent:
                self._welcome(bytes(name), {"who": True})  # it was an earlier broker's agent
            else:
                self._take(frames)

    def _take(self, frames: Sequence[Frame]) -> None:
        found = self.stream.receive(frames) if self.stream is not None else None
        if found is None:
            return
        channel, body = found
        if channel == "event":
            self.listener.event(json.loads(bytes(body[0])))
        else:
            self.listener.arrived(channel, body)

    def _hello(self, name: bytes, data: Mapping[str, Any]) -> None:
        self._seen = name
        if self.dismissed is not None:
            self._welcome(name, {"quit": self.dismissed})
            return
        node = str(data.get("node", ""))
        self.listener.starting(node, str(data.get("job", "")))
        incarnation = int(data.get("incarnation", 0))
        if self.respawn is not None and name not in self._respawned_from:
            self._respawned_from[name] = incarnation
            self._welcome(name, {"respawn": dict(self.respawn)})
            return
        stale = incarnation <= self._respawned_from.get(name, -1)
        if stale or not data.get("ready"):
            self._welcome(name, {})
            return
        self._welcome(name, {"attach": self.epoch.hex()})
        if self.agent != name:
            self.agent = name
            self.stream = Stream(self.epoch, lambda frames: self.gate.send(name, frames))
            self.listener.attached(node)

    def _welcome(self, name: bytes, data: Mapping[str, Any]) -> None:
        self.gate.send(name, greeting(b"W", data))

    def send(self, channel: str, frames: Sequence[Frame]) -> None:
        """Hand a front end's message to the kernel."""
        if self.stream is not None:
            self.stream.send(channel, frames)

    def order(self, order: Mapping[str, Any]) -> None:
        """Tell the agent something: signal, respawn, facts, quit; heard by an unattached one too."""
        if self.stream is not None:
            self.stream.send_json("order", order)
        elif self._seen is not None and not order.keys().isdisjoint({"quit", "respawn"}):
            self._welcome(self._seen, order)

    def dismiss(self, status: int = 0) -> None:
        """Order the agent, and any that says hello later, to end the job."""
        self.dismissed = status
        self.order({"quit": status})

    def beat(self) -> None:
        """The heartbeat of every second."""
        if self.stream is not None:
            self.stream.beat()
            self.trim.tick(self.stream.moved)
