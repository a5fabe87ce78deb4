"""The batch script of a kernel's job, exactly as it is submitted; `--dry-run` and `show` print it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import paths
from . import quantities
from .settings import effective

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.model import SiteConfig
    from ..model import SlurmSettings

_FLAGS = {
    "partition": "partition", "account": "account", "qos": "qos", "reservation": "reservation",
    "nodes": "nodes", "ntasks": "ntasks", "cpus_per_task": "cpus-per-task", "mem": "mem", "gres": "gres",
    "constraint": "constraint", "time": "time",
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a script says beside the allocation; none of it is a secret."""

    kernel: str  # the kernel's name, for people
    job_name: str
    comment: str
    log: str
    secrets: str  # the file with the keys, which the agent reads and removes
    python: Path  # the runtime's interpreter, as nodes see it
    chdir: str | None = None


def example(kernel: str, python: Path) -> Plan:
    """A plan for `--dry-run` and `show`: words in capitals stand for what a start fills in."""
    return Plan(
        kernel=kernel,
        job_name=f"kw-{kernel}-NUMBER",
        comment="kernelwright:kernel=ID",
        log="JOBFOLDER/%j.log",
        secrets="JOBFOLDER/agent.json",
        python=python,
    )


def render_script(settings: SlurmSettings, site: SiteConfig, *, generation: Path, name: str) -> str:
    """What `create --dry-run` and `show` print: the script with the site's defaults filled in.

    `generation` is where the agent will find launch.sh; only the broker's secrets file names it.
    """
    del generation
    python = paths.runtime_python(paths.runtime_folder())
    return render(effective(settings, site.slurm), example(name, python))


def render(settings: SlurmSettings, plan: Plan) -> str:
    """The script: one #SBATCH line an option, then the agent, which becomes the batch step itself."""
    lines = [
        "#!/bin/bash",
        f"# Kernelwright: the allocation of Jupyter kernel {plan.kernel}",
        _line("job-name", plan.job_name),
        _line("comment", plan.comment),
        _line("output", plan.log),
        "#SBATCH --open-mode=append",
        "#SBATCH --export=ALL",
        "#SBATCH --no-requeue",
        "#SBATCH --propagate=NONE",  # the session's own limits of memory, files and time are not the job's
        f"#SBATCH --signal=B:USR1@{warning_seconds(settings.time)}",
    ]
    if plan.chdir:
        lines.append(_line("chdir", plan.chdir))
    for key, option in _FLAGS.items():
        value = getattr(settings, key)
        if value is not None:
            lines.append(_line(option, str(value)))
    for option in settings.extra:  # long forms, which `effective` makes of short ones
        name, equals, value = option.partition("=")
        lines.append(f"#SBATCH {name}={_quoted(value)}" if equals else f"#SBATCH {name}")
    # exec: SIGUSR1 and SIGTERM of the job reach the agent itself
    agent = shlex.join([str(plan.python), "-I", "-m", "kernelwright.slurm.agent", plan.secrets])
    return "\n".join([*lines, f"exec {agent}", ""])


def warning_seconds(time: str | None) -> int:
    """How long before the time limit Slurm warns: two minutes, less for very short jobs."""
    limit = quantities.seconds(time) if time else None
    return 120 if limit is None or limit >= 600 else max(20, int(limit / 5))


def _line(option: str, value: str) -> str:
    return f"#SBATCH --{option}={_quoted(value)}"


def _quoted(value: str) -> str:
    """A value as sbatch reads it: in double quotes where it holds more than plain characters."""
    if value and all(c.isalnum() or c in "-_./:,=+@%*[]()" for c in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def pattern(path: str) -> str:
    """A path for `--output`, in which `%` begins a pattern."""
    return path.replace("%", "%%")
