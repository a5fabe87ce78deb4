"""From an exit status and what a kernel wrote to the reason why it did not start, or why it ended.

Pure: nothing is read or run here, so that `doctor`, the start test, the diagnostic kernel and the
Slurm broker say the same words for the same cause.
"""

from __future__ import annotations

import platform
import re
import signal
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..errors import Problem
from .rules import OWN_FILES, RULES, STATUSES, STEPS, UNCLEAR, UNCLEAR_OTHER

if TYPE_CHECKING:
    from .rule import Rule

EVIDENCE = 12  # lines
OURS = re.compile(
    r"^\S*/(?:start|watch|modules|hooks|launch)\.sh: line \d+: "
)  # which line of ours ran it says nothing
LONG_LINE = 400
WALLTIME_MARGIN = 120  # Slurm warns that long before its limit at most


@dataclass(frozen=True)
class Start:
    """What is known of the start besides its output; every field may be missing.

    `what` is launch.sh's own word for how it went (exited, kernel-silent, module-failed, launch-ended,
    modules-unavailable), `step` what it was doing. `kills` are processes that the kernel's
    out-of-memory killer took from our cgroup meanwhile; limit and peak are bytes; times are epochs; `recipe`
    is the text of recipe.yml, for the line that is to be changed; `own_files` are the user's files that
    IPython runs at each start.
    """

    name: str = "NAME"
    command: str = "kernelwright"
    language: str = "python"
    kind: str | None = None
    interpreter: str | None = None
    script: str = "SCRIPT"
    recipe: str = ""
    what: str = "exited"
    step: str = ""
    seconds: float | None = None
    machine: str = platform.machine()
    kills: int = 0
    memory_limit: int | None = None
    memory_peak: int | None = None
    told: str = ""
    ended: float | None = None
    job: str = ""
    job_end: float | None = None
    host: str = ""
    home_full: bool = False
    modules_available: tuple[str, ...] = ()
    own_files: tuple[str, ...] = ()


def explain(status: int | None, stderr: str, start: Start = Start()) -> Problem:
    """Why the kernel did not start.

    `status` as a shell or subprocess gives it (negative or 128 + n for signal n); None when it was
    still running when time was up. `stderr` is all that it wrote, in whatever order.
    """
    text = plain(stderr)
    if start.kills > 0:
        return _out_of_memory(start, text)
    by_step = _by_step(start, text)
    if by_step:
        return by_step
    for rule in RULES:
        found = rule.pattern.search(text) if rule.kind in (None, start.kind) else None
        if found:
            return _from_rule(rule, found, text, start)
    if status is None or start.what == "kernel-silent":
        return _silent(start, text)
    return _from_status(_shell_status(status), start, text, "before it answered")


def is_plain_quit(language: str, status: int, log: str) -> bool:
    """Whether this is how the language ends when it is asked to, although the status says failure.

    R that is interrupted once more while it quits halts with status 1; a failing R prints "Error" first.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()][-20:]
    halted = lines[-1:] == ["Execution halted"]
    return (
        language == "r" and status == 1 and halted and not any(x.startswith("Error") for x in lines)
    )


def explain_end(status: int, stderr: str, start: Start) -> Problem:
    """Why a kernel that had worked ended: said at its next start."""
    text = plain(stderr)
    status = _shell_status(status)
    if start.kills > 0:
        return _out_of_memory(start, text)
    if (
        status in (137, 143)
        and start.ended
        and start.job_end
        and start.ended > start.job_end - WALLTIME_MARGIN
    ):
        return Problem(
            "walltime-reached",
            "error",
            f"the kernel was ended by the time limit of job {start.job}",
            "ask for more hours when you start the session",
            tail(text),
        )
    return _from_status(status, start, text, "while it was in use")


def for_new_kernel(problem: Problem, start: Start) -> Problem:
    """The same problem of a kernel that was not published: there is nothing yet to repair, update or edit."""
    hint = problem.hint
    if hint and any(
        f"{start.command} {verb} {start.name}" in hint
        for verb in ("repair", "update", "edit", "test", "shell")
    ):
        near = re.match(r"there is (?:`[^`]+`(?:, )?)+; ", hint)
        hint = f"{near[0] if near else ''}correct that and call this again; nothing was published"
    return Problem(problem.code, problem.severity, problem.message, hint, problem.evidence)


def plain(text: str) -> str:
    """`text` without escape sequences and control characters, so that patterns and people can read it."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.replace("\r\n", "\n"))
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "\ufffd", text)


def tail(text: str, lines: int = EVIDENCE) -> str:
    """The last lines that say something, each cut to a readable length."""
    said = [OURS.sub("", line)[:LONG_LINE] for line in text.splitlines() if line.strip()]
    return "\n".join(said[-lines:])


