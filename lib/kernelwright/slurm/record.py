"""What a broker leaves on the shared file system so that another broker, and the agent, find the job.

    jobs/<identity>/                 0700; the identity is made from the connection file's path
        owner-<nonce>.json           the record, 0600: who renames it owns the job
        agent-<tag>.json             the agent's keys, removed by the agent once read
        where-<tag>.json             the broker's address, for an agent that has lost it
        report-<tag>.json            what an agent says that cannot dial back
        <job id>.log                 what the job printed

A nonce names one broker's life, a tag one job: the tag stays when the job is handed over.

Jupyter restarts a kernel with the same connection file, so that the next broker finds the record.
Renaming is the one step that two of them (or a broker and a reaper) cannot both do.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import time
import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from .. import paths
from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UNWANTED = "unwanted"  # phase of a job that its reaper cancels: a restart asks for another one
ROOM = 4096  # bytes kept for a record, so that it can be rewritten in place on a full disk
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}


def identity(connection_file: str) -> str:
    """The name under which every broker of this kernel finds the same folder."""
    return hashlib.sha256(os.path.abspath(connection_file).encode()).hexdigest()[:16]


def session_word(session: str) -> str:
    """A session's id (a name or a folder) as it stands in a job's comment: no separators, not long."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in session)[-60:]


def new_nonce() -> str:
    """A random name for one broker's life, and for the job that it submits."""
    return uuid.uuid4().hex[:12]


@dataclass
class Record:
    """The hand-over of a job from one broker to the next; contains the broker's link keys."""

    nonce: str
    tag: str
    job_name: str
    kernel: str
    generation: str
    keys: dict[str, str] = field(default_factory=dict)  # broker_public, broker_secret, agent_public
    key: str = ""  # the HMAC key of the connection file
    job: str | None = None
    phase: str = "submitting"  # submitting | pending | running | unwanted
    script: str = ""  # the digest of what was submitted
    port: int = 0
    submitted: float = field(default_factory=time.time)
    node: str = ""
    respawned: bool = False  # the agent was told to start a fresh kernel before the hand-over
    host: str = ""
    pid: int = 0
    session: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Read what an earlier broker wrote, ignoring what a newer one may have added."""
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in data.items() if k in known})


class Folder:
    """The folder of one kernel's job."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def owner(self, nonce: str) -> Path:
        """The record of the broker with this nonce."""
        return self.path / f"owner-{nonce}.json"

    def reaped(self, nonce: str) -> Path:
        """The record of a dead broker whose job is being cancelled."""
        return self.path / f"reaped-{nonce}.json"

    def secrets(self, tag: str) -> Path:
        """The agent's keys."""
        return self.path / f"agent-{tag}.json"

    def where(self, tag: str) -> Path:
        """The broker's address."""
        return self.path / f"where-{tag}.json"

    def report(self, tag: str) -> Path:
        """The last words of an agent that could not dial back."""
        return self.path / f"report-{tag}.json"

    def log(self, job: str) -> Path:
        """What the job printed."""
        return self.path / f"{job}.log"

    def records(self) -> list[Path]:
        """The owners' records; more than one only while a hand-over is under way."""
        try:
            return sorted(self.path.glob("owner-*.json"))
        except OSError:
            return []

    def save(self, record: Record) -> None:
        """Write the record of its owner. Raises OSError."""
        write(self.owner(record.nonce), asdict(record))

    def claim(self, path: Path, target: Path) -> bool:
        """Take over the record at `path`; False where somebody else was faster."""
        try:
            os.rename(path, target)
        except OSError:
            return False
        return True

    def clear(self, tag: str, *, record: Path | None = None) -> None:
        """Remove what belongs to a job that is over; its log stays for the reader."""
        for path in (self.secrets(tag), self.where(tag), self.report(tag), record):
            with contextlib.suppress(OSError):
                if path is not None:
                    os.unlink(path)

    def tail(self, job: str, lines: int = 20) -> str:
        """The last lines that the job printed, '' where there is nothing to read."""
        try:
            with open(self.log(job), "rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 16384))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        shown = "".join(c if c == "\n" or c.isprintable() else " " for c in text)
        return "\n".join(line[:400].rstrip() for line in shown.strip().splitlines()[-lines:])


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON, 0600, whole or not at all; on a full disk over the old text in place."""
    text = json.dumps(data).encode().ljust(ROOM) + b"\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            _write_all(fd, text)  # no fsync: a busy disk would hold the broker's loop for seconds
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            _write_all(fd, text)
        finally:
            os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read(path: Path, *, foreign: bool = False) -> dict[str, Any]:
    """A JSON object that we wrote; {} where it is missing, damaged or somebody else's.

    `foreign`: of a generation, which for a central kernel belongs to the site.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return {}
    with open(fd, "rb") as file:
        try:
            if not foreign and os.fstat(fd).st_uid != os.getuid():
                return {}
            value = json.loads(file.read(1 << 20))
        except (OSError, ValueError):
            return {}
    return value if isinstance(value, dict) else {}


def read_once(path: Path) -> dict[str, Any]:
    """A file of keys that is gone afterwards; {} for whoever could not remove it, or came too late."""
    found = read(path)
    try:
        os.unlink(path)
    except OSError:
        return {}
    return found


def bases(home: Path, storage_root: Path | None) -> list[Path]:
    """Where job folders may lie: in the home, else on the site's storage (a home may be full)."""
    found = [paths.data_folder(home) / "jobs"]
    if storage_root is not None:
        found.append(storage_root / "jobs")
    return found


def open_folder(candidates: Sequence[Path], name: str) -> Folder:
    """The folder of this kernel's job: an existing one with a record, else the first with room.

    Raises UserError `slurm-no-room`.
    """
    for base in candidates:
        folder = Folder(base / name)
        if _is_private(folder.path) and folder.records():
            return folder
    refusals = {}
    for base in candidates:
        try:
            return _made(base / name)
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            refusals[str(base)] = error.strerror or str(error)
    raise UserError(
        "slurm-no-room",
        "the kernel's job cannot be prepared: there is no room for its files",
        context=refusals,
        hint="free some space in your home; `kernelwright storage` shows what kernels use",
    )


def _made(path: Path) -> Folder:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if not _is_private(path):
        raise PermissionError(
            errno.EPERM, "the folder belongs to somebody else or is open to others"
        )
    trial = path / f".room.{os.getpid()}"
    fd = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write_all(fd, b" " * 4 * ROOM)
    finally:
        os.close(fd)
        os.unlink(trial)
    return Folder(path)


def _is_private(path: Path) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
