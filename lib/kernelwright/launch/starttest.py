"""A real start of a kernel, as Jupyter does it: kernel_info and one cell.

Used by `builder` after each build, by `kernelwright test` and by `doctor`.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_client import KernelManager
    from jupyter_client.blocking import BlockingKernelClient

    from ..errors import Problem

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


def start_test(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | Path,
    timeout: float,
    interrupt_mode: Literal["message", "signal"] = "signal",
    log: Path,
    language: str = "python",
) -> TestResult:
    """Start `argv` (with `{connection_file}` in it), ask kernel_info, run one cell, shut it down.

    `env` is the whole environment of the start; `timeout` in seconds is for all of it. `log` receives
    what the kernel and launch.sh wrote. Never raises for a kernel that fails: `problem` says why.
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
    try:
        with log.open("wb") as output:
            try:
                manager.start_kernel(env=full, cwd=str(cwd), stdout=output, stderr=output)
            except Exception as error:  # noqa: BLE001 - OSError, TypeError, what the provisioner says
                return _failed(begun, f"{error}", log, None)
            return _talk(manager, begun, timeout, log, language)
    finally:
        _end(manager)
        shutil.rmtree(starts, ignore_errors=True)


def _talk(manager: KernelManager, begun: float, timeout: float, log: Path, language: str) -> TestResult:
    client = manager.client()
    client.start_channels()
    try:
        reply = _kernel_info(manager, client, begun + timeout)
        if reply is None:
            return _failed(begun, "", log, manager)
        cell, wanted = CELLS.get(language, ("", ""))
        output = _run(client, cell, begun + timeout) if cell else ""
        if wanted not in output:
            return _failed(begun, f"the cell `{cell}` answered {output!r}", log, manager)
        return TestResult(True, time.monotonic() - begun, reply, output)
    finally:
        client.stop_channels()


def _kernel_info(manager: KernelManager, client: BlockingKernelClient, deadline: float) -> dict[str, Any] | None:
    """The reply to kernel_info; None when the kernel ended or time is up."""
    client.kernel_info()
    while time.monotonic() < deadline:
        with contextlib.suppress(Empty):
            message = client.get_shell_msg(timeout=0.1)
            if message["msg_type"] == "kernel_info_reply":
                return dict(message["content"])
        if not manager.is_alive():
            return None
    return None


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
            cell, store_history=False, allow_stdin=False, timeout=max(1.0, deadline - time.monotonic()), output_hook=hear
        )
    return "".join(said)


def _failed(begun: float, said: str, log: Path, manager: KernelManager | None) -> TestResult:
    seconds = time.monotonic() - begun
    text = log.read_text(errors="replace") if log.exists() else ""
    status = None
    if manager is not None and manager.provisioner is not None:
        process = getattr(manager.provisioner, "process", None)
        status = process.poll() if process is not None else None
    from . import classify

    problem = classify.explain(status, "\n".join(filter(None, [text, said])), classify.Start(seconds=seconds))
    return TestResult(False, seconds, output=said, problem=problem)


def _end(manager: KernelManager) -> None:
    with contextlib.suppress(Exception):  # the kernel may have ended by itself
        manager.shutdown_kernel(now=True)
    with contextlib.suppress(Exception):
        manager.cleanup_resources()
