"""From a kernel's start to a job: find or make the record, write the agent's keys, submit."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import paths
from ..errors import UserError
from . import record as records
from . import script, settings
from .clients import Unreachable
from .reasons import starts_never
from .record import Folder, Record
from .scheduler import HINT_REFUSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.model import SiteConfig
    from .scheduler import Scheduler

SESSION = "KERNELWRIGHT_SESSION"  # environment variable: the OOD session that the kernel belongs to
LATE = 6.0  # seconds in which the submission of a dead broker may still show in the queue


@dataclass(frozen=True)
class Start:
    """What one start of a kernel is made from."""

    generation: Path
    connection_file: str
    environ: Mapping[str, str]
    site: SiteConfig
    home: Path

    @classmethod
    def from_process(cls, generation: str, connection_file: str) -> Start:
        """The start that the arguments and the environment of this process describe."""
        from ..config import load_effective

        environ = dict(os.environ)
        return cls(
            generation=Path(os.path.abspath(generation)),
            connection_file=os.path.abspath(connection_file),
            environ=environ,
            site=load_effective(environ),
            home=paths.home_folder(),
        )

    @property
    def kernel(self) -> str:
        """A short name for the queue."""
        found = records.read(self.generation / "entry.json", foreign=True)
        name = str(found.get("name") or "kernel")
        return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:40]


@dataclass(frozen=True)
class Found:
    """The folder and record to work with; `adopted` is a job that another broker submitted."""

    folder: Folder
    record: Record
    adopted: bool


def find_or_make(start: Start, connection: Mapping[str, Any]) -> Found:
    """Take over the job of an earlier broker of this kernel, else prepare a record for a new one.

    Raises UserError `slurm-no-room`.
    """
    storage = _storage(start)
    name = records.identity(start.connection_file)
    folder = records.open_folder(records.bases(start.home, storage), name)
    nonce = records.new_nonce()
    for path in folder.records():
        if records.read(path).get("phase") == records.UNWANTED:
            continue  # the reaper that cancels it removes it
        if not folder.claim(path, folder.owner(nonce)):
            continue
        data = records.read(folder.owner(nonce))
        try:
            found = Record.from_json(data)
        except TypeError:
            folder.owner(nonce).unlink(missing_ok=True)  # damaged: its job ends by its lease
            continue
        found.nonce, found.host, found.pid = nonce, socket.gethostname(), os.getpid()
        return Found(folder, found, adopted=True)
    fresh = Record(
        nonce=nonce,
        tag=nonce,
        job_name=f"kw-{start.kernel}-{nonce}",
        kernel=start.kernel,
        generation=str(start.generation),
        key=str(connection.get("key", "")),
        host=socket.gethostname(),
        pid=os.getpid(),
        session=start.environ.get(SESSION, ""),
    )
    return Found(folder, fresh, adopted=False)


def _storage(start: Start) -> Path | None:
    from ..store.expand import expand

    root = start.site.storage.root
    try:
        return expand(root, start.home, start.environ) if root else None
    except UserError:
        return None


def write_where(folder: Folder, record: Record, addresses: list[str], lease: float) -> None:
    """Say where this broker listens; an agent that lost contact reads it again."""
    data = {"owner": record.nonce, "addresses": addresses, "port": record.port, "lease": lease}
    records.write(folder.where(record.tag), data)


def write_secrets(
    folder: Folder, record: Record, *, agent_secret: str, connection: Mapping[str, Any]
) -> None:
    """The agent's keys, in the one file that carries them; the agent removes it once read."""
    data = {
        "version": 1,
        "generation": record.generation,
        "kernel": record.kernel,
        "where": str(folder.where(record.tag)),
        "report": str(folder.report(record.tag)),
        "broker_public": record.keys["broker_public"],
        "agent_public": record.keys["agent_public"],
        "agent_secret": agent_secret,
        "key": connection.get("key", ""),
        "signature_scheme": connection.get("signature_scheme", "hmac-sha256"),
    }
    records.write(folder.secrets(record.tag), data)


def script_of(start: Start, found: Found) -> str:
    """The script of this start. Raises UserError."""
    own = settings.of_kernel(start.generation)
    chosen = settings.effective(own, start.site.slurm, environ=start.environ)
    record, folder = found.record, found.folder
    comment = f"kernelwright:kernel={record.kernel}"
    if record.session:
        comment += f";session={records.session_word(record.session)}"
    plan = script.Plan(
        kernel=record.kernel,
        job_name=record.job_name,
        comment=comment,
        log=script.pattern(str(folder.path)) + "/%j.log",
        secrets=str(folder.secrets(record.tag)),
        python=paths.runtime_python(paths.runtime_folder(start.environ)),
        chdir=_working_folder(start),
    )
    return script.render(chosen, plan)


def digest(script: str) -> str:
    """A short name for a script's text: another one means that other settings were asked for."""
    return hashlib.sha256(script.encode()).hexdigest()[:16]


def is_outdated(start: Start, found: Found, reason: str) -> bool:
    """Whether a job waits for what never comes (by Slurm's `reason`), or was asked for otherwise."""
    if found.record.job is None or found.record.phase != "pending":
        return False
    if starts_never(reason):
        return True
    try:
        now = digest(script_of(start, found))
    except UserError:
        return True
    return bool(found.record.script) and found.record.script != now


def _working_folder(start: Start) -> str:
    here = os.getcwd()
    of_node = here == "/tmp" or here.startswith("/tmp/")  # noqa: S108 - /tmp is the node's own
    return here if here.isprintable() and not of_node else str(start.home)


def submit(scheduler: Scheduler, text: str, record: Record, *, again: bool) -> str:
    """Submit and return the job id; `again`: an earlier try may have worked without saying so.

    Raises UserError `slurm-refused`, or Unreachable.
    """
    if again and (job := _late(scheduler, record)):
        return job
    try:
        refusal = scheduler.preflight(text)
    except Unreachable:
        refusal = None
    if refusal:
        raise UserError("slurm-refused", f"Slurm refused the job: {refusal}", hint=HINT_REFUSED)
    return scheduler.submit(text)


def _late(scheduler: Scheduler, record: Record) -> str | None:
    deadline = time.monotonic() + LATE
    while True:
        if jobs := scheduler.named(record.job_name):
            return jobs[0]
        if time.monotonic() > deadline:
            return None
        time.sleep(0.5)
