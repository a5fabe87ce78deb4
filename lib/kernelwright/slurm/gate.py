"""The broker's end of the link: a socket that only the agent with the one known key can use.

The socket lives in a zmq context of its own: an authenticator in the context of the front sockets
would lock Jupyter itself out.
"""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import zmq
from zmq.utils import z85

from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .link import Frame


class Gate:
    """Binds the link's socket and answers libzmq's question whether a client key is welcome (ZAP)."""

    def __init__(self, *, public: str, secret: str, agent: str) -> None:
        self.context = zmq.Context()
        self.allowed = agent.encode()
        self.zap = self.context.socket(zmq.REP)
        self.zap.linger = 0
        self.zap.bind("inproc://zeromq.zap.01")
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 500
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.socket.router_handover = True  # a reconnecting agent keeps its name
        self.socket.tcp_keepalive = 1
        self.socket.tcp_keepalive_idle = 60
        self.socket.curve_publickey = public.encode()
        self.socket.curve_secretkey = secret.encode()
        self.socket.curve_server = True

    def listen(
        self, addresses: Sequence[str] | None, ports: tuple[int, int] | None, port: int = 0
    ) -> int:
        """Bind at every address (None: all of the host) and return the port.

        `port` is tried first: a restarted broker wants the one that its agent knows. Then the site's
        range in random order, else any. Raises UserError `slurm-no-port`.
        """
        low, high = ports or (0, 0)
        tries = [port] if port else []
        tries += random.sample(range(low, high + 1), high + 1 - low) if ports else [0] * 5
        for candidate in tries:
            with contextlib.suppress(zmq.ZMQError):
                return self._bind(addresses or ["0.0.0.0"], candidate)  # noqa: S104 - Curve and ZAP guard it
        raise UserError(
            "slurm-no-port",
            f"no port of {low}-{high} is free for the kernel's job to dial back to",
            hint="try again in a while, or ask your support to widen `slurm.ports`",
        )

    def _bind(self, addresses: Sequence[str], port: int) -> int:
        bound: list[str] = []
        try:
            for address in addresses:
                self.socket.ipv6 = ":" in address
                host = f"[{address}]" if ":" in address else address
                self.socket.bind(f"tcp://{host}:{port or '*'}")
                bound.append(bytes(self.socket.last_endpoint).decode().rstrip("\0"))  # type: ignore[arg-type] # bytes for this option
                port = int(bound[-1].rsplit(":", 1)[1])
        except zmq.ZMQError:
            for endpoint in bound:
                self.socket.unbind(endpoint)
            raise
        return port

    def judge(self) -> None:
        """Answer one ZAP request: exactly one client key is let in."""
        version, request, _, _, _, _, *credentials = self.zap.recv_multipart()
        known = bool(credentials) and z85.encode(credentials[0]) == self.allowed
        code, text = (b"200", b"OK") if known else (b"400", b"unknown key")
        self.zap.send_multipart([version, request, code, text, b"", b""])

    def receive(self) -> list[Frame] | None:
        """One message of an agent (its name first), or None."""
        try:
            return self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None

    def send(self, agent: bytes, frames: Sequence[Any]) -> None:
        """Send to an agent; one that is away hears it again after its next heartbeat."""
        with contextlib.suppress(zmq.Again, zmq.ZMQError):
            self.socket.send_multipart([agent, *frames], copy=False)

    def close(self) -> None:
        """Close; the last orders still leave."""
        self.socket.close(500)
        self.zap.close(0)


def new_keys() -> tuple[str, str]:
    """A fresh Curve key pair: public, secret."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()
