"""The link loses, repeats and reorders nothing, whatever the connection does."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from kernelwright.slurm.link import HEADER, PIECE, Stream

EPOCH = b"12345678"


class Wire:
    """Two streams with a connection between them that drops what a seeded dice says."""

    def __init__(self, seed, loss):
        self.random = random.Random(seed)
        self.loss = loss
        self.got = {"a": [], "b": []}
        self.a = Stream(EPOCH, lambda frames: self.carry("b", frames))
        self.b = Stream(EPOCH, lambda frames: self.carry("a", frames))
        self.queue = []

    def carry(self, to, frames):
        if self.random.random() >= self.loss:
            self.queue.append((to, [bytes(f) for f in frames]))

    def flow(self):
        while self.queue:
            to, frames = self.queue.pop(0)
            found = getattr(self, to).receive(frames)
            if found is not None:
                self.got[to].append((found[0], [bytes(f) for f in found[1]]))

    def settle(self):
        self.loss = 0
        for _ in range(4):
            self.a.beat()
            self.b.beat()
            self.flow()


message = st.tuples(
    st.sampled_from(["shell", "iopub", "order"]), st.lists(st.binary(max_size=40), max_size=4)
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(message, max_size=200),
    st.lists(message, max_size=50),
    st.integers(),
    st.floats(0, 0.6),
)
def test_everything_arrives_once_and_in_order(there, back, seed, loss):
    wire = Wire(seed, loss)
    for number in range(max(len(there), len(back))):
        for stream, messages in ((wire.a, there), (wire.b, back)):
            if number < len(messages):
                stream.send(*messages[number])
        if number % 7 == 0:
            wire.flow()
            wire.a.beat()
            wire.b.beat()
    wire.settle()
    assert wire.got == {"b": there, "a": back}
    assert wire.a.outstanding == wire.b.outstanding == 0


def test_large_frames_travel_in_pieces():
    wire = Wire(1, 0.2)
    data = random.Random(2).randbytes(5 * PIECE + 17)
    wire.a.send("iopub", [b"topic", data, b"", memoryview(data)[: 3 * PIECE], b"end"])
    wire.settle()
    assert wire.got["b"] == [("iopub", [b"topic", data, b"", data[: 3 * PIECE], b"end"])]


def test_acknowledged_messages_are_forgotten():
    wire = Wire(1, 0)
    for _ in range(1000):
        wire.a.send("shell", [b"x"])
        wire.flow()
    assert wire.a.outstanding < 100


def test_another_epoch_is_ignored():
    wire = Wire(1, 0)
    assert wire.a.receive([HEADER.pack(b"D", b"87654321", 1), b"shell", b"\0", b"x"]) is None
    assert wire.a.received == 0
