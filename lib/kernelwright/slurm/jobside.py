"""The agent's work once its kernel is started: dial back, pass messages, keep and end the job.

It starts the kernel again without giving up the allocation, and ends the job by itself when the
broker has been silent for longer than the lease.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import zmq

from . import addresses, record
from .dial import Dial
from .link import HEADER, Stream, greeting
from .nodefolder import say, strayed
from .reasons import CANNOT_DIAL, CANNOT_START, LEASE_OVER
from .transport import Habits, exposed, said_since
from .trim import Trim

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .child import Child
    from .jobstate import JobState

BATCH = 200
TRIES = 3  # starts in a row that end before the kernel answers
QUIET = 2.0  # seconds of silence after which the broker may have moved


class Agent:
    """One job's life."""

    def __init__(
        self, secrets: Mapping[str, Any], folder: Path, state: JobState, child: Child
    ) -> None:
        self.secrets, self.folder, self.state, self.child = secrets, folder, state, child
        self.node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
        self.dial = Dial(secrets, Path(secrets["where"]))
        self.lease = float(self.dial.place.get("lease", 120) or 120)
        self.stream: Stream | None = None
        self.trim = Trim()
        self.habits = Habits(Path(secrets["generation"]), self.dial.where.parent.parent)
        self.remarks = strayed(said_since(0))  # for the person, each broker's first cell
        self.failures = 0
        self.last_heard = self.last_loop = time.monotonic()
        self.next_hello = self.next_beat = 0.0

    # --- the loop ---------------------------------------------------------------------------

    def run(self) -> NoReturn:
        """Serve until the broker, the lease or Slurm ends the job."""
        self.poller = zmq.Poller()
        self._catch_signals()
        self.child.watch(self.poller)
        self.state.update(environment=self.secrets["generation"])
        while True:
            ready = dict(self.poller.poll(20 if self._is_impatient() else 500))
            self._notice_suspension()
            if self.signal_fd in ready:
                self._on_signals(os.read(self.signal_fd, 64))
            if self.dial.socket in ready:
                self._pump_link()
            self._pump_kernel(ready)
            self.child.nudge()
            self.dial.step(self.poller, time.monotonic() - self.last_heard)
            self._watch_kernel()
            self._by_the_clock()

    def _is_impatient(self) -> bool:
        return not self.child.ready or self.dial.socket is None or self.stream is None

    def _notice_suspension(self) -> None:
        """A job that Slurm had suspended has lost time, not contact."""
        now = time.monotonic()
        if now - self.last_loop > 5:
            self.last_heard = now
        self.last_loop = now

    def _catch_signals(self) -> None:
        self.signal_fd, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.poller.register(self.signal_fd, zmq.POLLIN)

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGUSR1 in numbers:
            self._tell({"event": "usr1"})
        if signal.SIGTERM in numbers:  # Slurm ends the job: scancel, time limit, preemption
            self._tell({"event": "sigterm"})
            self.child.end(grace=0.2)
            self._leave(0)

    def _by_the_clock(self) -> None:
        now = time.monotonic()
        if now >= self.next_hello and self.stream is None and self.dial.socket is not None:
            self.next_hello = now + 0.25
            self._hello()
        if now < self.next_beat:
            return
        self.next_beat = now + 1.0
        self.state.tick()
        if self.stream is not None:
            self.stream.beat()
            self.trim.tick(self.stream.moved)
        if self.state.is_cancelled():
            self._tell({"event": "cancel"})
        if self.dial.is_hopeless():
            self._give_up()
        silent = now - self.last_heard
        if self.dial.contact and silent > QUIET:
            self._hello()
            if self.dial.has_moved():
                self.dial.hang_up(self.poller)
        if silent > self.lease:
            say(
                f"no word from the notebook for {silent:.0f} s: the lease of {self.lease:.0f} s is over"
            )
            self.child.end()
            self._leave(LEASE_OVER)

    # --- the link -----------------------------------------------------------------------------

    def _hello(self) -> None:
        data = {
            "node": self.node,
            "job": os.environ.get("SLURM_JOB_ID", ""),
            "ready": self.child.ready,
            "incarnation": self.child.incarnation,
        }
        self.dial.send(greeting(b"H", data))

    def _tell(self, event: Mapping[str, Any]) -> None:
        if self.stream is not None:
            self.stream.send_json("event", event)

    def _pump_link(self) -> None:
        for _ in range(BATCH):
            frames = self.dial.receive()
            if frames is None:
                return
            if len(frames[0]) != HEADER.size:
                continue
            self.last_heard = time.monotonic()
            if bytes(frames[0])[:1] == b"W":
                self._welcomed(json.loads(bytes(frames[1])))
            elif self.stream is not None:
                self._take(frames)

    def _take(self, frames: list[Any]) -> None:
        found = self.stream.receive(frames) if self.stream is not None else None
        if found is None:
            return
        channel, body = found
        if channel == "order":
            self._obey(json.loads(bytes(body[0])))
        elif self.child.ready and channel in self.child.sockets:
            self.child.sockets[channel].send_multipart(body, copy=False)

    def _welcomed(self, data: Mapping[str, Any]) -> None:
        if not self.dial.contact:
            say(f"in contact with the notebook at {self.dial.address}")
        self.dial.contact = True
        self.lease = float(self.dial.place.get("lease", self.lease))
        if data.get("who"):
            self._hello()
        if (epoch := data.get("attach")) and (
            self.stream is None or self.stream.epoch.hex() != epoch
        ):
            self.stream = Stream(bytes.fromhex(epoch), self.dial.send)
            for text in self.remarks:
                self._tell({"event": "remark", "text": text})
        self._obey(data)

    def _obey(self, order: Mapping[str, Any]) -> None:
        if "quit" in order:
            self.child.end()
            self._leave(int(order["quit"]))
        if "signal" in order:
            self.child.signal(int(order["signal"]))
        if "facts" in order:
            self.state.update(**{k: v for k, v in order["facts"].items() if k in self.state.data})
        if "respawn" in order:
            self._respawn(order["respawn"])

    def _respawn(self, keys: Mapping[str, str]) -> None:
        """A restart in the notebook: a fresh kernel for the next broker, in the same allocation."""
        say("the kernel is restarted")
        self.child.end()
        self.state.forget_cancel()
        self.child.key = keys.get("key", self.child.key)
        self.child.scheme = keys.get("signature_scheme", self.child.scheme)
        self.failures = 0
        self.stream = None
        self.child.start(self.poller)

    # --- the kernel -----------------------------------------------------------------------------

    def _pump_kernel(self, ready: Mapping[Any, int]) -> None:
        for channel, socket in list(self.child.sockets.items()):
            if socket not in ready:
                continue
            for _ in range(BATCH):
                try:
                    frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
                except zmq.Again:
                    break
                if not self.child.ready:
                    if self.child.heard(channel):
                        self._kernel_ready()
                elif self.stream is not None and not self.child.is_probe(frames):
                    self.stream.send(channel, frames)

    def _kernel_ready(self) -> None:
        say(f"the kernel is ready after {time.monotonic() - self.child.started:.2f} s")
        self.failures = 0
        self.child.spawner.mark_answered()
        if self.child.transport == "ipc":
            self.habits.learn_ipc()
        if self.stream is None:
            self._hello()
        else:
            self._tell({"event": "ready", "incarnation": self.child.incarnation})

    def _watch_kernel(self) -> None:
        status = self.child.has_ended()
        if status is None:
            seconds = time.monotonic() - self.child.started
            if not self.child.has_sockets() and self.habits.is_too_late(seconds):
                self._use_tcp(f"opened no socket files within {seconds:.0f} s")
            return
        if self.child.ready:
            say(f"the kernel has ended with status {status}")
            self._tell({"event": "died", "status": status, "oom": self.state.memory.was_killed()})
            self.state.update()  # how much memory it had used is what people ask next
        elif not self.child.has_sockets() and self.habits.complains(
            said_since(self.child.current.log_size)
        ):
            self._use_tcp("knows no socket files")
            return
        else:
            self.failures += 1
            say(
                f"the kernel ended with status {status} before it answered ({self.failures} of {TRIES})"
            )
            if self.failures >= TRIES:
                self._tell({"event": "leaving", "status": CANNOT_START})
                self._leave(CANNOT_START)
        self.child.start(self.poller)

    def _use_tcp(self, why: str) -> None:
        """Some kernels know no `ipc` sockets: 127.0.0.1 is what they get anywhere else."""
        self._remark(exposed(why, self.node))
        self.failures += 1
        self.child.end(grace=0)
        self.child.start(self.poller, "tcp")

    def _remark(self, text: str) -> None:
        """Something that is true of the whole job: every broker shows it in its first cell."""
        say(text)
        self.remarks.append(text)
        self._tell({"event": "remark", "text": text})

    # --- the end ----------------------------------------------------------------------------

    def _give_up(self) -> NoReturn:
        """Nobody can be reached: say so where the broker can read it, and free the allocation."""
        tried = self.dial.tried or ["the broker's address was never written"]
        say("the notebook cannot be reached from this node:\n  " + "\n  ".join(tried))
        report = {"node": self.node, "addresses": addresses.of_host(), "tried": tried}
        try:
            record.write(Path(self.secrets["report"]), report)
        except OSError as error:
            say(f"that cannot be written down either: {error}")
        self.child.end()
        self._leave(CANNOT_DIAL)

    def _leave(self, status: int) -> NoReturn:
        """End the job."""
        if self.dial.socket is not None:
            self.dial.socket.close(500)
            self.dial.context.term()
        shutil.rmtree(self.folder, ignore_errors=True)
        sys.stdout.flush()
        os._exit(status)
