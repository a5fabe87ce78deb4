"""The job as the broker holds it: record, reaper, link, submission, what Slurm says, the hand-over."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import UserError
from . import addresses, endings, limits, reaper, submission
from .clients import Unreachable
from .jobs import BEAT
from .notices import Waiting
from .queueview import QueueView
from .record import UNWANTED
from .scheduler import Ended, connect
from .watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .agentside import Listener as AgentListener
    from .background import Background
    from .endings import Ending
    from .scheduler import Job

GONE = 5.0  # seconds of silence after which the agent of a job that waits again is believed dead
RETRY = 5.0  # seconds between two tries to submit while Slurm does not answer


class Listener(Protocol):
    """Who is told; the broker."""

    def changed(self) -> None:
        """There is something new to say in the waiting cells."""

    def ended(self, ending: Ending) -> None:
        """There is no job, or none any more."""


class Allocation:
    """One job, from before its submission to its end. Made before threads and sockets exist."""

    def __init__(self, start: submission.Start, connection: Mapping[str, Any]) -> None:
        """Find or make the record and fork the reaper. Raises UserError."""
        self.start, self.connection, self.site = start, connection, start.site.slurm
        self.addresses = addresses.offered(self.site.network, addresses.of_host())
        self.ports = addresses.port_range(self.site.ports)
        self.scheduler = connect(environ=start.environ, submit=self.site.submit)
        self.found = submission.find_or_make(start, connection)
        self.folder, self.record, self.adopted = (
            self.found.folder, self.found.record, self.found.adopted,
        )  # fmt: skip
        self.is_over = False
        self.ends: float | None = None
        self.retry_at = float("inf")
        self.next_sign = 0.0
        self._unsaved = False
        mine = self.record
        self.waiting = Waiting(
            job=mine.job, state=mine.phase.upper(), submitted=mine.submitted, node=mine.node
        )
        grace = min(reaper.GRACE, self.site.lease)
        self.reaper = reaper.Reaper(
            lambda word: reaper.reap(
                word, folder=self.folder, record=mine, scheduler=self.scheduler, grace=grace
            )
        )

    @property
    def job(self) -> str:
        """The job id, for people."""
        return self.record.job or "(not yet submitted)"

    # --- opening ----------------------------------------------------------------------------

    def open(self, background: Background, listener: Listener, agent: AgentListener) -> None:
        """Listen for the agent, then submit the job or watch the one taken over. Raises UserError."""
        from .agentside import AgentSide
        from .gate import Gate

        self.background, self.listener = background, listener
        mine, agent_secret = self.record, self._new_keys()
        keys = mine.keys
        self.gate = Gate(
            public=keys["broker_public"], secret=keys["broker_secret"], agent=keys["agent_public"]
        )
        only = self.addresses if self.site.network else None
        mine.port = self.gate.listen(only, self.ports, mine.port)
        respawn = self._respawn()
        mine.key, mine.respawned = str(self.connection.get("key", "")), False
        self.save()
        submission.write_where(self.folder, mine, self.addresses, self.site.lease)
        if agent_secret:
            submission.write_secrets(
                self.folder, mine, agent_secret=agent_secret, connection=self.connection
            )
        epoch = bytes.fromhex(mine.nonce).ljust(8, b"\0")
        self.agents = AgentSide(self.gate, epoch, agent, respawn=respawn)
        cluster = self.start.environ.get("SLURM_CONF", "") + self.site.submit
        view = QueueView(self.scheduler, cluster=cluster)
        self.watcher = Watcher(self.scheduler, view, background, self)
        if mine.job is None:
            self._submit(again=self.adopted)
        else:
            self.watcher.watch(mine.job)

    def _new_keys(self) -> str:
        """Fresh key pairs for a new job; the agent's secret, which the record never holds."""
        from .gate import new_keys

        if self.adopted:
            return ""
        broker_public, broker_secret = new_keys()
        agent_public, agent_secret = new_keys()
        self.record.keys = {
            "broker_public": broker_public,
            "broker_secret": broker_secret,
            "agent_public": agent_public,
        }
        return agent_secret

    def _respawn(self) -> dict[str, str] | None:
        """The keys of a fresh kernel, where the running one is another broker's."""
        same_key = self.record.key == self.connection.get("key")
        if not self.adopted or (self.record.respawned and same_key):
            return None
        return {k: str(self.connection.get(k, "")) for k in ("key", "signature_scheme")}

    def save(self) -> None:
        """Write the record; a full disk costs the hand-over, not the kernel."""
        try:
            self.folder.save(self.record)
        except OSError as error:
            print(f"kernelwright: the job's record cannot be written: {error}", file=sys.stderr)

    def _save_aside(self) -> None:
        """Write the record without waiting for it: a home that hangs must not stop the link."""
        self._unsaved = not self.background.ask("save", self.save, self._saved)

    def _saved(self, _: object) -> None:
        if self._unsaved:
            self._save_aside()

    # --- submitting -------------------------------------------------------------------------

    def _submit(self, *, again: bool) -> None:
        self.retry_at = float("inf")

        def question() -> str:
            text = submission.script_of(self.start, self.found)
            self.record.script = submission.digest(text)
            return submission.submit(self.scheduler, text, self.record, again=again)

        self.background.ask("submit", question, self._submitted)

    def _submitted(self, answer: str | Exception) -> None:
        if self.is_over:
            return
        if isinstance(answer, Unreachable):
            self.retry_at = time.monotonic() + RETRY
            self._show(outage=True)
        elif isinstance(answer, UserError):
            self._over(endings.of_error(answer))
        elif isinstance(answer, Exception):
            self._over(endings.of_error(UserError("slurm-refused", f"sbatch failed: {answer}")))
        elif self.record.job is not None:  # its agent was here before sbatch's answer
            if self.record.job != answer:
                self._cancel_others()
        else:
            self.record.job, self.record.phase = answer, "pending"
            self.record.submitted = time.time()
            self._save_aside()
            self._show(job=answer, state="PENDING", outage=False, submitted=self.record.submitted)
            self.watcher.watch(answer)

    def tick(self) -> None:
        """Called by the loop every second, and after each event."""
        if self.is_over:
            return
        now = time.monotonic()
        if now >= self.retry_at:
            self._submit(again=True)
        if now >= self.next_sign:
            self.next_sign = now + BEAT
            mine = self.folder.owner(self.record.nonce)
            self.background.ask("sign", lambda: os.utime(mine))
        self.watcher.tick()

    # --- what Slurm says (Watcher's listener) ---------------------------------------------------

    def _show(self, **news: Any) -> None:
        from dataclasses import replace

        changed = replace(self.waiting, **news)
        if changed != self.waiting:
            self.waiting = changed
            self.listener.changed()

    def seen(self, job: Job) -> None:
        """Slurm knows the job and it is not over."""
        if job.state == "PENDING" and self.record.phase == "running" and self.agents.silent > GONE:
            self._cancel_aside()  # somebody has requeued it: a second start would find no keys
            self.over(Ended("REQUEUED", job.reason, node=self.record.node))
            return
        if (most := limits.too_long(job, self.site)) is not None:
            shorten = self.scheduler.shorten
            self.background.ask("limit", lambda: shorten(job.id, most))
        ends = job.ends if job.state == "RUNNING" else None
        if ends != self.ends:
            self.ends = ends
            self.agents.order({"facts": {"ends": ends}})
        self._show(
            state=job.state, reason=job.reason, starts=job.starts, node=job.node, outage=False
        )

    def outage(self) -> None:
        """Slurm does not answer: the job is as it was."""
        self._show(outage=True)

    def over(self, ended: Ended) -> None:
        """Slurm says that the job has ended."""
        self._over(endings.of_job(self.job, ended, self.folder, self.record.tag, self.addresses))

    def _over(self, ending: Ending) -> None:
        if self.is_over:
            return
        self.is_over = True
        self.reaper.tell(reaper.KEEP)
        self.folder.clear(self.record.tag, record=self.folder.owner(self.record.nonce))
        self.listener.ended(ending)

    def placed(self, node: str, job: str) -> None:
        """An agent says where it is: with our keys, so that its job is the one that counts."""
        self.record.node = node
        if job and job != self.record.job:
            self.record.job = job
            self._show(job=job)
            self.watcher.watch(job)
            self._cancel_others()

    def _cancel_others(self) -> None:
        """A broker that was killed while it submitted may leave a job beside the one that runs."""
        mine, name = self.record.job or "", self.record.job_name
        self.background.ask(
            "others",
            lambda: reaper.cancel_others(self.scheduler, name, keep=mine),
        )

    def attached(self, node: str) -> None:
        """The agent is there with a ready kernel."""
        self.record.phase, self.record.node = "running", node
        self._save_aside()
        self.agents.order({"facts": {"ends": self.ends}})

    # --- leaving ----------------------------------------------------------------------------

    def stop(self, ending: Ending, status: int) -> None:
        """End the job for a reason of our own; the broker stays."""
        self.agents.dismiss(status)
        self._cancel_aside()
        self._over(ending)

    def _cancel_aside(self) -> None:
        name = self.record.job_name
        self.background.ask(
            "cancel",
            lambda: reaper.cancel_until_gone(self.scheduler, name, settle=0),
        )

    def hand_over(self) -> None:
        """Leave the job to the broker that Jupyter starts next, unless that must ask for another one."""
        if submission.is_outdated(self.start, self.found, self.waiting.reason):
            self.record.phase = UNWANTED
            self.save()
            self.cancel()
            return
        if self.agents.is_attached:
            self.agents.order({"respawn": {}})
            self.record.respawned = True
        self.save()
        self.reaper.tell(reaper.HAND_OVER)

    def cancel(self) -> None:
        """End the job; the reaper goes on until the queue is empty, we need not wait."""
        in_flight = self.record.job is None
        self.reaper.tell(reaper.CANCEL_LATE if in_flight else reaper.CANCEL)
        self.agents.dismiss()

    def close(self) -> None:
        """Let the last orders out."""
        self.gate.close()
        self.gate.context.term()
