"""Where jobs run: as processes of this machine, or through Slurm when there is one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from .settings import Settings

State = Literal["queued", "running", "completed"]
GRACE = 30.0  # seconds between TERM and KILL, as Slurm's KillWait
MARK = "PORTAL_JOB"
SPOOLED = "/var/spool/slurmd/job00000/slurm_script"  # what $0 looks like in a job: of no use to it


class SubmitError(Exception):
    """The scheduler's own words, shown verbatim on the form."""


class Jobs(Protocol):
    """What the preview asks of a scheduler."""

    async def submit(self, script: str, options: dict[str, Any], root: Path) -> str:
        """Start the job in its staged root and return the job's id."""

    async def state(self, job_id: str) -> State:
        """What the scheduler says of the job; unknown jobs are completed."""

    async def cancel(self, job_id: str) -> None:
        """TERM now, KILL after a while; clean.sh does not run."""

    async def queues(self) -> tuple[str, ...]:
        """The partitions that the person may use."""

    async def close(self) -> None:
        """The preview ends."""


async def choose(settings: Settings) -> Jobs:
    """Slurm when asked for, or when it answers; else processes of this machine."""
    if settings.scheduler == "slurm":
        return SlurmJobs(settings)
    if settings.scheduler == "auto" and shutil.which("sinfo"):
        status, _, _ = await _call(["sinfo", "--noheader"], timeout=5)
        if status == 0:
            return SlurmJobs(settings)
    return LocalJobs(settings)


@dataclass
class _Local:
    child: subprocess.Popen[bytes]
    mark: bytes
    deadline: float

    def members(self) -> list[int]:
        """The bash and every process that carries the job's mark, wherever it went."""
        found = [self.child.pid] if self.child.poll() is None else []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and int(entry.name) not in found:
                with contextlib.suppress(OSError):
                    if self.mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def signal(self, number: signal.Signals) -> None:
        for pid in self.members():
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    async def finish(self, grace: float) -> None:
        """Wait for the end, and enforce it after `grace` seconds."""
        until = time.monotonic() + grace
        while time.monotonic() < until and self.members():  # noqa: ASYNC110 - /proc sends no events
            await asyncio.sleep(0.1)
        self.signal(signal.SIGKILL)
        self.child.poll()


class LocalJobs:
    """Each job is a bash in a session of its own; what it leaves behind is ended with it, as Slurm does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs: dict[str, _Local] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, script: str, options: dict[str, Any], root: Path) -> str:
        """Run the script with the job's own environment; output.log takes both streams."""
        child = self._start(script, options, root)
        wall = float(options.get("script", {}).get("wall_time") or "inf")
        job = _Local(child, f"{MARK}={root.name}".encode(), time.monotonic() + wall)
        self._jobs[str(child.pid)] = job
        return str(child.pid)

    def _start(self, script: str, options: dict[str, Any], root: Path) -> subprocess.Popen[bytes]:
        env = {**self._settings.job_environ(), **_job_environment(options), MARK: root.name}
        with (root / "output.log").open("ab") as log:
            return subprocess.Popen(
                ["/bin/bash", "-c", script, SPOOLED],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=root,
                env=env,
                start_new_session=True,
            )

    async def state(self, job_id: str) -> State:
        """Running until the bash has ended; the walltime is kept as Slurm would."""
        job = self._jobs.get(job_id)
        if job is None:
            return "completed"
        if job.child.poll() is not None:
            job.signal(signal.SIGKILL)
            return "completed"
        if time.monotonic() > job.deadline:
            job.deadline = float("inf")
            await self.cancel(job_id)
        return "running"

    async def cancel(self, job_id: str) -> None:
        """Signal every process of the job, also those that left its process group."""
        if job := self._jobs.get(job_id):
            job.signal(signal.SIGTERM)
            task = asyncio.create_task(job.finish(GRACE))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def queues(self) -> tuple[str, ...]:
        """One, so that the form looks as it does on a cluster."""
        return ("preview",)

    async def close(self) -> None:
        """End all jobs: nothing of the preview is left running."""
        for task in list(self._tasks):
            task.cancel()
        for job in self._jobs.values():
            job.signal(signal.SIGTERM)
        await asyncio.gather(*(job.finish(5.0) for job in self._jobs.values()))


class SlurmJobs:
    """sbatch with the script on stdin and only the names that are meant for the job."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def submit(self, script: str, options: dict[str, Any], root: Path) -> str:
        """Hand the job to sbatch; its complaint is the SubmitError."""
        given = self._settings.job_environ()
        passed = {
            k: v for k, v in given.items() if k.startswith("KERNELWRIGHT_")
        } | _job_environment(options)
        argv = [
            "sbatch",
            "--parsable",
            "-D",
            str(root),
            "-o",
            str(root / "output.log"),
            *slurm_options(options),
        ]
        argv += ["--export", ",".join(["NONE" if not passed else "HOME", *passed])]
        status, out, err = await _call(
            argv, timeout=60, stdin=script, env={**os.environ, **given, **passed}
        )
        if status != 0:
            raise SubmitError(err.strip() or f"sbatch ended with status {status}")
        return out.strip().split(";")[0]

    async def state(self, job_id: str) -> State:
        """One squeue a question."""
        status, out, _ = await _call(["squeue", "-h", "-j", job_id, "-o", "%T"], timeout=30)
        word = out.strip() if status == 0 else ""
        if word in {"PENDING", "CONFIGURING", "REQUEUED", "SUSPENDED"}:
            return "queued"
        return "running" if word in {"RUNNING", "COMPLETING"} else "completed"

    async def cancel(self, job_id: str) -> None:
        """scancel, without waiting."""
        await _call(["scancel", job_id], timeout=30)

    async def queues(self) -> tuple[str, ...]:
        """The names that sinfo gives."""
        status, out, _ = await _call(["sinfo", "--noheader", "-o", "%R"], timeout=30)
        return tuple(dict.fromkeys(out.split())) if status == 0 else ()

    async def close(self) -> None:
        """Jobs stay with Slurm."""


def slurm_options(options: dict[str, Any]) -> list[str]:
    """`script` of the job's options as sbatch arguments."""
    script = options.get("script", {})
    flags = {
        "-J": script.get("job_name"),
        "-p": script.get("queue_name"),
        "-A": script.get("accounting_id"),
        "-q": script.get("qos"),
        "--reservation": script.get("reservation_id"),
        "-n": script.get("cores"),
        "--gpus-per-node": script.get("gpus_per_node"),
    }
    argv = [
        word
        for flag, value in flags.items()
        if value not in (None, "")
        for word in (flag, str(value))
    ]
    if wall := script.get("wall_time"):
        argv += ["-t", str(max(1, int(wall) // 60))]
    return argv + [str(word) for word in script.get("native") or []]


def _job_environment(options: dict[str, Any]) -> dict[str, str]:
    given = options.get("script", {}).get("job_environment") or {}
    return {str(name): str(value) for name, value in given.items()}


async def _call(
    argv: list[str], *, timeout: float, stdin: str = "", env: dict[str, str] | None = None
) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(stdin.encode()), timeout)
    except asyncio.TimeoutError:
        child.kill()
        await child.wait()
        return 124, "", f"`{argv[0]}` did not answer within {timeout:g} s"
    return child.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
