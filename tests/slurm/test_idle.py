"""What counts as idleness for `limits.idle`, by the messages that pass; no Slurm is needed."""

import time

import pytest

from kernelwright.slurm import cells as module
from kernelwright.slurm.cells import Cells
from kernelwright.slurm.notices import Notice
from kernelwright.slurm.wire import Wire


class Front:
    """The sockets of a notebook; what is sent on them is kept."""

    def __init__(self):
        self.wire = Wire("key")
        self.sent = []
        self.replies = []
        self.sockets = {"iopub": self, "shell": self}

    def send_multipart(self, frames, **_):
        self.sent.append(frames)

    def publish(self, kind, content, parent, topic=""):
        self.sent.append(self.wire.make(kind, content, parent))

    def status(self, state, parent):
        self.publish("status", {"execution_state": state}, parent)

    def reply(self, channel, idents, kind, content, parent):
        self.replies.append((channel, kind, content, parent))


class Known:
    def reply(self):
        return {}


class Clock:
    """Time that passes when the test says so."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(module, "time", self)

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def cells(clock):
    made = Cells(Front(), Known(), None)
    made._learnt = True
    return made


def iopub(cells, kind, content, parent):
    wire = Wire("key")
    cells.pass_on("iopub", [b"topic", *wire.make(kind, content, parent)])


def status(cells, state, kind, name="1"):
    iopub(cells, "status", {"execution_state": state}, {"msg_id": name, "msg_type": kind})


def test_the_time_in_the_queue_is_no_idleness(cells, clock):
    clock.now += 7200
    cells.release(Notice("it runs"))
    assert cells.idle_since() == 0
    clock.now += 60
    assert cells.idle_since() == 60


def test_a_widgets_callback_is_work(cells, clock):
    status(cells, "busy", "comm_msg")
    clock.now += 600
    assert cells.idle_since() == 0
    status(cells, "idle", "comm_msg")
    clock.now += 5
    assert cells.idle_since() == 5


def test_a_callback_ends_with_its_kernel(cells, clock):
    status(cells, "busy", "comm_msg")
    cells.release(Notice("it runs again"))
    clock.now += 5
    assert cells.idle_since() == 5


def test_what_a_thread_prints_is_work(cells, clock):
    clock.now += 600
    iopub(
        cells, "stream", {"name": "stdout", "text": "1" * 100000}, {"msg_type": "execute_request"}
    )
    assert cells.idle_since() == 0
    clock.now += 600
    iopub(cells, "stream", {"name": "stdout", "text": "1"}, {"msg_type": "execute_request"})
    assert cells.idle_since() == 0


def test_a_question_that_comes_by_the_clock_is_no_work(cells, clock):
    """Some front ends ask a kernel every few seconds for its memory."""
    clock.now += 600
    status(cells, "busy", "usage_request")
    status(cells, "idle", "usage_request")
    assert cells.idle_since() == 600


def test_messages_pass_unchanged_and_fast():
    cells = Cells(Front(), Known(), None)
    cells._learnt = True
    frames = [b"topic", *Wire("key").make("stream", {"name": "stdout", "text": "x" * 80}, {})]
    begun = time.process_time()
    for _ in range(20000):
        cells.pass_on("iopub", frames)
    assert (time.process_time() - begun) / 20000 < 20e-6  # 1e-6 on an idle machine
    assert cells.front.sent == [frames] * 20000
