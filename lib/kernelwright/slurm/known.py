"""The kernel_info reply that the broker gives before the kernel runs.

The environment's last real reply, else one made from the language of the recipe: front ends choose
the editor mode and the debugger by it.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

from . import record
from .wire import PROTOCOL

if TYPE_CHECKING:
    from pathlib import Path

_LANGUAGES = {
    "python": {"name": "python", "version": "3", "mimetype": "text/x-python", "file_extension": ".py",
               "pygments_lexer": "ipython3", "codemirror_mode": {"name": "ipython", "version": 3}},
    "r": {"name": "R", "version": "4", "mimetype": "text/x-r-source", "file_extension": ".r",
          "codemirror_mode": "r", "pygments_lexer": "r"},
    "julia": {"name": "julia", "version": "1", "mimetype": "application/julia", "file_extension": ".jl"},
    "bash": {"name": "bash", "version": "5", "mimetype": "text/x-sh", "file_extension": ".sh",
             "codemirror_mode": "shell"},
}  # fmt: skip


class Known:
    """Reads and keeps the reply of one generation."""

    def __init__(self, generation: Path, cache: Path) -> None:
        self.generation = generation
        self.tested = generation / "kernel_info.json"  # left by the start test of a build
        name = hashlib.sha256(str(generation).encode()).hexdigest()[:16]
        self.cached = cache / f"info-{name}.json"

    def reply(self) -> dict[str, Any]:
        """The content of a kernel_info_reply."""
        for found in (record.read(self.cached), record.read(self.tested, foreign=True)):
            if found.get("language_info"):
                return {**found, "status": "ok"}
        language = str(
            record.read(self.generation / "made.json", foreign=True).get("language", "python")
        ).lower()
        info = _LANGUAGES.get(language) or {
            "name": language, "version": "", "mimetype": "text/plain", "file_extension": ".txt"
        }  # fmt: skip
        return {
            "status": "ok",
            "protocol_version": PROTOCOL,
            "implementation": "kernelwright",
            "implementation_version": "1",
            "banner": "This kernel waits for its Slurm job",
            "language_info": info,
            "help_links": [],
        }

    def keep(self, reply: dict[str, Any]) -> None:
        """Remember a real reply for the next start; a full disk is no reason to complain."""
        if reply.get("status") == "ok" and reply.get("language_info"):
            with contextlib.suppress(OSError):
                record.write(self.cached, reply)
