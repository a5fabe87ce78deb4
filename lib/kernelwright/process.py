"""The only place that starts processes: a timeout, a stated environment, captured output.

Every child leads a process group of its own, so that a timeout or Ctrl-C ends what it started too.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

OUTPUT_LIMIT = 4 << 20  # bytes kept of each stream; the rest is read and dropped


@dataclass(frozen=True)
class Result:
    """How a process ended; `status` is negative for a signal, as in subprocess."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the exit status was 0."""
        return self.status == 0

    def tail(self, lines: int = 20) -> str:
        """The last lines of stderr, else of stdout: what an error shows as evidence."""
        text = self.stderr.strip() or self.stdout.strip()
        return "\n".join(text.splitlines()[-lines:])


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    stdin: str | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Result:
    """Run `argv` to its end and return how it went; a non-zero status is no exception.

    `timeout` is in seconds. `on_line` is called with each line of stderr as it comes.
    Raises UserError `command-not-found` or `command-timed-out`.
    """
    begun = time.monotonic()
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise UserError(
            "command-not-found",
            f"`{argv[0]}` cannot be run: {getattr(error, 'strerror', None) or error}",
            context={"command": " ".join(argv)[:500]},
        ) from error
    try:
        stdout, stderr = _collect(child, stdin, begun + timeout, on_line)
    except TimeoutError as error:
        raise UserError(
            "command-timed-out",
            f"`{os.path.basename(argv[0])}` did not end within {timeout:g} s",
            context={"command": " ".join(argv)[:500]},
        ) from error
    finally:
        end_group(child)
    return Result(tuple(argv), child.returncode, stdout, stderr, time.monotonic() - begun)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the child's process group and reap the child."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _collect(
    child: subprocess.Popen[bytes],
    stdin: str | None,
    deadline: float,
    on_line: Callable[[str], None] | None,
) -> tuple[str, str]:
    """Feed stdin and read both streams until the child has ended; TimeoutError at the deadline."""
    assert child.stdout is not None  # noqa: S101 - Popen was given PIPE
    assert child.stderr is not None  # noqa: S101 - Popen was given PIPE
    kept = {child.stdout: bytearray(), child.stderr: bytearray()}
    pending = bytearray()
    todo = memoryview(stdin.encode()) if stdin is not None else memoryview(b"")
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            selector.register(child.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if child.poll() is not None and not selector.select(0.2):
                break  # a grandchild holds the pipes open: what the child said has been read
            for key, _ in selector.select(min(left, 0.5)):
                if key.fileobj is child.stdin:
                    todo = _feed(child, todo, selector)
                    continue
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                    continue
                buffer = kept[key.fileobj]  # type: ignore[index] # one of the two streams
                if len(buffer) < OUTPUT_LIMIT:
                    buffer += data
                if on_line is not None and key.fileobj is child.stderr:
                    pending = _say_lines(pending + data, on_line)
    try:  # a child may close its streams and go on
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return tuple(kept[s].decode("utf-8", "replace") for s in (child.stdout, child.stderr))  # type: ignore[return-value] # two of them


def _feed(
    child: subprocess.Popen[bytes], todo: memoryview, selector: selectors.BaseSelector
) -> memoryview:
    assert child.stdin is not None  # noqa: S101 - only called when stdin was given
    try:
        todo = todo[os.write(child.stdin.fileno(), todo) :]
    except BrokenPipeError:
        todo = todo[len(todo) :]
    if not todo:
        selector.unregister(child.stdin)
        child.stdin.close()
    return todo


def _say_lines(data: bytearray, on_line: Callable[[str], None]) -> bytearray:
    *lines, rest = data.replace(b"\r", b"\n").split(b"\n")
    for line in lines:
        if line.strip():
            on_line(line.decode("utf-8", "replace"))
    return rest
