"""Reading one kernel.json, whatever lies there: never an exception, never a hang.

Jupyter's own reader logs a traceback for what it cannot load and drops the kernel. Ours tells the
reason, and whether Jupyter lists the kernel all the same.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .lenient import Parsed

LIMIT = 1 << 20  # bytes; a larger file would travel whole with every request of the launcher page
NAME = "kernel.json"


@dataclass(frozen=True)
class Reading:
    """What is known of one kernel.json.

    `spec` holds what could be understood, also from a file that Jupyter refuses. `listed` says
    whether Jupyter's server offers it; `found` whether Jupyter takes the folder for a kernel at all
    (then it shadows others of its name even when it cannot be loaded).
    """

    spec: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    listed: bool = False
    found: bool = False
    facts: tuple[int, int] | None = None  # st_mtime_ns, st_size


def look(path: str) -> tuple[os.stat_result | None, Problem | None]:
    """One stat: the facts of a regular file, or why it is none. (None, None): nothing is there."""
    try:
        facts = os.stat(path)
    except OSError as error:
        return None, _absent(path, error)
    except ValueError:  # a NUL in the path
        return None, None
    if not stat.S_ISREG(facts.st_mode):
        return None, _odd_file(path, facts)
    if facts.st_size > LIMIT:
        return facts, Problem(
            "kernelspec-too-large",
            "error",
            f"kernel.json has {facts.st_size:,} bytes and was not read",
            "a kernel.json has about 500 bytes; replace it by a sound one",
            path,
        )
    return facts, None


def read(folder: str, facts: os.stat_result | None = None) -> Reading:
    """Read `folder`/kernel.json; `facts` is its stat when the caller has it already."""
    path = os.path.join(folder, NAME)
    problem = None
    if facts is None:
        facts, problem = look(path)
    if facts is None:
        return Reading(problems=(problem,) if problem else ())
    stamp = (facts.st_mtime_ns, facts.st_size)
    if problem is not None or facts.st_size > LIMIT:
        problem = problem or look(path)[1]
        return Reading(problems=(problem,) if problem else (), found=True, facts=stamp)
    try:
        data = read_bytes(path, LIMIT + 1)
    except OSError as error:
        return Reading(problems=(_unreadable(path, error),), found=True, facts=stamp)
    reading = understand(data)
    return Reading(reading.spec, reading.problems, reading.listed, found=True, facts=stamp)


def understand(data: bytes) -> Reading:
    """Parse and judge the bytes of a kernel.json; `adopt` and the tests call it too."""
    from .lenient import parse  # only where a file was not known from the index: 4 ms
    from .spec_rules import judge

    parsed = parse(data)
    if not isinstance(parsed.value, dict):
        return Reading(problems=_refusals(parsed))
    problems, loads = judge(parsed.value)
    forgiven = tuple(_as_problem(fault.code, fault.line, fault.what) for fault in parsed.faults)
    return Reading(parsed.value, (*forgiven, *problems), parsed.strict and loads, found=True)


def read_bytes(path: str, limit: int) -> bytes:
    """At most `limit` bytes of a regular file; opening never blocks and never follows into a FIFO."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        pieces = []
        while limit > 0 and (piece := os.read(handle, min(limit, 1 << 16))):
            pieces.append(piece)
            limit -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(handle)


def _refusals(parsed: Parsed) -> tuple[Problem, ...]:
    if parsed.value is None and parsed.faults:
        found = (_as_problem(fault.code, fault.line, fault.what) for fault in parsed.faults)
        return tuple(replace(problem, hint="write it again") for problem in found)
    what = {"list": "a list", "NoneType": "null", "str": "a text"}.get(type(parsed.value).__name__)
    return (
        Problem(
            "kernelspec-not-a-mapping",
            "error",
            f"kernel.json holds {what or 'a number'} instead of a mapping",
            "it must begin with `{` and hold argv, display_name and language",
        ),
    )


_MILD = {
    "kernelspec-duplicate-key": "the last one counts; remove the other",
    "kernelspec-not-a-number": "the server's list of kernels is then not JSON for any kernel",
}


def _as_problem(code: str, line: int, what: str) -> Problem:
    where = f"line {line}: {what}" if line else what
    if code in _MILD:
        return Problem(code, "warning", f"kernel.json: {where}", _MILD[code])
    return Problem(
        code,
        "error",
        f"Jupyter cannot read kernel.json: {where}",
        "`kernelwright adopt NAME` mends it and keeps a backup",
    )


def _absent(path: str, error: OSError) -> Problem | None:
    if error.errno == errno.ELOOP:
        return Problem(
            "kernelspec-link-loop",
            "error",
            "kernel.json is a link that leads to itself",
            None,
            path,
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Problem(
            "kernelspec-folder-unreadable",
            "error",
            "the folder of the kernel may not be entered, so Jupyter does not show it",
            "its owner can open it with `chmod a+rx FOLDER`",
            os.path.dirname(path),
        )
    if error.errno == errno.ENOENT and os.path.islink(path):
        return Problem(
            "kernelspec-dangling-link",
            "error",
            "kernel.json is a link to a file that does not exist",
            None,
            path,
        )
    return None


def _odd_file(path: str, facts: os.stat_result) -> Problem:
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "named pipe"), (stat.S_ISSOCK, "socket"))
    what = next((name for test, name in kinds if test(facts.st_mode)), "device")
    return Problem(
        "kernelspec-not-a-file", "error", f"kernel.json is a {what}, not a file", None, path
    )


def _unreadable(path: str, error: OSError) -> Problem:
    return Problem(
        "kernelspec-unreadable",
        "error",
        f"kernel.json cannot be read: {error.strerror or error}",
        "its owner can open it with `chmod a+r kernel.json`",
        path,
    )
