"""What a kernel may know of its own job: the file behind `%kernelwright job` and `%kernelwright cancel`.

The agent writes it in the folder of the connection file, which containers see too, and names it in
KERNELWRIGHT_JOB_STATE. The kernel asks for the job's end by creating the file `cancel_file`. All of
docs/concepts/slurm-kernels.md, "The job state file".
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE = "KERNELWRIGHT_JOB_STATE"
_NOT_FOR_KERNELS = {"SLURM_EXPORT_ENV", "SLURM_GET_USER_ENV"}  # they would empty srun's environment
# seconds until launch.sh takes a kernel for hung: in a job no front end's patience ends after 60
START_LIMIT = "300"
UNLIMITED = 1 << 60  # bytes from which on a limit of control groups v1 is none
EVERY = 10.0  # seconds between two looks at the memory


class JobState:
    """Writes the file; reads the request to cancel."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.path = folder / "job.json"
        self.cancel_file = folder / "cancel"
        self.memory = Memory()
        self._next = 0.0
        self.data: dict[str, Any] = {
            "version": 1,
            "job": environ.get("SLURM_JOB_ID"),
            "name": environ.get("SLURM_JOB_NAME"),
            "node": environ.get("SLURMD_NODENAME"),
            "nodes": environ.get("SLURM_JOB_NODELIST"),
            "partition": environ.get("SLURM_JOB_PARTITION"),
            "account": environ.get("SLURM_JOB_ACCOUNT"),
            "ntasks": _number(environ.get("SLURM_NTASKS")),
            "cpus": _number(environ.get("SLURM_CPUS_ON_NODE")),
            "gpus": environ.get("CUDA_VISIBLE_DEVICES"),
            "started": _number(environ.get("SLURM_JOB_START_TIME")) or int(time.time()),
            "ends": _number(environ.get("SLURM_JOB_END_TIME")),
            "environment": None,
            "cancel_file": str(self.cancel_file),
        }

    def kernel_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What the kernel gets: the job's environment, and the way to this file."""
        passed = {k: v for k, v in environ.items() if k not in _NOT_FOR_KERNELS}
        return {"KERNELWRIGHT_START_LIMIT": START_LIMIT, **passed, VARIABLE: str(self.path)}

    def update(self, **news: Any) -> None:
        """Change some facts and write."""
        self.data.update(news)
        self._next = 0.0
        self.tick()

    def tick(self) -> None:
        """Write again when it is time; a full /tmp is no reason to end."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY
        self.data["memory"] = self.memory.look()
        temporary = self.path.with_name(".job.json")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(self.data, indent=1), encoding="utf-8")
            os.replace(temporary, self.path)

    def is_cancelled(self) -> bool:
        """Whether the kernel asked for the end."""
        return self.cancel_file.exists()

    def forget_cancel(self) -> None:
        """A restart has overtaken the request: the kernel that starts now has not asked for its end."""
        with contextlib.suppress(OSError):
            self.cancel_file.unlink(missing_ok=True)


class Memory:
    """The job's memory by its control group (v2 or v1); by its processes where there is none."""

    def __init__(self, root: str = "/sys/fs/cgroup") -> None:
        self.files = _cgroup_files(root)
        self.peak = 0
        self.kills = self._kills()

    def look(self) -> dict[str, int | None]:
        """Bytes used now, at most so far, and allowed."""
        current = _read(self.files.get("current"))
        if current is None:
            current = _own_memory()
        self.peak = max(self.peak, current, _read(self.files.get("peak")) or 0)
        limit = _read(self.files.get("limit"))
        if limit is not None and limit >= UNLIMITED:
            limit = None
        return {"current": current, "peak": self.peak, "limit": limit}

    def was_killed(self) -> bool:
        """Whether the kernel of the operating system has killed for want of memory since last time."""
        before, self.kills = self.kills, self._kills()
        return self.kills > before

    def _kills(self) -> int:
        try:
            with open(self.files.get("events", ""), encoding="ascii") as file:
                found = re.search(r"^oom_kill (\d+)", file.read(), re.MULTILINE)
        except OSError:
            return 0
        return int(found[1]) if found else 0


def _cgroup_files(root: str) -> dict[str, str]:
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            lines = [line.strip().split(":", 2) for line in file]
    except OSError:
        return {}
    for number, controllers, path in lines:
        if number == "0" and "/job_" in path:
            job = re.sub(r"(/job_\d+).*", r"\1", path)
            names = {"current": "current", "peak": "peak", "limit": "max", "events": "events"}
            return {k: f"{root}{job}/memory.{v}" for k, v in names.items()}
        if "memory" in controllers.split(",") and "/job_" in path:
            job = re.sub(r"(/job_\d+).*", r"\1", path)
            names = {
                "current": "usage_in_bytes", "peak": "max_usage_in_bytes", "limit": "limit_in_bytes",
            }  # fmt: skip
            found = {k: f"{root}/memory{job}/memory.{v}" for k, v in names.items()}
            # v1 counts a kill in the victim's own group alone, and our kernel's is ours
            return {**found, "events": f"{root}/memory{path}/memory.oom_control"}
    return {}


def _own_memory() -> int:
    """The resident bytes of this process and of all below it."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        parents[int(name)], pages[int(name)] = int(fields[1]), int(fields[21])
    mine = {os.getpid()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in mine} - mine
        mine |= more
        grown = bool(more)
    return sum(pages.get(pid, 0) for pid in mine) * os.sysconf("SC_PAGE_SIZE")


def _read(path: str | None) -> int | None:
    if path is None:
        return None
    try:
        with open(path, encoding="ascii") as file:
            return _number(file.read().strip())
    except OSError:
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
