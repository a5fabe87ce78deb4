"""The job that the session runs in: when it ends, and whether memory ran out."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..process import run

if TYPE_CHECKING:
    from collections.abc import Mapping


def ends_at(environ: Mapping[str, str], *, ask: bool = False) -> float | None:
    """Unix time at which the walltime ends this job, or None where nobody says.

    Slurm 22.05 and newer set the variable. `ask` lets an older one be asked, which costs a process.
    """
    said = environ.get("SLURM_JOB_END_TIME", "")
    if re.fullmatch(r"[0-9]{6,12}", said):
        return float(said)
    job = environ.get("SLURM_JOB_ID", "")
    if not ask or not re.fullmatch(r"[0-9]+", job):
        return None
    try:
        answer = run(["squeue", "-h", "-j", job, "-o", "%L"], timeout=10, env=environ)
    except UserError:
        return None
    left = seconds(answer.stdout.strip()) if answer.ok else None
    return None if left is None else time.time() + left


def seconds(text: str) -> float | None:
    """Slurm's `D-HH:MM:SS`, `HH:MM:SS` or `MM:SS` in seconds; None for UNLIMITED and the like."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)


def oom_kills(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """How many processes the kernel has killed for memory in this job's cgroups, 0 where it is not said."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return 0
    found = 0
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "" and path:
            found = max(found, _highest(root, path, "memory.events", "oom_kill"))
        elif "memory" in controllers.split(","):
            found = max(found, _highest(root / "memory", path, "memory.oom_control", "oom_kill"))
    return found


def _highest(root: Path, path: str, file: str, key: str) -> int:
    """The count of the cgroup and of those above it that belong to the same job."""
    highest = 0
    current = root / path.lstrip("/")
    while True:
        try:
            text = (current / file).read_text()
        except OSError:
            text = ""
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name == key and value.strip().isdigit():
                highest = max(highest, int(value))
        current = current.parent
        if not re.match(r"(task|step|job)_|user$", current.name):
            return highest


def is_root() -> bool:
    """Whether the session runs as the superuser, which Jupyter refuses unless it is told."""
    return os.geteuid() == 0
