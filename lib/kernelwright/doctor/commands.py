"""Checks of the command line in a kernel.json: will it be executed, and does it say what was meant."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ..discovery import shapes
from ..discovery.programs import CODES as PROGRAM_CODES
from ..discovery.programs import is_servers_python
from ..errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .subject import Subject


def check_start(subject: Subject) -> Iterator[Problem]:
    """Whether the system will execute the program at all."""
    start, known = subject.start, {p.code for p in subject.kernel.problems}
    if start.fate in {"runs", "TypeError", "IndexError", "ValueError"} or known & PROGRAM_CODES:
        return
    if subject.kernel.owned:
        return  # owned.check_owned has looked at launch.sh
    program = start.program or (start.argv[0] if start.argv else "")
    reason = f"Jupyter's start ends with {start.fate}: {start.reason}"
    if start.reason and "CRLF" in start.reason:
        yield Problem(
            "script-crlf", "error", reason, f"`sed -i 's/\\r$//' {program}` takes them out"
        )
    elif start.fate == "OSError":
        hint = "its first line must be `#!/bin/bash`"
        yield Problem("script-without-shebang", "error", reason, hint, first_line(program))
    elif start.fate == "PermissionError":
        yield Problem("script-not-executable", "error", reason, f"`chmod u+x {program}`")
    elif "/" not in program:
        hint = "give its absolute path, or load its module before Jupyter starts"
        yield Problem("program-not-on-path", "error", reason, hint)
    else:
        hint = f"`kernelwright repair {subject.kernel.name}` looks for it"
        yield Problem("interpreter-not-found", "error", reason, hint)


def check_python_word(subject: Subject) -> Iterator[Problem]:
    """A bare `python` is the server's own at index 0 and PATH's behind anything else."""
    if subject.kernel.origin not in {"user", "legacy", "group", "site"} or not subject.argv:
        return
    argv = subject.spec.get("argv")
    first = argv[0] if isinstance(argv, list) and isinstance(argv[0], str) else ""
    if is_servers_python(first):
        text = f"`{first}` in argv means the Python of the Jupyter server, not the one of an environment of yours"
        hint = 'write the absolute path: `"argv": ["/…/envs/NAME/bin/python", …]`'
        yield Problem("bare-python", "warning", text, hint, subject.argv[0])
        return
    word = _python_on_path(subject.argv)
    if word:
        text = f"`{word}` is whichever Python comes first on PATH when the kernel starts"
        yield Problem("bare-python", "note", text, "write its absolute path")


def _python_on_path(argv: tuple[str, ...]) -> str | None:
    """A Python without a path behind `env` or inside the text of `bash -c`."""
    line = shapes.shell_line(argv)
    if line is not None:
        found = re.search(r"(?:^|&&|;|\bexec)\s*(python[0-9.]*)\s", line)
        return found[1] if found else None
    if os.path.basename(argv[0]) != "env":
        return None
    first = next((w for w in argv[1:] if not w.startswith("-") and "=" not in w), "")
    return first if re.fullmatch(r"python[0-9.]*", first) else None


def check_quoting(subject: Subject) -> Iterator[Problem]:
    """`bash -c "... {connection_file}"`: a space in Jupyter's runtime folder breaks it."""
    line = shapes.shell_line(subject.argv) if subject.argv else None
    if line is not None and re.search(r"(?<!['\"]){connection_file}(?!['\"])", line):
        spaced = " " in subject.around.jupyter_runtime
        text = (
            "the connection file's path is not in quotation marks, and a space in it ends the start"
        )
        yield Problem(
            "connection-file-unquoted",
            "error" if spaced else "note",
            text,
            "write '{connection_file}' in single quotation marks inside the text",
        )
    for word in subject.argv:
        if re.fullmatch(r"(?:--?[\w-]+=|(?=.[/~]))([\"']).*\1", word, re.DOTALL):
            text = f"the quotation marks in `{word[:120]}` are passed on as they are: no shell takes them away"
            yield Problem(
                "argv-literal-quotes",
                "warning",
                text,
                "leave them out: each element of argv is one word",
            )
        elif re.match(r"-[A-Za-z] +\S", word):
            text = f"`{word[:120]}` is one word with a space in it"
            yield Problem(
                "argv-glued-option",
                "warning",
                text,
                "make two elements of it: the option, then its value",
            )


def check_program_options(subject: Subject) -> Iterator[Problem]:
    """`--debug` after ipykernel_launcher: every message of the kernel goes to the log."""
    line = " ".join(subject.argv)
    if "ipykernel" in line and "--debug" in subject.argv:
        text = "`--debug` makes ipykernel write every message to the server's log"
        yield Problem("debug-option", "note", text, "take it out of argv when the kernel works")


def first_line(path: str) -> str | None:
    """The first line of a script, as evidence."""
    from .subject import text_of

    line = text_of(path, 200).split("\n", 1)[0].strip()
    return line[:120] or None
