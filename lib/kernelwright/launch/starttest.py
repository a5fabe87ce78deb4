"""A real start of a kernel, as Jupyter does it: kernel_info and one cell.

Used by `builder` after each build, by `kernelwright test` and by `doctor`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, Literal

from ..errors import Problem, UserError
from . import classify, explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_client import KernelManager
    from jupyter_client.blocking import BlockingKernelClient


# language: (cell, what its output must hold); a language that is not here is asked kernel_info only
CELLS = {
    "python": ("print(6 * 7)", "42"),
    "r": ("cat(6 * 7)", "42"),
    "bash": ("echo $((6 * 7))", "42"),
    "julia": ("print(6 * 7)", "42"),
}


@dataclass(frozen=True)
class TestResult:
    """How the start went; `reply` is the kernel_info, `output` what the cell printed."""

    ok: bool
    seconds: float
    reply: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    problem: Problem | None = None

    __test__ = False  # not a test class of pytest


def failure(result: TestResult, otherwise: str) -> UserError:
    """A start that failed, as the error that people see; `otherwise` where nobody knows why."""
    problem = result.problem or Problem("start-test-failed", "error", otherwise)
    evidence = problem.evidence or result.output[-1500:] or "no output"
    return UserError(
        problem.code, problem.message, context={"evidence": evidence}, hint=problem.hint
    )


def start_test(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | Path,
    timeout: float,
    interrupt_mode: Literal["message", "signal"] = "signal",
    log: Path,
    language: str = "python",
    new: bool = False,
) -> TestResult:
    """Start `argv` (with `{connection_file}` in it), ask kernel_info, run one cell, shut it down.

    `env` is the whole environment of the start; `timeout` in seconds is for all of it. `log` receives
    what the kernel and launch.sh wrote. `new` says that the kernel is not published yet, so that no hint
    may name it. Never raises for a kernel that fails: `problem` says why.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import KernelManager

    begun = time.monotonic()
    starts = Path(tempfile.mkdtemp(prefix="kernelwright-test-"))
    manager = KernelManager(connection_file=str(starts / "kernel-test.json"))
    manager._kernel_spec = KernelSpec(  # noqa: SLF001 - there is no public way to start an argv
        argv=list(argv), display_name="test", language=language, interrupt_mode=interrupt_mode
    )
    full = {**env, "KERNELWRIGHT_STARTS": str(starts), "KERNELWRIGHT_NO_DIAGNOSIS": "1"}
    trial = _Trial(manager, log, begun, begun + timeout, _about(argv, starts, language, new=new))
    try:
        with log.open("wb") as output:
            try:
                manager.start_kernel(env=full, cwd=str(cwd), stdout=output, stderr=output)
            except OSError as error:
                why = f"`{argv[0]}` cannot be run: {error.strerror}"
                problem = Problem("command-not-found", "error", why, evidence=str(error))
                return TestResult(False, time.monotonic() - begun, {}, str(error), problem)
            except Exception as error:  # noqa: BLE001 - TypeError, what the provisioner says
                return trial.failed(str(error))
            return _talk(trial, language)
    finally:
        _end(manager)
        shutil.rmtree(starts, ignore_errors=True)


@dataclass(frozen=True)
class _About:
    """What is known of the kernel from the files beside its launch.sh, if it is one of ours."""

    starts: Path
    generation: Path
    language: str
    facts: Mapping[str, Any]
    new: bool

    def problem(self, status: int | None, said: str, seconds: float) -> Problem:
        record = explain.read_record(self.starts / "kernel-test.start")
        start = replace(
            explain.about(self.generation, record, os.environ),
            name=str(self.facts.get("name", "NAME")),
            command=str(self.facts.get("command", "kernelwright")),
            kind=self.facts.get("kind"),
            language=self.language,
            seconds=seconds,
        )
        if status is not None and record.get("status", "").isdecimal():
            status = int(record["status"])  # launch.sh itself never ends with 0 when a start fails
        found = classify.explain(status, said, start)
        return classify.for_new_kernel(found, start) if self.new else found


def _about(argv: Sequence[str], starts: Path, language: str, *, new: bool) -> _About:
    facts: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        facts = json.loads(Path(argv[0]).with_name("entry.json").read_text())
    return _About(starts, Path(argv[0]).parent, language, facts, new)


@dataclass(frozen=True)
class _Trial:
    """One start: its times are of time.monotonic()."""

    manager: KernelManager
    log: Path
    begun: float
    deadline: float
    about: _About

    def failed(self, said: str = "") -> TestResult:
        """The result of a start that did not come to its end."""
        seconds = time.monotonic() - self.begun
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        process = getattr(self.manager.provisioner, "process", None)
        status = process.poll() if process is not None else None
        problem = self.about.problem(status, "\n".join(filter(None, [text, said])), seconds)
        return TestResult(False, seconds, output=said, problem=problem)


def _talk(trial: _Trial, language: str) -> TestResult:
    client = trial.manager.client()
    client.start_channels()
    try:
        reply = _kernel_info(trial, client)
        if reply is None:
            return trial.failed()
        cell, wanted = CELLS.get(language, ("", ""))
        if cell:
            _await_output(client, trial.deadline)
        output = _run(client, cell, trial.deadline) if cell else ""
        if wanted not in output:
            return trial.failed(f"the cell `{cell}` answered {output!r}")
        return TestResult(True, time.monotonic() - trial.begun, reply, output)
    finally:
        client.stop_channels()


def _kernel_info(trial: _Trial, client: BlockingKernelClient) -> dict[str, Any] | None:
    """The reply to kernel_info; None when the kernel ended or time is up."""
    client.kernel_info()
    while time.monotonic() < trial.deadline:
        with contextlib.suppress(Empty):
            message = client.get_shell_msg(timeout=0.1)
            if message["msg_type"] == "kernel_info_reply":
                return dict(message["content"])
        if not trial.manager.is_alive():
            return None
    return None


def _await_output(client: BlockingKernelClient, deadline: float) -> None:
    """Ask until something is heard on the output channel.

    A kernel that is quick answers before the subscription stands, and then the cell's output is lost.
    """
    while time.monotonic() < deadline:
        client.kernel_info()
        with contextlib.suppress(Empty):
            client.get_iopub_msg(timeout=0.5)
            return


def _run(client: BlockingKernelClient, cell: str, deadline: float) -> str:
    """What the cell printed; what came so far when time is up."""
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            said.append(content["text"])
        elif message["msg_type"] in {"execute_result", "display_data"}:
            said.append(str(content["data"].get("text/plain", "")))
        elif message["msg_type"] == "error":
            said.append(f"{content['ename']}: {content['evalue']}")

    with contextlib.suppress(TimeoutError, RuntimeError):
        client.execute_interactive(
            cell,
            store_history=False,
            allow_stdin=False,
            timeout=max(1.0, deadline - time.monotonic()),
            output_hook=hear,
        )
    return "".join(said)


def _end(manager: KernelManager) -> None:
    with contextlib.suppress(Exception):  # the kernel may have ended by itself
        manager.shutdown_kernel(now=True)
    with contextlib.suppress(Exception):
        manager.cleanup_resources()
