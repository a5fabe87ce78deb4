"""What the kernel's own interpreter says when it is asked: the one check that runs something of the user's.

Only a Python whose path is known is run, with the environment that the kernel would have; never an
unknown wrapper.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from .. import process
from ..errors import Problem, UserError
from ..launch import classify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .subject import Subject

TIMEOUT = 30.0  # seconds; the first import on a parallel file system is slow
QUESTION = """\
import json, os, sys
import ipykernel, IPython, zmq
print("\\nkernelwright:" + json.dumps({
    "version": sys.version.split()[0], "prefix": sys.prefix, "ipykernel": ipykernel.__version__,
    "files": [getattr(m, "__file__", "") or "" for m in (ipykernel, IPython, zmq)],
    "path": sys.path[:20], "threads": os.environ.get("OMP_NUM_THREADS")}))
"""


def check_probe(subject: Subject) -> Iterator[Problem]:
    """Run the interpreter, import ipykernel, and compare where things came from with where they should."""
    argv = probe_command(subject)
    if argv is None:
        return
    answer = ask(argv, subject)
    if isinstance(answer, Problem):
        yield answer
        return
    yield from _judge(answer, subject)


def probe_command(subject: Subject) -> list[str] | None:
    """The command that puts the question; through launch.sh for kernels that we made."""
    if not subject.spec.get("language", "").lower().startswith("python"):
        return None
    if subject.generation is not None and os.access(subject.generation / "launch.sh", os.X_OK):
        interpreter = subject.python or "python3"
        return [str(subject.generation / "launch.sh"), "--shell", "--", interpreter, "-c", QUESTION]
    if subject.python is None or subject.kernel.owned or "ipykernel" not in " ".join(subject.argv):
        return None
    return [subject.python, "-c", QUESTION]


def ask(argv: list[str], subject: Subject) -> dict[str, Any] | Problem:
    """The interpreter's answer, or why it gave none."""
    environ = {**subject.around.environ, **subject.start.env}
    try:
        result = process.run(argv, timeout=TIMEOUT, env=environ, cwd=str(subject.around.home))
    except UserError as error:
        code = "probe-timed-out" if error.code == "command-timed-out" else "interpreter-not-found"
        return Problem(
            code,
            "error",
            f"the interpreter of kernel `{subject.kernel.name}`: {error.message}",
            error.hint,
        )
    said = re.search(r"^kernelwright:(\{.*\})$", result.stdout, re.MULTILINE)
    if result.ok and said:
        value = json.loads(said[1])
        return value if isinstance(value, dict) else {}
    start = classify.Start(
        name=subject.kernel.name,
        kind=subject.kernel.kind,
        interpreter=subject.python,
        script=subject.script or "SCRIPT",
    )
    return classify.explain(result.status, result.stderr or result.stdout, start)


def _judge(answer: dict[str, Any], subject: Subject) -> Iterator[Problem]:
    prefix = subject.prefix
    seen = str(answer.get("prefix", ""))
    if prefix is not None and os.path.realpath(seen) != os.path.realpath(prefix):
        text = f"the interpreter says that it belongs to `{seen}`, not to `{prefix}`"
        yield Problem("other-prefix", "note", text, "it is a link, or its environment was moved")
    home = str(subject.around.home / ".local")
    leaked = [file for file in answer.get("files", []) if str(file).startswith(home)]
    if leaked and not str(prefix).startswith(home):
        text = "ipykernel or what it needs comes from ~/.local, not from the environment"
        hint = '"env": {"PYTHONNOUSERSITE": "1"} in kernel.json, and ipykernel in the environment'
        yield Problem("user-site-leaks", "warning", text, hint, str(leaked[0]))
