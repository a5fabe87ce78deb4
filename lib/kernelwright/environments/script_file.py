"""What kind of file a start script is: one that bash or its own first line can run, or what it is instead."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ..errors import Problem

LIMIT = 1 << 20  # bytes that are read of a script
ELF = "\x7fELF"  # how a compiled program begins
SHELLS = frozenset({"sh", "bash", "dash", "ksh", "zsh"})
SOURCE = {
    ".py": "Python",
    ".r": "R",
    ".jl": "Julia",
    ".pl": "Perl",
    ".rb": "Ruby",
    ".js": "JavaScript",
}
# its first line that is no comment
PYTHON_SOURCE = re.compile(
    r"(?:\s*(?:#.*)?\n)*(?:import [\w.]+|from [\w.]+ import |def \w+\(|class \w+[(:]|\"\"\")"
)
KINDS_OF_FILE = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def odd_file(path: str) -> Problem | None:
    """Why there is no file to be read; None for a regular one."""
    hint = "correct its path with `kernelwright edit NAME`"
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        what = f"cannot be reached: {getattr(error, 'strerror', None) or error}"
        if isinstance(error, FileNotFoundError):
            linked = os.path.islink(path)
            what = (
                f"is a link to `{os.readlink(path)}`, which is not there"
                if linked
                else "does not exist"
            )
        return Problem("script-missing", "error", f"the start script `{path}` {what}", hint)
    what = next((words for is_one, words in KINDS_OF_FILE if is_one(mode)), "")
    if not what:
        return None
    return Problem("script-missing", "error", f"`{path}` is {what}, not a start script", hint)


def binary(path: str, text: str, *, explicit: bool) -> list[Problem]:
    """A program can be started as it is where the recipe says with which words; else a script has to say it."""
    if not text.startswith(ELF):
        what = "is no text; if it was saved as UTF-16, save it as UTF-8"
        return [
            Problem(
                "script-binary",
                "error",
                f"the start script `{path}` {what}",
                'a start script is text that ends with `exec "$@"`',
            )
        ]
    if explicit:
        return permissions(path, text)
    if re.fullmatch(r"python[\d.]*", os.path.basename(path)):
        hint = "for a Python environment: `kernelwright create prefix NAME DIR`, DIR being the folder that holds `bin/`"
    else:
        hint = f'write a script that starts it, for example `exec {path} -f "$1"`, or a recipe with `command:`'
    return [
        Problem(
            "script-binary", "error", f"`{path}` is a compiled program, not a start script", hint
        )
    ]


def other_language(path: str, text: str) -> str | None:
    """The language of a file that bash could not run, although it would be given to bash."""
    if text.startswith("#!"):
        words = interpreter(text)
        return words if not is_shell(text) and not os.access(path, os.X_OK) else None
    by_name = SOURCE.get(os.path.splitext(path)[1].lower())
    return by_name or ("Python" if PYTHON_SOURCE.match(text) else None)


def not_for_bash(path: str, language: str) -> Problem:
    """What `other_language` found, as people see it."""
    if language in {*SOURCE.values()}:
        return Problem(
            "script-without-shebang",
            "error",
            f"`{path}` is {language}, but does not begin with `#!` and the program that runs it; bash cannot",
            f"let its first line be `#!/usr/bin/env {'python3' if language == 'Python' else 'PROGRAM'}` and call `chmod u+x {path}`",
        )
    return Problem(
        "script-not-executable",
        "error",
        f"`{path}` is for {language}, but has no execute permission",
        f"`chmod u+x {path}`",
    )


def permissions(path: str, text: str) -> list[Problem]:
    """Whether it may be executed; a shell script need not be."""
    if os.access(path, os.X_OK):
        return []
    if text.startswith(ELF):
        words = f"`{path}` has no execute permission"
        return [Problem("script-not-executable", "error", words, f"`chmod u+x {path}`")]
    message = f"`{path}` has no execute permission; Kernelwright runs it with bash"
    return [Problem("script-not-executable", "warning", message, f"`chmod u+x {path}`")]


def is_shell(text: str) -> bool:
    """Whether bash can run it."""
    return not text.startswith("#!") or interpreter(text) in SHELLS


def interpreter(text: str) -> str:
    """The program that the first line names; what `env` looks for where it names that."""
    words = [os.path.basename(w) for w in text.split("\n", 1)[0][2:].split() if w[:1] != "-"]
    return words[1 if words[0] == "env" and len(words) > 1 else 0] if words else ""


def read(path: str) -> str | None:
    """Its beginning; None where it may not be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(LIMIT).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError:
        return None
