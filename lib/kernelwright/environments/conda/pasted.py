"""Lines that people copy from a web page: `conda install -c x y`, `pip install z`, plain package names.

The form's package field and `create conda` understand them; nothing of such a line is ever run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from ...errors import UserError

PROGRAMS = {"conda", "mamba", "micromamba", "pip", "pip3", "uv", "python", "python3", "pixi"}
VERBS = {"install", "create", "add", "update", "upgrade"}
IGNORED = {"-y", "--yes", "-q", "--quiet", "-v", "--verbose", "--override-channels", "--strict-channel-priority", "--user",
           "-U", "--upgrade", "--no-cache-dir", "--freeze-installed", "--update-deps", "--no-pin", "--force-reinstall", "--json"}  # fmt: skip
WITH_VALUE = {"-n", "--name", "-p", "--prefix", "--solver", "--python", "--platform", "--subdir"}
PASSED = {"activate", "deactivate", "cd", "export", "source", "module", "conda-init"}


@dataclass
class Pasted:
    """What the lines ask for; `pip` holds what a pip line named, `conda` everything else."""

    conda: list[str] = field(default_factory=list)
    pip: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(text: str) -> Pasted:
    """Take the lines apart; raises `packages-not-understood` with the line."""
    found = Pasted()
    joined = re.sub(r"\\\r?\n", " ", text)
    for number, line in enumerate(joined.splitlines(), 1):
        for command in re.split(
            r"&&|;(?!\s*(?:python_version|sys_platform|platform_|os_name|extra|implementation))",
            line,
        ):
            _line(command.strip(), number, found)
    return found


def _line(line: str, number: int, found: Pasted) -> None:
    line = re.sub(
        r"^(?:[$>%!]\s*|\([\w.-]+\)\s*\$\s*|-\s+)", "", re.sub(r"(^|\s)#.*$", "", line)
    ).strip()
    if not line:
        return
    words = _words(line, number)
    while words and words[0] in {"sudo", "!", "%", "$"}:
        words.pop(0)
    if not words:
        return
    if words[0] not in PROGRAMS or (
        len(words) > 1 and words[0] == "python" and words[1][:1] in "=<>~!0123456789"
    ):
        found.conda += _plain(line)
        return
    if len(words) == 1:  # `python` or `pip` as a package that is wanted
        found.conda.append(words[0])
        return
    _command(words, number, line, found)


def _command(words: list[str], number: int, line: str, found: Pasted) -> None:
    """One command: its options are followed, ignored or refused, the rest are packages."""
    pip = words[0].startswith(("pip", "uv")) or words[1:3] == ["-m", "pip"]
    verb = next((i for i, w in enumerate(words) if w in VERBS), None)
    if verb is None:
        if set(words[1:2]) & PASSED:
            found.notes.append(f"line {number}: `{line[:60]}` is not needed here")
            return
        raise _not_understood(number, line, "write the names of the packages, one a line")
    rest = words[verb + 1 :]
    while rest:
        word = rest.pop(0)
        name, _, joined = word.partition("=")
        if word in IGNORED:
            continue
        if name in {"-c", "--channel"}:
            found.channels += [
                c
                for c in (joined or _value(rest, number, line)).split(",")
                if c not in found.channels
            ]
        elif name in WITH_VALUE:
            joined or _value(
                rest, number, line
            )  # a name or folder of another environment: ours has its own
        elif word.startswith("-"):
            raise _not_understood(
                number, line, f"leave out `{word[:40]}`; a file is given in the field for files"
            )
        else:
            (found.pip if pip else found.conda).append(word)


def _value(rest: list[str], number: int, line: str) -> str:
    if not rest:
        raise _not_understood(number, line, "the last option of this line lacks its value")
    return rest.pop(0)


def _words(line: str, number: int) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise _not_understood(number, line, "close the quotes") from None


def _plain(line: str) -> list[str]:
    """A line without a command: names with commas or blanks between, or one spec with its constraint."""
    parts = [
        re.sub(r"^(['\"])(.*)\1$", r"\2", p.strip())
        for p in re.split(r",\s+(?![<>=!~])|,$|(?<=[A-Za-z0-9\]*]),(?=[A-Za-z])", line)
        if p.strip()
    ]
    specs: list[str] = []
    for part in parts:
        words = part.split()
        if (
            len(words) > 1
            and not re.match(r"[=<>~!\d*]", words[1])
            and not re.match(r".*[=<>~!]$", words[0])
            and "@" not in words
            and ";" not in part
        ):
            specs += words
        else:
            specs.append(part)
    return specs


def _not_understood(number: int, line: str, hint: str) -> UserError:
    return UserError(
        "packages-not-understood", f"line {number} is not understood: `{line[:120]}`", hint=hint
    )
