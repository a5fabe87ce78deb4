"""What Jupyter will really do with a kernelspec: the command, its environment, or the exception.

Source: jupyter_client 8.x (manager.format_kernel_cmd, launcher.launch_kernel, provisioner_base); a
table of shapes is held against real starts in tests/discovery/test_shapes.py. Nothing is run here.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import string
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from . import programs

if TYPE_CHECKING:
    from collections.abc import Mapping

Fate = Literal[
    "runs",
    "IndexError",
    "TypeError",
    "ValueError",
    "FileNotFoundError",
    "PermissionError",
    "OSError",
]
CONNECTION_FILE = "{connection_file}"


@dataclass(frozen=True)
class Start:
    """What a click on the kernel leads to.

    `fate` is "runs" when the program is executed (what it then does is another matter), else the
    exception that the server logs. `argv` keeps `{connection_file}`; `program` is the file that is
    executed; `env` holds what the kernelspec changes, substituted as Jupyter does it.
    """

    fate: Fate
    argv: tuple[str, ...] = ()
    program: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


def predict(
    spec: Mapping[str, Any],
    folder: str,
    *,
    environ: Mapping[str, str],
    cwd: str | None = None,
    server_python: str = sys.executable,
) -> Start:
    """How Jupyter starts `spec` from `folder` when its server runs in `environ`; `cwd` is the notebook's folder."""
    argv = spec.get("argv", [])
    argv = [argv] if isinstance(argv, str) else argv
    env = spec.get("env") or {}
    if not isinstance(argv, list) or not isinstance(env, dict):
        return Start("TypeError", reason="Jupyter does not load this kernelspec")
    if any(not isinstance(value, str) for value in env.values()):
        return Start("TypeError", reason="a value in env is not a text")
    if any(not isinstance(word, str) for word in argv):
        return Start("TypeError", reason="an element of argv is not a text")
    if not argv:
        return Start("IndexError", reason="argv is empty")
    words = substituted(argv, folder, server_python)
    changed = {key: string.Template(value).safe_substitute(environ) for key, value in env.items()}
    return _execute(words, changed, {**environ, **changed}, cwd or os.getcwd())


def substituted(
    argv: list[str], folder: str, server_python: str = sys.executable
) -> tuple[str, ...]:
    """argv as Jupyter hands it to the system, with `{connection_file}` left in it."""
    words = list(argv)
    if programs.is_servers_python(words[0]):
        words[0] = server_python
    return tuple(programs.substitute(word, folder) for word in words)


def _execute(
    argv: tuple[str, ...], changed: Mapping[str, str], environ: Mapping[str, str], cwd: str
) -> Start:
    if any("\x00" in word for word in (*argv, *changed.values())):
        return Start("ValueError", argv, None, changed, "a NUL character")
    if not argv[0]:
        return Start("PermissionError", argv, None, changed, "argv begins with an empty text")
    program = locate(argv[0], environ.get("PATH", os.defpath), cwd)
    if program is None:
        return Start("FileNotFoundError", argv, None, changed, f"`{argv[0]}` is not there")
    fate, reason = runnable(program)
    return Start(fate, argv, program, changed, reason)


def locate(program: str, path: str, cwd: str) -> str | None:
    """The file that execvpe would take; relative paths count from the folder of the notebook."""
    if "/" in program:
        full = os.path.join(cwd, program)
        return full if os.path.lexists(full) else None
    found = shutil.which(program, path=path)
    if found:
        return found
    for folder in path.split(os.pathsep):  # execvpe reports the one that may not be run
        if os.path.isfile(os.path.join(folder, program)):
            return os.path.join(folder, program)
    return None


def runnable(program: str, depth: int = 0) -> tuple[Fate, str | None]:
    """What the system answers when this file is executed, shebang lines followed."""
    try:
        facts = os.stat(program)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM}:
            return "PermissionError", f"`{program}` cannot be reached"
        return "FileNotFoundError", f"`{program}` does not exist"
    if not stat.S_ISREG(facts.st_mode) or not os.access(program, os.X_OK):
        return "PermissionError", f"`{program}` may not be run"
    return _by_first_bytes(program, depth)


def _by_first_bytes(program: str, depth: int) -> tuple[Fate, str | None]:
    try:
        with open(program, "rb") as stream:
            head = stream.read(256)
    except OSError:
        return "runs", None  # execute permission without read permission: a binary may still run
    if head[:4] == b"\x7fELF":
        return "runs", None
    if head[:2] != b"#!":
        return "OSError", f"`{program}` has no shebang line: Exec format error"
    words = head[2:].split(b"\n", 1)[0].strip(b" \t").split(None, 1)
    interpreter = words[0].decode("utf-8", "surrogateescape") if words else ""
    if not interpreter:
        return "OSError", f"the shebang line of `{program}` is empty"
    if head[2:].split(b"\n", 1)[0].endswith(b"\r"):
        name = interpreter + ("\r" if len(words) == 1 and not interpreter.endswith("\r") else "")
        if not os.path.exists(name):
            return "FileNotFoundError", f"`{program}` has Windows line ends (CRLF)"
    if not os.path.exists(interpreter):
        return "FileNotFoundError", f"`{interpreter}`, the shebang of `{program}`, does not exist"
    return (
        runnable(interpreter, depth + 1) if depth < 4 else ("OSError", "too many scripts in a row")
    )


def uses_connection_file(argv: tuple[str, ...]) -> bool:
    """Whether the connection file reaches the command at all."""
    return any(CONNECTION_FILE in word for word in argv)


def shell_line(argv: tuple[str, ...]) -> str | None:
    """The text that a shell is given with -c, for `bash -lc "..."` shapes."""
    if os.path.basename(argv[0]) not in {"bash", "sh", "dash", "zsh", "ksh"}:
        return None
    for number, word in enumerate(argv[1:], 1):
        if re.fullmatch(r"-[a-z]*c", word):
            return argv[number + 1] if number + 1 < len(argv) else None
        if not word.startswith("-"):
            return None
    return None
