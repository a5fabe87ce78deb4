"""The front ends' requests: waiting, running, refused; and what is said in cells besides output."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from .notices import Notice
from .waiting import WaitingRoom, fail, is_cell
from .wire import DELIMITER, message_type, parent_id, parent_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .background import Background
    from .endings import Ending
    from .front import Front
    from .known import Known
    from .link import Frame
    from .wire import Request

STATUS = 64  # bytes; a message with more in it tells no state
SMALL = 65536  # bytes; larger frames are content that nobody here reads


class Cells:
    """Knows which cells wait and which run; the broker's only view of a notebook."""

    def __init__(self, front: Front, known: Known, background: Background) -> None:
        self.front = front
        self.known = known
        self.background = background
        self.info: Mapping[str, Any] = known.reply()
        self.room = WaitingRoom(front)
        self.running: dict[str, Request] = {}
        self.last: Request | None = None
        self.active = time.monotonic()
        self._remarks: list[Notice] = []  # they wait for a cell
        self._busy_said: set[str] = set()
        self._callbacks: set[str] = set()  # comm messages on which the kernel is busy
        self._learnt = False

    # --- requests ---------------------------------------------------------------------------

    def wait(self, request: Request, notice: Notice) -> None:
        """A request while there is no kernel yet."""
        self.active = time.monotonic()
        if request.type == "kernel_info_request":
            self.room.answer(request, self.info)
        elif request.type == "interrupt_request":
            self.front.reply(
                "control", request.idents, "interrupt_reply", {"status": "ok"}, request.header
            )
            self.room.interrupt()
        else:
            self.room.take(request, notice)

    def refuse(self, request: Request, ending: Ending) -> None:
        """A request when the job is over: cells get the reason, front ends an answer."""
        if request.type == "execute_request":
            self.front.status("busy", request.header)
        if request.type == "kernel_info_request":
            self.room.answer(request, self.info)
        elif request.type == "interrupt_request":
            self.front.reply(
                "control", request.idents, "interrupt_reply", {"status": "ok"}, request.header
            )
        else:
            self.room.refuse(request, ending.name, ending.text)

    def started(self, request: Request) -> None:
        """A cell goes to the kernel."""
        self.running[request.id] = request
        self.last = request
        self.active = time.monotonic()
        self._show_remarks()

    def release(self, notice: Notice) -> list[Request]:
        """The kernel is ready: the waiting requests, in order. The queue's time was no idleness."""
        self.active = time.monotonic()
        self._callbacks.clear()  # of a kernel before this one
        released = self.room.release(notice)
        for request in released:
            if request.type == "execute_request":
                self._busy_said.add(request.id)
                self.started(request)
        return released

    # --- the kernel's messages --------------------------------------------------------------

    def pass_on(self, channel: str, frames: list[Frame]) -> None:
        """Give a message of the kernel to the front ends, noting what it tells about cells."""
        if channel == "shell" and (self.running or not self._learnt):
            self._note_reply(_readable(frames))
        elif channel == "iopub":
            if self._busy_said and self._is_second_busy(_readable(frames)):
                return
            self._note_output(frames)
        self.front.sockets[channel].send_multipart(frames, copy=False)

    def _note_reply(self, frames: Sequence[bytes]) -> None:
        self.running.pop(parent_id(frames), None)
        self.active = time.monotonic()
        if not self._learnt and message_type(frames) == "kernel_info_reply":
            self.learn(frames)

    def _note_output(self, frames: Sequence[Frame]) -> None:
        """A widget's callback is work, and so is a thread that prints; a question on control is not."""
        content = frames[-1]
        if len(content) > STATUS or b"execution_state" not in bytes(content):
            self.active = time.monotonic()
        elif parent_type(parts := _readable(frames)).startswith("comm_"):
            busy = b'"busy"' in parts[-1]
            (self._callbacks.add if busy else self._callbacks.discard)(parent_id(parts))
            self.active = time.monotonic()

    def learn(self, frames: Sequence[bytes]) -> None:
        """Keep a real kernel_info reply for the next start."""
        try:
            content = json.loads(frames[frames.index(DELIMITER) + 5])
        except (ValueError, IndexError):
            return
        if isinstance(content, dict) and content.get("language_info"):
            self._learnt = True
            self.info = content
            self.background.ask("info", lambda: self.known.keep(content))

    def _is_second_busy(self, frames: Sequence[bytes]) -> bool:
        """Waiting cells were told `busy` already; a second one would confuse their count."""
        if message_type(frames) != "status" or (parent := parent_id(frames)) not in self._busy_said:
            return False
        self._busy_said.discard(parent)
        return True

    # --- what we say --------------------------------------------------------------------------

    def say(self, notice: Notice, key: str, *, again: bool = False) -> None:
        """A line in the running cells, else in the last one; `again` rewrites an earlier line."""
        kind = "update_display_data" if again else "display_data"
        parents = list(self.running.values()) or ([self.last] if self.last else [])
        for request in parents:
            self.front.publish(
                kind, notice.content(f"kernelwright-{key}-{request.id}"), request.header
            )
        if not parents:
            self.front.publish(kind, notice.content(f"kernelwright-{key}"), None)

    def remark(self, text: str) -> None:
        """What a person should know of the whole job: in one cell, the running or the next."""
        self._remarks.append(Notice(text, "warning"))
        self._show_remarks()

    def _show_remarks(self) -> None:
        cell = next(filter(is_cell, self.running.values()), None)
        if cell is None:
            return
        remarks, self._remarks = self._remarks, []
        for notice in remarks:
            content = notice.content(f"kernelwright-remark-{time.monotonic_ns()}")
            self.front.publish("display_data", content, cell.header)

    def end(self, ending: Ending) -> None:
        """Everything that waits or runs gets the error; where nothing does, the last cell a line."""
        if not self.running and not self.room.cells:
            self.say(ending.notice, "end")
        self.room.fail(ending.name, ending.text, ending.notice)
        for request in list(self.running.values()):
            fail(self.front, request, ending.name, ending.text)
        self.running.clear()

    def idle_since(self) -> float:
        """Seconds since a cell or a widget's callback last ran."""
        works = self.running or self._callbacks or len(self.room)
        return 0.0 if works else time.monotonic() - self.active


def _readable(frames: Sequence[Frame]) -> list[bytes]:
    return [bytes(f) if len(f) <= SMALL else b"" for f in frames]
