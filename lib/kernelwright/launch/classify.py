"""From an exit status and what a kernel wrote to the reason why it did not start, or ended.

Pure: nothing is read or run here, so that `doctor`, the start test, the diagnostic kernel and the
Slurm broker say the same words for the same cause.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Problem


@dataclass(frozen=True)
class Start:
    """What is known of the start that failed; every field may be missing."""

    name: str = "NAME"
    language: str = "python"
    kind: str | None = None
    seconds: float | None = None


def explain(status: int | None, stderr: str, start: Start = Start()) -> Problem:  # noqa: B008 - frozen
    """The reason why the kernel did not start; `status` is negative or above 128 for a signal, None for no end."""
    tail = "\n".join(stderr.strip().splitlines()[-20:])
    return Problem("kernel-ended-early", "error", f"the kernel `{start.name}` ended with status {status} before it answered", None, tail)
