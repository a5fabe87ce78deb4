"""The user's own start script: NERSC's `kernel-helper.sh`, LSST's `lsst-kernel.sh` and their kin.

Such a script loads what it needs and then starts the kernel, in one of three ways, which are told apart
by reading it, never by running it: it executes its arguments (`exec "$@"`), passes them on to a Python of
its own (`exec python -m ipykernel $@`), or wants the connection file alone (`-f "$1"`).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ..errors import Problem, UserError
from ..model import Command, Made, ScriptSpec
from . import script_file

if TYPE_CHECKING:
    from ..model import Recipe
    from ..progress import Progress
    from .base import Place

WRAPPERS = r"(?:exec\s+|srun\s+|time\s+|nice\s+|env\s+|-\S+\s+|\d+\s+|\w+=\S*\s+)*"
RUNS_ARGUMENTS = re.compile(
    rf"(?:^|[;&|]|\bthen\b|\belse\b)[ \t]*{WRAPPERS}[\"']?\$(?:@|\*|\{{@\}})", re.MULTILINE
)
WANTS_FILE = re.compile(r"(?:-f|--f|--connection-file)[= \t]+[\"']?\$\{?1\b|--f=[\"']?\$\{?1\b")
USES_ARGUMENTS = re.compile(r"\$(?:@|\*|\d|\{[@*\d])|\bgetopts\b|\bshift\b")
SOURCED = re.compile(r"^[ \t]*(?:source|\.)[ \t]+[\"']?(/[^\s\"'$;&|]+)[\"']?", re.MULTILINE)
KERNEL_WORDS = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")


def make(recipe: Recipe, place: Place, progress: Progress) -> Made:
    """Read the script and record how it wants to be called; UserError for what cannot work."""
    spec = recipe.environment
    assert isinstance(spec, ScriptSpec)  # noqa: S101 - the kind was chosen by the spec
    path = str(place.home / spec.path[2:]) if spec.path.startswith("~/") else spec.path
    progress.phase("probe", f"reading {path}")
    if not path.startswith("/"):
        raise UserError(
            "script-relative",
            f"`{path}` is a relative path",
            hint="give the script's path from `/` or `~/`",
        )
    found = problems(path, explicit=bool(recipe.command))
    for problem in found:
        if problem.severity == "error":
            context = {"evidence": problem.evidence} if problem.evidence else None
            raise UserError(problem.code, problem.message, context=context, hint=problem.hint)
        progress.note(f"{problem.message}; {problem.hint}")
    text = script_file.read(path) or ""
    facts = {"path": path, "calls": calls(text), "through_bash": not _runs_by_itself(path, text)}
    return Made(kind="script", language=recipe.language, facts=facts)


def command(recipe: Recipe, made: Made) -> Command:
    """The script and the arguments that it wants; through bash where it cannot be executed itself."""
    path = str(made.facts["path"])
    words = ("/bin/bash", path) if made.facts.get("through_bash") else (path,)
    return Command(
        (*words, *(recipe.command or _arguments(str(made.facts.get("calls")), recipe.language))),
        template="script",
        interrupt_mode=recipe.interrupt_mode or "signal",
    )


def check(recipe: Recipe, made: Made) -> list[Problem]:
    """What is wrong with the script as it is now."""
    path = str(made.facts.get("path"))
    return [*problems(path, explicit=bool(recipe.command)), *_program(recipe, path)]


def _program(recipe: Recipe, path: str) -> list[Problem]:
    """What the recipe's command starts, where the script does nothing but that (as for adopted kernels)."""
    program = recipe.command[0] if recipe.command else ""
    code = _without_comments(script_file.read(path) or "").strip()
    if code != 'exec "$@"' or not program.startswith("/") or os.access(program, os.X_OK):
        return []
    message = f"`{program}`, which the recipe's `command` names, cannot be run"
    hint = "the environment was moved or removed: correct it with `kernelwright edit NAME`"
    return [Problem("interpreter-not-found", "error", message, hint)]


def calls(text: str) -> str:
    """How the script starts the kernel: `command` (its arguments), `file` (the file alone) or `arguments`."""
    code = _without_comments(text)
    if RUNS_ARGUMENTS.search(code):
        return "command"
    return "file" if WANTS_FILE.search(code) else "arguments"


def problems(path: str, *, explicit: bool = False) -> list[Problem]:
    """The problems of a start script, by reading it; also used by doctor for hand-made kernelspecs.

    `explicit` says that the recipe's `command` states the arguments, so that none may be needed.
    """
    odd = script_file.odd_file(path)
    if odd:
        return [odd]
    text = script_file.read(path)
    if text is None:
        return [
            Problem(
                "script-unreadable",
                "error",
                f"the start script `{path}` cannot be read",
                f"look at its permissions: `ls -l {path}`",
            )
        ]
    if "\0" in text and not text.startswith("#!"):  # an archive may follow a script
        return script_file.binary(path, text, explicit=explicit)
    if language := script_file.other_language(path, text):
        return [script_file.not_for_bash(path, language)]
    found = [*_first_line(path, text), *script_file.permissions(path, text)]
    code = _without_comments(text)
    if script_file.is_shell(text) and not explicit and not USES_ARGUMENTS.search(code):
        found.append(
            Problem(
                "script-ignores-arguments",
                "error",
                f"the start script `{path}` never uses its arguments, so that the kernel is not told where Jupyter waits",
                'let its last line be `exec "$@"`, or pass `"$@"` to the Python that it starts',
            )
        )
    if "{connection_file}" in code:
        found.append(
            Problem(
                "script-literal-placeholder",
                "warning",
                f"`{{connection_file}}` in `{path}` is never replaced: only kernel.json knows that word",
                'write `"$@"` in its place',
            )
        )
    gone = [p for p in SOURCED.findall(code) if not os.path.exists(p)]
    if gone:
        found.append(
            Problem(
                "script-source-missing",
                "warning",
                f"`{path}` sources `{gone[0]}`, which is not there on this node",
                "correct that line; a path that only compute nodes have is fine",
            )
        )
    return found


def _first_line(path: str, text: str) -> list[Problem]:
    first = text.split("\n", 1)[0]
    if first.startswith("#!") and first.endswith("\r"):
        fix = f"`sed -i 's/\\r$//' {path}` takes them out"
        return [
            Problem(
                "script-crlf",
                "error",
                f"`{path}` has line ends of Windows, so that no program is found to run it",
                fix,
            )
        ]
    if not first.startswith("#!"):
        return [
            Problem(
                "script-without-shebang",
                "warning",
                f"`{path}` does not begin with `#!` and the program that runs it; Kernelwright runs it with bash",
                "let its first line be `#!/bin/bash`",
                first[:80],
            )
        ]
    words = first[2:].split()
    if words and not os.path.exists(words[0]):
        return [
            Problem(
                "script-interpreter-missing",
                "error",
                f"`{path}` asks to be run by `{words[0]}`, which is not there",
                "let its first line be `#!/bin/bash`",
                first[:80],
            )
        ]
    return []


def _runs_by_itself(path: str, text: str) -> bool:
    return text.startswith(("#!", script_file.ELF)) and os.access(path, os.X_OK)


def _arguments(calls: str, language: str) -> tuple[str, ...]:
    if language != "python" or calls == "file":
        return ("{connection_file}",)
    return KERNEL_WORDS if calls == "command" else KERNEL_WORDS[3:]


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
