"""The kernel that opens in place of one that cannot start: every cell answers why, and how to mend it.

`python -I -m kernelwright.launch.diagnostic PROBLEM.json CONNECTION_FILE`, PROBLEM.json as
`explain.find_out` makes it (only `problem` must be there). It runs in our runtime, whatever the language
of the kernel that it stands for, and writes nothing into the home, which may be the thing that is full.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

from .. import __version__, paths
from ..errors import UserError
from .silence import read_connection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIX_TIMEOUT = 3600.0


class DiagnosticKernel(Kernel):  # type: ignore[misc] # ipykernel is not typed
    """Answers each cell with the problem; `%fix` and `%log` are its only words."""

    implementation = "kernelwright-diagnostic"
    implementation_version = __version__
    answer: Mapping[str, Any] = {"problem": {}}

    @property
    def banner(self) -> str:
        """What consoles show first."""
        return as_text(self.answer)

    @property
    def language_info(self) -> dict[str, Any]:
        """The language that the notebook expects: its metadata stays what it was."""
        language = str(self.answer.get("language") or "python")
        kind = {"python": ("text/x-python", ".py"), "r": ("text/x-r-source", ".r")}
        mimetype, extension = kind.get(language, ("text/plain", ".txt"))
        name = "R" if language == "r" else language
        return {"name": name, "mimetype": mimetype, "file_extension": extension, "version": ""}

    def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool = False,
        **_: Any,
    ) -> dict[str, Any]:
        """Say the problem, or do one of the two words. A cell of a notebook fails, as it should."""
        del store_history, user_expressions, allow_stdin
        if silent or not code.strip():
            return self._reply_ok()
        word = code.strip().split()[0]
        if word == "%log":
            self._stream("stdout", str(self.answer.get("log") or "nothing was written") + "\n")
            return self._reply_ok()
        if word == "%fix":
            return self._reply_ok() if self._fix() else self._reply_error(None)
        return self._reply_error(as_html(self.answer))

    def _fix(self) -> bool:
        words = self.answer.get("fix")
        if not words:
            self._stream("stderr", "There is no repair that needs no choice of yours.\n")
            return False
        from .. import process

        command = runtime_command(self.answer)
        self._stream("stdout", f"kernelwright {' '.join(words)}\n")
        try:
            done = process.run(
                [*command, *words],
                timeout=FIX_TIMEOUT,
                on_line=lambda line: self._stream("stdout", line + "\n"),
            )
        except UserError as error:
            self._stream("stderr", f"{error.message}\n")
            return False
        self._stream("stdout", done.stdout)
        if done.ok:
            self._stream("stdout", "\nDone. Restart the kernel: Kernel > Restart Kernel.\n")
        else:
            self._stream("stderr", f"\nThat failed (exit status {done.status}).\n")
        return done.ok

    def _stream(self, name: str, text: str) -> None:
        if text:
            self.send_response(self.iopub_socket, "stream", {"name": name, "text": text})

    def _reply_ok(self) -> dict[str, Any]:
        return {
            "status": "ok",
            "execution_count": self.execution_count,
            "payload": [],
            "user_expressions": {},
        }

    def _reply_error(self, page: str | None) -> dict[str, Any]:
        problem = self.answer.get("problem", {})
        if page:
            data = {"text/plain": as_text(self.answer), "text/html": page}
            self.send_response(
                self.iopub_socket, "display_data", {"data": data, "metadata": {}, "transient": {}}
            )
        why = str(problem.get("message") or "the kernel did not start")
        lines = [f"KernelNotStarted ({problem.get('code')}): this cell was not run", why]
        lines += (
            [f"-> {problem['hint']}"] if problem.get("hint") else []
        )  # all that nbconvert shows
        error = {"ename": "KernelNotStarted", "evalue": why, "traceback": lines}
        self.send_response(self.iopub_socket, "error", error)
        return {"status": "error", "execution_count": self.execution_count, **error}


def as_text(answer: Mapping[str, Any]) -> str:
    """The problem for consoles and for what cannot show HTML."""
    problem = answer.get("problem", {})
    lines = [_headline(answer), "", f"Cause: {problem.get('message')}"]
    if problem.get("hint"):
        lines += ["", f"What to do: {problem['hint']}"]
    if answer.get("fix"):
        lines.append("Or run a cell with %fix, which does that, and restart the kernel.")
    if problem.get("evidence"):
        lines += [
            "",
            "Evidence:",
            *(f"    {line}" for line in str(problem["evidence"]).splitlines()),
        ]
    return "\n".join([*lines, "", "A cell with %log shows everything that the kernel wrote.", ""])


def as_html(answer: Mapping[str, Any]) -> str:
    """The same as a panel; every word in it is escaped, because it comes from programs and file names."""
    problem = answer.get("problem", {})
    parts = [
        f"<p><b>{_words(_headline(answer))}</b></p>",
        f"<p>{_words(problem.get('message'))}.</p>",
    ]
    if problem.get("hint"):
        parts.append(f"<p><b>What to do:</b> {_words(problem['hint'])}</p>")
    if answer.get("fix"):
        parts.append(
            "<p>Or run a cell with <code>%fix</code>, which does that, then restart the kernel.</p>"
        )
    if problem.get("evidence"):
        parts.append(
            f"<pre style='white-space:pre-wrap'>{html.escape(str(problem['evidence']))}</pre>"
        )
    parts.append(
        f"<p><small>A cell with <code>%log</code> shows all that the kernel wrote. Code: {_words(problem.get('code'))}</small></p>"
    )
    return f"<div style='border-left:4px solid #c62828;padding:0 1em'>{''.join(parts)}</div>"


def _headline(answer: Mapping[str, Any]) -> str:
    name = answer.get("display_name") or answer.get("kernel") or "kernel"
    if answer.get("again"):
        return f"The kernel “{name}” has ended. Restart it to go on: its variables are gone."
    return f"The kernel “{name}” could not start. None of your cells was run."


def _words(text: object) -> str:
    """Escaped, with `code` between backticks set as code."""
    pieces = html.escape(str(text or "")).split("`")
    return "".join(
        f"<code>{p}</code>" if i % 2 and i < len(pieces) - 1 else p for i, p in enumerate(pieces)
    )


def runtime_command(answer: Mapping[str, Any]) -> list[str]:
    """How `kernelwright` is called from here."""
    command = Path(str(answer.get("runtime") or "")) / "bin/kernelwright"
    if answer.get("runtime") and os.access(command, os.X_OK):
        return [str(command)]
    return [str(paths.runtime_python(paths.runtime_folder())), "-I", "-m", "kernelwright"]


def serve(answer: Mapping[str, Any], connection_file: str) -> int:
    """Be the kernel of this connection file until it is shut down."""
    folder = _scratch_folder()
    os.environ["IPYTHONDIR"] = folder
    for name in ("HOME", "JUPYTER_RUNTIME_DIR"):
        os.environ.setdefault(name, folder)
    DiagnosticKernel.answer = answer
    try:
        known = answer["problem"].get("code") == "address-in-use"
        taken = _await_ports(connection_file, patience=1.0 if known else 5.0)
        if (
            taken
        ):  # nobody can be told; Jupyter chooses other ports for the start that it tries next
            print(f"kernelwright: {taken} of this kernel is another program's", file=sys.stderr)
            return 1
        IPKernelApp.launch_instance(argv=["-f", connection_file], kernel_class=DiagnosticKernel)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _await_ports(connection_file: str, patience: float) -> str:
    """Wait until the ports are free: a kernel that was killed may still be letting go of them.

    Returns the name and number of the first that is still taken, '' where all are free.
    """
    connection = read_connection(connection_file)
    if connection.get("transport", "tcp") != "tcp":
        return ""
    family = socket.AF_INET6 if ":" in connection["ip"] else socket.AF_INET
    deadline = time.monotonic() + patience
    for name in ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"):
        while True:
            try:
                with socket.create_server((connection["ip"], connection[name]), family=family):
                    break
            except OSError:
                if time.monotonic() > deadline:
                    return f"{name} {connection[name]}"
                time.sleep(0.05)
    return ""


def _scratch_folder() -> str:
    for base in (None, "/dev/shm", "/var/tmp"):  # noqa: S108 - mkdtemp makes a private folder in it
        try:
            return tempfile.mkdtemp(prefix="kernelwright-", dir=base)
        except OSError:
            continue
    return "/nonexistent"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    return serve(json.loads(Path(words[0]).read_text()), words[1])


if __name__ == "__main__":
    raise SystemExit(main())