def _from_rule(rule: Rule, found: re.Match[str], text: str, start: Start) -> Problem:
    names = {k: v for k, v in found.groupdict().items() if v}
    names.setdefault("what", next(iter(names.values()), start.interpreter or "it"))
    values = _Words({**asdict(start), **names})
    hint = rule.hint.format_map(values)
    evidence = _around(text, found)
    if rule.code.startswith("module-"):
        evidence = "\n".join(filter(None, [_recipe_line(names["what"], start.recipe), evidence]))
    if rule.code == "module-missing":
        hint = _nearest_modules(names["what"], start) + hint
    return Problem(rule.code, "error", rule.message.format_map(values), hint, evidence)


def _recipe_line(module: str, recipe: str) -> str:
    """The line below `modules:` that names it, whole."""
    before, _, below = f"\n{recipe}".rpartition("\nmodules:")
    for number, line in enumerate(below.splitlines(), before.count("\n") + 1):
        if re.search(rf"(?<![\w./+-]){re.escape(module)}(?![\w./+-])", line):
            return f"recipe.yml, line {number}: {line.strip()}"
    return ""


class _Words(dict[str, object]):
    """A rule's format string may name a group that did not take part."""

    def __missing__(self, key: str) -> str:
        return "it"


def _nearest_modules(name: str, start: Start) -> str:
    import difflib

    base = name.partition("/")[0]
    same = [m for m in start.modules_available if m.partition("/")[0].lower() == base.lower()]
    near = same or difflib.get_close_matches(name, start.modules_available, n=4, cutoff=0.5)
    return f"there is {', '.join(f'`{m}`' for m in near[-6:])}; " if near else ""


def _around(text: str, found: re.Match[str]) -> str:
    """The lines that matched, with what came just before them and after."""
    lines = text.splitlines()
    first = text.count("\n", 0, found.start())
    last = text.count("\n", 0, found.end())
    return tail("\n".join(lines[max(0, first - 3) : last + 4]))


def _by_step(start: Start, text: str) -> Problem | None:
    """What launch.sh itself could not do; None where the output knows better, or the kernel was started."""
    if start.what not in STEPS:
        return None
    if start.what == "module-failed" and any(
        r.pattern.search(text) for r in RULES if r.code.startswith("module-")
    ):
        return None
    message, hint = STEPS[start.what]
    values = _Words(asdict(start))
    code = "hook-failed" if start.what == "launch-ended" else start.what
    return Problem(
        code, "error", message.format_map(values), hint.format_map(values), tail(text) or None
    )


def _out_of_memory(start: Start, text: str) -> Problem:
    limit = f" of {size(start.memory_limit)}" if start.memory_limit else ""
    peak = f"; it had used {size(start.memory_peak)} at its peak" if start.memory_peak else ""
    return Problem(
        "out-of-memory",
        "error",
        f"the kernel was killed because the memory{limit} was used up{peak}",
        "ask for more memory when you start the session, or load less data at once",
        tail(text) or None,
    )


def size(count: float) -> str:
    """Bytes for people: 4.0 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _silent(start: Start, text: str) -> Problem:
    where = re.search(
        r"File \"[^\"]+\", line \d+ in (?:_?open|connect|__init__)[^\n]*\n[^\n]*history", text
    )
    if where:
        return Problem(
            "history-hangs",
            "error",
            "the kernel waits for IPython's history file, which lies on a network file system without working locks",
            "set IPYTHONDIR to a folder on a local disk in `env` of the recipe",
            tail(text),
        )
    waited = f" within {start.seconds:.0f} s" if start.seconds else ""
    return Problem(
        "kernel-silent",
        "error",
        f"the kernel was started but did not answer{waited}",
        "restart it: the files are often faster the second time; where it is always that slow, set "
        f"`env: {{KERNELWRIGHT_START_LIMIT: '300'}}` in the recipe ({start.command} edit {start.name})",
        tail(text) or None,
    )


def _shell_status(status: int) -> int:
    return 128 - status if status < 0 else status


def _from_status(status: int, start: Start, text: str, when: str) -> Problem:
    if status in STATUSES:
        code, message, hint = STATUSES[status]
        values = _Words(asdict(start))
        return Problem(
            code, "error", message.format_map(values), hint.format_map(values), tail(text) or None
        )
    if status > 128:
        return Problem(
            "kernel-killed",
            "error",
            f"the kernel was ended by {_signal(status - 128)} {when}",
            None,
            tail(text) or None,
        )
    if start.kind == "script" and status == 0:
        return Problem(
            "script-starts-nothing",
            "error",
            f"the script `{start.script}` came to its end without starting a kernel",
            'its last line should be `exec "$@"`, or start a Python with `"$@"`',
            tail(text) or None,
        )
    if start.own_files and start.language == "python" and not when.startswith("while"):
        hint = OWN_FILES.format(files="`, `".join(start.own_files[:4]))
        return Problem("kernel-ended", "error", _ended(status, when), hint, tail(text) or None)
    ways = UNCLEAR if start.kind in {"venv", "conda"} else UNCLEAR_OTHER
    hint = ways.format(command=start.command, name=start.name)
    return Problem(
        "kernel-ended",
        "error",
        _ended(status, when),
        None if when.startswith("while") else hint,
        tail(text) or None,
    )


def _ended(status: int, when: str) -> str:
    return f"the kernel ended by itself with exit status {status} {when}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
