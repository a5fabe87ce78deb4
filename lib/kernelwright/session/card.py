"""What the session's card shows: progress.json while a kernel is made, report.json for everything else.

Both lie in the session's folder (OOD's staged root), where info.html.erb and completed.html.erb read them at
every poll of the dashboard. A card that cannot be written never stops a session.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import as_called

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..errors import Problem

PAUSE = 0.5  # seconds between two writes of progress.json
STEPS = {
    "wait": 1, "solve": 1, "download": 2, "pull": 2, "link": 3, "pip": 3, "probe": 3, "launch": 4, "test": 4, "publish": 4,
}  # fmt: skip
LOG_LINES = 20
COLOUR = re.compile(r"\x1b\[[0-9;]{0,12}m")
UNSEEN = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)], " ")
LOG_TAIL = 64 << 10  # bytes that are looked at for the last lines


@dataclass(frozen=True)
class Report:
    """report.json as a value; see docs/reference/schemas/report.schema.json."""

    state: str = "preparing"
    code: str | None = None
    message: str | None = None
    hint: str | None = None
    log: tuple[str, ...] = ()
    kernel: dict[str, Any] | None = None
    node: str | None = None
    interface: str | None = None
    problems: tuple[Problem, ...] = ()
    ends_at: float | None = None

    def about(self, problem: Problem, log: Sequence[str] = ()) -> Report:
        """This report with `problem` as the thing to say."""
        lines = tuple(log) or tuple((problem.evidence or "").splitlines())
        return replace(
            self,
            code=problem.code,
            message=problem.message,
            hint=problem.hint,
            log=lines[-LOG_LINES:],
        )


def write_report(folder: Path, report: Report, command: str | None = "kernelwright") -> None:
    """Replace report.json, our `command` as the site calls it; a full disk costs the card its news alone."""
    document: dict[str, Any] = {"version": 1}
    document.update({k: getattr(report, k) for k in Report.__dataclass_fields__})
    document["log"] = [line[:2000] for line in report.log]
    document["hint"] = as_called(report.hint, command)
    document["problems"] = [
        replace(problem, hint=as_called(problem.hint, command)).as_json()
        for problem in report.problems
    ]
    document["updated_at"] = time.time()
    _replace(folder / "report.json", document)


def read_report(folder: Path) -> dict[str, Any]:
    """report.json as plain data, {} where there is none."""
    try:
        with open(folder / "report.json", "rb") as stream:
            value = json.loads(stream.read(1 << 20))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def last_lines(path: Path, count: int = LOG_LINES) -> tuple[str, ...]:
    """The last lines of a log, without control characters."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_TAIL))
            text = stream.read(LOG_TAIL).decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(COLOUR.sub("", text).translate(UNSEEN).rstrip().splitlines()[-count:])


def _replace(path: Path, document: dict[str, Any]) -> None:
    """Write by rename, without fsync: a card matters only as long as the node lives."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        text = json.dumps(document, ensure_ascii=True)
        with open(temporary, "w") as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(text)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@dataclass
class CardProgress:
    """A Progress for the card and for output.log: steps in words, at most two writes a second.

    What comes within the pause is written when the pause is over, by a timer: a step that begins right
    after another one and then is silent for a minute still shows.
    """

    folder: Path
    kernel: str | None = None
    ends_at: float | None = None
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)
    phases: set[str] = field(default_factory=set)
    _state: dict[str, Any] = field(default_factory=dict)
    _written: float = 0.0
    _timer: threading.Timer | None = None
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def phase(self, name: str, text: str) -> None:
        """A new step begins."""
        with self._guard:
            step = self._step(name)
            begun = self._state.get("started_at") or time.time()
            self.phases.add(name)
            self._state = {
                "version": 1, "step": step, "steps": 4, "phase": name if name in STEPS else "solve", "text": text[:300],
                "done": None, "total": None, "unit": "", "started_at": begun,
            }  # fmt: skip
            self._due()
        self.say(f"step {step} of 4: {text}")

    def _step(self, name: str) -> int:
        """Steps never go back; an empty environment that is made before anything is downloaded is no third step."""
        before = int(self._state.get("step", 1))
        return 1 if name == "link" and before == 1 else max(STEPS.get(name, 1), before)

    def advance(self, done: float, total: float | None, unit: str = "") -> None:
        """The step goes on."""
        with self._guard:
            if not self._state:
                return
            self._state.update(done=done, total=total, unit=unit)
            self._due()

    def note(self, text: str) -> None:
        """A line for output.log; before the first step, such as in the queue for a lock, for the card too."""
        if self._state:
            self.say(text)
        else:
            self.phase("wait", text)

    def close(self) -> None:
        """Take progress.json away: the card goes on with report.json."""
        with self._guard:
            if self._timer is not None:
                self._timer.cancel()
            self._state = {}
            with contextlib.suppress(OSError):
                os.unlink(self.folder / "progress.json")

    def _due(self) -> None:
        left = self._written + PAUSE - time.monotonic()
        if left <= 0:
            self._write()
        elif self._timer is None:
            self._timer = threading.Timer(left, self._late)
            self._timer.daemon = True
            self._timer.start()

    def _late(self) -> None:
        with self._guard:
            self._timer = None
            if self._state:
                self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        more = {"updated_at": time.time(), "ends_at": self.ends_at, "kernel": self.kernel}
        _replace(self.folder / "progress.json", {**self._state, **more})
