"""Requests that came before the kernel: kept in order, answered where an honest answer exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .notices import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .front import Front
    from .wire import Request

INTERRUPTED = "interrupted while waiting for the Slurm job; the job keeps its place"

# requests that a front end waits for and that have a true answer while nothing runs
_ANSWERS: dict[str, dict[str, Any]] = {
    "comm_info_request": {"status": "ok", "comms": {}},
    "history_request": {"status": "ok", "history": []},
    "is_complete_request": {"status": "unknown"},
    "complete_request": {
        "status": "ok", "matches": [], "cursor_start": 0, "cursor_end": 0, "metadata": {}
    },
    "inspect_request": {"status": "ok", "found": False, "data": {}, "metadata": {}},
}  # fmt: skip


class WaitingRoom:
    """The queue, and the notice in each waiting cell."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.requests: list[Request] = []

    def __len__(self) -> int:
        return len(self.requests)

    @property
    def cells(self) -> list[Request]:
        """The waiting cells; silent ones (a client's probes) show nothing."""
        return [r for r in self.requests if is_cell(r)]

    def answer(self, request: Request, content: Mapping[str, Any]) -> None:
        """Reply with busy and idle around it, as a kernel does."""
        self.front.status("busy", request.header)
        kind = request.type.replace("_request", "_reply")
        self.front.reply(request.channel, request.idents, kind, content, request.header)
        self.front.status("idle", request.header)

    def answer_only(self, request: Request) -> bool:
        """Answer what needs no kernel; False where only a kernel can."""
        if request.type not in _ANSWERS:
            return False
        content = dict(_ANSWERS[request.type])
        if request.type == "complete_request":
            position = request.content.get("cursor_pos", 0)
            content |= {"cursor_start": position, "cursor_end": position}
        self.answer(request, content)
        return True

    def take(self, request: Request, notice: Notice) -> None:
        """Answer a request now if that is possible, else keep it; a cell gets its line."""
        if self.answer_only(request):
            return
        self.requests.append(request)
        if request.type == "execute_request":
            self.front.status("busy", request.header)
        if is_cell(request):
            self.front.publish("display_data", notice.content(display_id(request)), request.header)

    def update(self, notice: Notice) -> None:
        """Rewrite the line of every waiting cell."""
        for request in self.cells:
            self.front.publish(
                "update_display_data", notice.content(display_id(request)), request.header
            )

    def release(self, notice: Notice) -> list[Request]:
        """The kernel runs: settle the lines and hand out the requests in their order.

        The first cell keeps the line until its own output replaces it, the others lose it at once.
        """
        for number, request in enumerate(self.cells):
            if number == 0:
                self.front.publish(
                    "update_display_data", notice.content(display_id(request)), request.header
                )
            self.front.publish("clear_output", {"wait": number == 0}, request.header)
        released, self.requests = self.requests, []
        return released

    def interrupt(self) -> None:
        """Drop the cells: the first is interrupted, the others are aborted, as a kernel would do."""
        dropped: list[Request] = []
        kept: list[Request] = []
        for request in self.requests:
            (dropped if request.type == "execute_request" else kept).append(request)
        self.requests = kept
        for number, request in enumerate(dropped):
            if is_cell(request):
                gone = Notice("not run: interrupted while waiting for the Slurm job", "warning")
                self.front.publish(
                    "update_display_data", gone.content(display_id(request)), request.header
                )
            if number == 0:
                fail(self.front, request, "KeyboardInterrupt", INTERRUPTED)
            else:
                self.front.reply(
                    "shell", request.idents, "execute_reply", {"status": "aborted"}, request.header
                )
                self.front.status("idle", request.header)

    def fail(self, name: str, text: str, notice: Notice) -> None:
        """Nothing will run: answer every waiting cell with the error."""
        self.update(notice)
        waiting, self.requests = self.requests, []
        for request in waiting:
            self.refuse(request, name, text)

    def refuse(self, request: Request, name: str, text: str) -> None:
        """Answer a request for which there will be no kernel: nobody waits for ever."""
        if request.type == "execute_request":
            fail(self.front, request, name, text)
        elif request.type.endswith("_request") and not self.answer_only(request):
            self.answer(request, {"status": "error", **_error(name, text)})


def is_cell(request: Request) -> bool:
    """Whether a person waits for the request's output."""
    return request.type == "execute_request" and not request.content.get("silent")


def display_id(request: Request) -> str:
    """The id under which a cell's line is rewritten."""
    return f"kernelwright-{request.id}"


def _error(name: str, text: str) -> dict[str, Any]:
    first, *rest = text.split("\n")
    return {
        "ename": name,
        "evalue": first,
        "traceback": [f"\x1b[31m{name}\x1b[0m: {first}", *rest],
    }


def fail(front: Front, request: Request, name: str, text: str) -> None:
    """End a cell with an error, the way a kernel reports an exception."""
    error = _error(name, text)
    if not request.content.get("silent"):
        front.publish("error", error, request.header)
    content = {
        "status": "error",
        "execution_count": 0,
        "payload": [],
        "user_expressions": {},
        **error,
    }
    front.reply("shell", request.idents, "execute_reply", content, request.header)
    front.status("idle", request.header)
