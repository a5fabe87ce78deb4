"""The link between broker and agent: one Curve connection on which nothing is lost or repeated.

A TCP connection may break and come back while both ends live. libzmq reconnects by itself but drops
what was under way, so messages are numbered, acknowledged and sent again where a gap shows. Frames
of more than two pieces are cut, so that a hundred megabytes flow instead of being stored four times.

One link message is `header, frame...`; the header holds kind, epoch and number:

    D channel, map, frames   a Jupyter message, event or order; the map marks frames sent in pieces
    P data / L data          a piece of a large frame / its last piece
    B acknowledged           a heartbeat: "I have sent up to NUMBER and received up to ..."
    A                        "I have received up to NUMBER"
    R                        "send again from NUMBER"
    H json / W json          hello of an agent, welcome of a broker: not numbered, any epoch
"""

from __future__ import annotations

import json
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HEADER = struct.Struct("!c8sQ")
PIECE = 1 << 20  # bytes; 1 MB pieces gave 86 instead of 73 MB/s for stdout in a prototype
ACK_MESSAGES = 64
ACK_BYTES = 4 << 20
NO_EPOCH = b"\0" * 8

Frame = Any  # bytes, memoryview or zmq.Frame: whatever the socket takes
Emit = "Callable[[list[Frame]], None]"


def size(frame: Frame) -> int:
    """The bytes of a frame, whatever holds it."""
    return frame.nbytes if isinstance(frame, memoryview) else len(frame)


def greeting(kind: bytes, data: Mapping[str, Any]) -> list[bytes]:
    """A hello (`H`) or a welcome (`W`)."""
    return [HEADER.pack(kind, NO_EPOCH, 0), json.dumps(data).encode()]


class Stream:
    """One end of the link, for one epoch: a broker's life as seen by one agent.

    `emit` sends frames on the socket at once. The owner calls `beat` every second.
    """

    def __init__(self, epoch: bytes, emit: Callable[[list[Frame]], None]) -> None:
        self.epoch = epoch
        self.emit = emit
        self.sent = 0
        self.received = 0
        self.moved = 0  # bytes in both directions
        self._unacked: deque[tuple[int, list[Frame]]] = deque()
        self._acked = 0
        self._since_ack = [0, 0]
        self._asked = 0
        self._pieces: list[Frame] = []
        self._whole: deque[bytes] = deque()

    # --- sending ----------------------------------------------------------------------------

    def send(self, channel: str, frames: Sequence[Frame]) -> None:
        """Send one message; large frames go ahead of it in pieces."""
        marks, kept = bytearray(), []
        for frame in frames:
            large = size(frame) > 2 * PIECE
            marks.append(large)
            kept.append(b"" if large else frame)
            if large:
                self._send_pieces(frame)
        self._number(b"D", [channel.encode(), bytes(marks), *kept])

    def send_json(self, channel: str, data: Mapping[str, Any]) -> None:
        """Send an event or an order."""
        self.send(channel, [json.dumps(data).encode()])

    def _send_pieces(self, frame: Frame) -> None:
        view = frame.buffer if hasattr(frame, "buffer") else memoryview(frame)
        for start in range(0, view.nbytes, PIECE):
            last = start + PIECE >= view.nbytes
            self._number(b"L" if last else b"P", [view[start : start + PIECE]])

    def _number(self, kind: bytes, frames: list[Frame]) -> None:
        self.sent += 1
        message = [HEADER.pack(kind, self.epoch, self.sent), *frames]
        self.moved += sum(size(f) for f in frames)
        self._unacked.append((self.sent, message))
        self.emit(message)

    def beat(self) -> None:
        """Tell the other side how far we are; it asks for what it misses."""
        count = self.received.to_bytes(8, "big")
        self.emit([HEADER.pack(b"B", self.epoch, self.sent), count])
        self._since_ack = [0, 0]

    @property
    def outstanding(self) -> int:
        """How many messages the other side has not acknowledged."""
        return len(self._unacked)

    # --- receiving --------------------------------------------------------------------------

    def receive(self, frames: Sequence[Frame]) -> tuple[str, list[Frame]] | None:
        """Take one link message of this epoch; the Jupyter message or event that it completes."""
        kind, epoch, number = HEADER.unpack(bytes(frames[0]))
        if epoch != self.epoch:
            return None
        if kind == b"B":
            self._forget(int.from_bytes(bytes(frames[1]), "big"))
            if number > self.received:
                self._ask_again()
            return None
        if kind == b"A":
            self._forget(number)
            return None
        if kind == b"R":
            self._repeat(number)
            return None
        if number != self.received + 1:
            if number > self.received and self._asked <= self.received:
                self._ask_again()
            return None
        self.received = number
        length = sum(size(f) for f in frames[1:])
        self.moved += length
        self._acknowledge(length)
        return self._complete(kind, frames)

    def _complete(self, kind: bytes, frames: Sequence[Frame]) -> tuple[str, list[Frame]] | None:
        if kind in b"PL":
            self._pieces.append(frames[1])
            if kind == b"L":
                self._whole.append(b"".join(memoryview(p) for p in self._pieces))
                self._pieces.clear()
            return None
        channel, marks = bytes(frames[1]).decode(), bytes(frames[2])
        body = [
            self._whole.popleft() if large else frame
            for large, frame in zip(marks, frames[3:], strict=True)
        ]
        return channel, body

    def _acknowledge(self, length: int) -> None:
        self._since_ack[0] += 1
        self._since_ack[1] += length
        if self._since_ack[0] >= ACK_MESSAGES or self._since_ack[1] >= ACK_BYTES:
            self._since_ack = [0, 0]
            self.emit([HEADER.pack(b"A", self.epoch, self.received)])

    def _forget(self, number: int) -> None:
        while self._unacked and self._unacked[0][0] <= number:
            self._unacked.popleft()

    def _ask_again(self) -> None:
        self._asked = self.received + 1
        self.emit([HEADER.pack(b"R", self.epoch, self._asked)])

    def _repeat(self, number: int) -> None:
        for count, message in list(self._unacked):
            if count >= number:
                self.emit(message)
