"""The broker: what Jupyter starts as the kernel of a Slurm kernelspec.

    python -I -m kernelwright.slurm.broker GENERATION CONNECTION_FILE

It answers at once, keeps cells while the job waits and says why, then passes messages unchanged
between Jupyter and the agent in the job. It never exits because the job did: that would make Jupyter
submit another one. One thread, one poll loop; Slurm is asked aside.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from .. import paths
from ..errors import UserError
from . import endings, events, notices
from .alerts import Alerts
from .allocation import Allocation
from .background import Background
from .parent import Parent
from .submission import Start

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .endings import Ending
    from .link import Frame
    from .wire import Request

BATCH = 100  # messages taken from one socket before the others get their turn
IN_FLIGHT = 2.0  # seconds that a restart or shutdown waits for a submission or record under way


class Broker:
    """One life of a kernel, from Jupyter's point of view."""

    def __init__(self, start: Start, connection: Mapping[str, Any]) -> None:
        self.start, self.connection = start, connection
        self.ending: Ending | None = None
        self.allocation: Allocation | None = None
        self.parent = Parent(start.environ)
        try:
            self.allocation = Allocation(start, connection)
        except UserError as error:
            self.ending = endings.of_error(error)

    # --- opening ----------------------------------------------------------------------------

    def open(self) -> None:
        """Bind what Jupyter connects to, then the link; begin to submit or to watch."""
        import zmq

        from .cells import Cells
        from .front import Front
        from .known import Known

        self.context = zmq.Context()
        self.poller = zmq.Poller()
        self.front = Front(self.connection, self.context)
        self.background = Background()
        cache = paths.data_folder(self.start.home) / "jobs"
        self.cells = Cells(self.front, Known(self.start.generation, cache), self.background)
        self.alerts = Alerts(self.cells, self.start.site.slurm)
        for socket in (*self.front.sockets.values(), self.background.fd, self._signals()):
            self.poller.register(socket, zmq.POLLIN)
        self.front.status("starting", None)
        if self.allocation is None:
            return
        try:
            self.allocation.open(self.background, self, self)
        except UserError as error:
            self._refused(error)
        except OSError as error:
            self._refused(
                UserError("slurm-no-room", f"the kernel's job cannot be prepared: {error}")
            )
        else:
            self.poller.register(self.allocation.gate.socket, zmq.POLLIN)
            self.poller.register(self.allocation.gate.zap, zmq.POLLIN)

    def _refused(self, error: UserError) -> None:
        """The job could not be prepared: forget it, and say so in every cell."""
        from . import reaper

        if self.allocation is not None:
            self.allocation.reaper.tell(reaper.CANCEL)
        self.allocation = None
        self.ended(endings.of_error(error))

    def _signals(self) -> int:
        """Signals become readable bytes in the loop."""
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        os.set_blocking(read_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.signal_fd = read_end
        return read_end

    # --- the loop ---------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until Jupyter or a signal ends it."""
        begun = next_beat = time.monotonic()
        while True:
            now = time.monotonic()
            ready = dict(self.poller.poll(max(0, int((next_beat - now) * 1000))))
            if self.signal_fd in ready:
                self._on_signals(os.read(self.signal_fd, 64))
            if self.background.fd in ready:
                self.background.finish()
            self._serve_link(ready)
            for channel, socket in self.front.sockets.items():
                if socket in ready:
                    self._serve_front(channel, socket)
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + (1.0 if now - begun > 3 else 0.2)
                self._beat()

    def _serve_link(self, ready: Mapping[Any, int]) -> None:
        if self.allocation is None or not hasattr(self.allocation, "gate"):
            return
        if self.allocation.gate.zap in ready:
            self.allocation.gate.judge()
        if self.allocation.gate.socket in ready:
            self.allocation.agents.pump()

    def _serve_front(self, channel: str, socket: Any) -> None:
        import zmq

        for _ in range(BATCH):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if channel == "hb":
                socket.send_multipart(frames)
            elif channel == "iopub":
                self.front.welcome(frames)
            else:
                self._on_frames(channel, frames)

    def _beat(self) -> None:
        """Once a second: heartbeat, questions to Slurm, waiting lines, warnings, orphanhood."""
        if self.parent.is_gone():
            self.leave()
        allocation = self.allocation
        if allocation is None:
            return
        allocation.tick()
        if self.ending is not None:
            return
        allocation.agents.beat()
        if len(self.cells.room):
            self.alerts.waiting(allocation)
        if allocation.agents.is_attached:
            self.alerts.running(allocation)

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGHUP in numbers:
            self.leave()
        if self.allocation is not None and self.allocation.agents.is_attached:
            self.allocation.agents.order({"signal": int(signal.SIGINT)})
        else:
            self.cells.room.interrupt()

    # --- requests ---------------------------------------------------------------------------

    def _on_frames(self, channel: str, frames: list[bytes]) -> None:
        from .wire import BadMessageError, message_type

        attached = self.allocation is not None and self.allocation.agents.is_attached
        kind = message_type(frames)
        if attached and kind not in {"execute_request", "shutdown_request"} and self.ending is None:
            self.allocation.agents.send(channel, frames)  # type: ignore[union-attr] # attached
            return
        try:
            request = self.front.wire.read(channel, frames)
        except BadMessageError:
            return  # another key: not for us, and nothing to answer
        if request.type == "shutdown_request":
            self._shutdown(request)
        elif self.ending is not None:
            self.cells.refuse(request, self.ending)
        elif attached:
            self.cells.started(request)
            self.allocation.agents.send(channel, frames)  # type: ignore[union-attr] # attached
        else:
            self.cells.wait(request, self._notice())

    def _notice(self) -> notices.Notice:
        waiting = self.allocation.waiting if self.allocation else notices.Waiting()
        return waiting.notice(time.time())

    def _shutdown(self, request: Request) -> None:
        """Jupyter's own word that the kernel ends; `restart` is the only trustworthy sign of one."""
        restart = bool(request.content.get("restart"))
        content = {"status": "ok", "restart": restart}
        self.front.reply(request.channel, request.idents, "shutdown_reply", content, request.header)
        self.front.publish("shutdown_reply", content, request.header)
        self.leave(restart=restart)

    def leave(self, *, restart: bool = False) -> None:
        """Exit: a restart leaves the job to the next broker, everything else cancels it."""
        allocation = self.allocation
        if allocation is not None:
            deadline = time.monotonic() + IN_FLIGHT
            while self.background.busy("submit", "save") and time.monotonic() < deadline:
                time.sleep(0.02)
                self.background.finish()
            if not allocation.is_over:
                allocation.hand_over() if restart else allocation.cancel()
            allocation.close()
        self.front.close()
        self.context.term()
        os._exit(0)  # threads that still ask Slurm must not hold us

    # --- what the allocation and the agent tell us -------------------------------------------------

    def changed(self) -> None:
        """See allocation.Listener."""
        self.cells.room.update(self._notice())

    def ended(self, ending: Ending) -> None:
        """See allocation.Listener."""
        self.ending = ending
        self.cells.end(ending)

    def starting(self, node: str, job: str) -> None:
        """See agentside.Listener."""
        if self.allocation is not None and self.ending is None:
            self.allocation.placed(node, job)

    def attached(self, node: str) -> None:
        """See agentside.Listener."""
        if self.allocation is None or self.ending is not None:
            return
        self.released(node)
        self.allocation.attached(node)
        self.allocation.watcher.hurry(1.0)

    def released(self, node: str) -> None:
        """The kernel is ready: what waited goes to it."""
        allocation = self.allocation
        if allocation is None:
            return
        allocation.agents.kernel_ready = True
        for request in self.cells.release(events.how_started(allocation, node)):
            allocation.agents.send(request.channel, request.frames)

    def arrived(self, channel: str, frames: list[Frame]) -> None:
        """See agentside.Listener."""
        if channel in self.front.sockets and self.ending is None:
            self.cells.pass_on(channel, frames)

    def event(self, event: Mapping[str, Any]) -> None:
        """See agentside.Listener."""
        if self.allocation is not None and self.ending is None:
            events.on_event(self, self.allocation, event)


def main(argv: list[str]) -> int:
    """Run as a process; see the module's docstring."""
    from .front import read_connection

    if len(argv) != 2:
        print(
            "usage: python -m kernelwright.slurm.broker GENERATION CONNECTION_FILE", file=sys.stderr
        )
        return 2
    start = Start.from_process(*argv)
    try:
        connection = read_connection(start.connection_file)
    except (OSError, json.JSONDecodeError) as error:
        print(f"kernelwright: the connection file cannot be read: {error}", file=sys.stderr)
        return 1
    broker = Broker(start, connection)
    try:
        broker.open()
    except UserError as error:  # Jupyter chooses other ports for the start that it tries next
        print(f"kernelwright: {error.message}", file=sys.stderr)
        return 1
    broker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
