"""The five sockets that Jupyter sees, and the messages that the broker says on them itself."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import zmq

from ..errors import UserError
from .wire import DELIMITER, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHANNELS = ("shell", "control", "stdin", "iopub", "hb")


def read_connection(path: str, seconds: float = 5.0) -> dict[str, Any]:
    """The connection file; it can vanish for a moment while somebody rewrites it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with open(path, encoding="utf-8") as file:
                value = json.load(file)
            if isinstance(value, dict):
                return value
        except (OSError, ValueError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)


class Front:
    """Binds the sockets of a connection file; with its Curve keys where Jupyter asks for encryption.

    Raises UserError `address-in-use`.
    """

    def __init__(self, connection: Mapping[str, Any], context: zmq.Context[Any]) -> None:
        self.wire = Wire(connection["key"], connection.get("signature_scheme", "hmac-sha256"))
        kinds = (zmq.ROUTER, zmq.ROUTER, zmq.ROUTER, zmq.XPUB, zmq.ROUTER)
        self.sockets = {
            channel: _bound(context, kind, channel, connection)
            for channel, kind in zip(CHANNELS, kinds, strict=True)
        }
        self.iopub = self.sockets["iopub"]

    def publish(
        self,
        kind: str,
        content: Mapping[str, Any],
        parent: Mapping[str, Any] | None,
        topic: str = "",
    ) -> None:
        """Say something on iopub."""
        message = self.wire.make(kind, content, parent)
        self.iopub.send_multipart([(topic or f"kernel.broker.{kind}").encode(), *message])

    def status(self, state: str, parent: Mapping[str, Any] | None) -> None:
        """busy, idle, starting or restarting."""
        self.publish("status", {"execution_state": state}, parent)

    def reply(
        self, channel: str, idents: Sequence[bytes], kind: str, content: Mapping[str, Any],
        parent: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Answer a request ourselves."""
        self.sockets[channel].send_multipart([*idents, *self.wire.make(kind, content, parent)])

    def welcome(self, frames: Sequence[bytes]) -> None:
        """Greet a new subscriber, as ipykernel does: the sign that it misses no further output."""
        if not frames or frames[0][:1] != b"\x01":
            return
        topic = frames[0][1:]
        content = {"subscription": topic.decode("utf-8", "replace")}
        message = self.wire.make("iopub_welcome", content)
        self.iopub.send_multipart([topic, *message] if topic else message)

    def close(self) -> None:
        """Close every socket; what was said last still leaves."""
        for socket in self.sockets.values():
            socket.close(200)


def _bound(
    context: zmq.Context[Any], kind: int, channel: str, connection: Mapping[str, Any]
) -> zmq.Socket[Any]:
    socket: zmq.Socket[Any] = context.socket(kind)
    socket.linger = 200
    socket.sndhwm = socket.rcvhwm = 0  # the queue is the kernel's and the client's, never ours
    if kind == zmq.XPUB:
        socket.xpub_verbose = True
    if connection.get("curve_secretkey"):
        socket.curve_secretkey = connection["curve_secretkey"].encode()
        socket.curve_publickey = connection["curve_publickey"].encode()
        socket.curve_server = True
    port, ip = connection[f"{channel}_port"], connection["ip"]
    ipc = connection.get("transport") == "ipc"
    try:
        socket.bind(f"ipc://{ip}-{port}" if ipc else f"tcp://{ip}:{port}")
    except zmq.ZMQError as error:
        raise UserError(
            "address-in-use", f"the kernel's {channel} port {port} cannot be used: {error.strerror}"
        ) from error
    return socket


def is_jupyter(frames: Sequence[bytes]) -> bool:
    """Whether frames hold a Jupyter message at all."""
    return DELIMITER in frames
