"""Progress for people: one moving line on a terminal, plain lines in a log, JSON lines for programs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..progress import Progress
    from .context import Context

BAR = 20  # characters
EVERY = 0.1  # seconds between two frames of the moving line


def progress_for(context: Context, style: str = "auto") -> Progress:
    """The Progress that suits the stream: `--progress auto|plain|json|none`."""
    if style == "none":
        from ..progress import Silent

        return Silent()
    if style == "json":
        return JsonLines(context)
    if style == "plain" or not context.stderr.isatty():
        return Plain(context)
    return Bar(context)


class Plain:
    """A line for each phase: for logs and pipes."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def phase(self, name: str, text: str) -> None:
        """Say what begins."""
        self.context.say(f"{name}: {text}")

    def advance(self, done: float, total: float | None, unit: str = "") -> None:
        """Say nothing: a log wants no moving numbers."""

    def note(self, text: str) -> None:
        """Say it."""
        self.context.say(f"  {text}")


class JsonLines:
    """One JSON object a line on stderr, at most five a second for counts."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.last = 0.0

    def _say(self, **values: object) -> None:
        print(json.dumps({"version": 1, **values}), file=self.context.stderr, flush=True)

    def phase(self, name: str, text: str) -> None:
        """A new phase."""
        self._say(phase=name, text=text)

    def advance(self, done: float, total: float | None, unit: str = "") -> None:
        """Counts of the phase."""
        if time.monotonic() - self.last > 0.2 or done == total:
            self.last = time.monotonic()
            self._say(done=done, total=total, unit=unit)

    def note(self, text: str) -> None:
        """A line to keep."""
        self._say(note=text)


class Bar:
    """One line that is rewritten in place; notes stay above it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.text = ""
        self.begun = self.last = time.monotonic()

    def _draw(self, tail: str = "") -> None:
        width = 78
        line = f"{self.text} {tail}".rstrip()
        print(f"\r\x1b[K{line[:width]}", end="", file=self.context.stderr, flush=True)

    def phase(self, name: str, text: str) -> None:
        """Close the line of the last phase and open another."""
        if self.text:
            self._draw(f"({time.monotonic() - self.begun:.1f} s)")
            print(file=self.context.stderr)
        self.text, self.begun = f"{name:9}{text}", time.monotonic()
        self._draw()
        if name == "publish":
            print(file=self.context.stderr)
            self.text = ""

    def advance(self, done: float, total: float | None, unit: str = "") -> None:
        """Redraw the bar, at most ten times a second."""
        now = time.monotonic()
        if now - self.last < EVERY and done != total:
            return
        self.last = now
        if not total:
            self._draw(_amount(done, unit))
            return
        filled = int(BAR * min(1.0, done / total))
        rate = f" {_amount(done / max(now - self.begun, 0.1), unit)}/s" if unit == "bytes" else ""
        self._draw(
            f"[{'#' * filled}{'.' * (BAR - filled)}] {_amount(done, unit)} of {_amount(total, unit)}{rate}"
        )

    def note(self, text: str) -> None:
        """Put a line above the moving one."""
        print("\r\x1b[K", end="", file=self.context.stderr)
        self.context.say(f"         {text}")
        if self.text:
            self._draw()


def _amount(value: float, unit: str) -> str:
    return size(value) if unit == "bytes" else f"{value:.0f} {unit}".rstrip()


def size(value: float) -> str:
    """Bytes for people: `310 MB` (powers of 1000, as the tools for disks have them)."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(value) < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit in {"bytes", "kB", "MB"} else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError
