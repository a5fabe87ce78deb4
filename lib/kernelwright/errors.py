"""The one error that people see, and the kind of problem that is only reported."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Severity = Literal["error", "warning", "note"]


class UserError(Exception):
    """What went wrong, where, and what to type next; raised where the cause is understood.

    `code` is kebab-case and has a section in docs/reference/messages.md. `message` is one sentence
    without a full stop, paths and commands in backticks. `context` names files and values, one line
    each. Everything that is not a UserError is a bug and may end in a traceback.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        context: Mapping[str, str] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.context = dict(context or {})
        self.hint = hint

    def as_json(self) -> dict[str, Any]:
        """The `error` member of every failing `--json` answer."""
        return {
            "code": self.code,
            "message": self.message,
            "context": self.context,
            "hint": self.hint,
        }


class UsageError(UserError):
    """The call itself is wrong: the command exits with 2 instead of 1."""


@dataclass(frozen=True)
class Problem:
    """One finding about a kernel or an account; `list`, `doctor` and the card show it."""

    code: str
    severity: Severity
    message: str
    hint: str | None = None
    evidence: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The plain mapping that `--json`, report.json and the card carry."""
        return asdict(self)


def as_called(hint: str | None, command: str | None) -> str | None:
    """`hint` with our command as this site calls it, such as `module load kernelwright; kernelwright`.

    Where there is no shell (None) people can only ask for it. A text that was given here before stays.
    """
    if hint is None or command == "kernelwright":
        return hint
    if command is None:
        return re.sub(
            r"(?<!\(ask the site\) )`kernelwright ", "(ask the site) `kernelwright ", hint
        )
    return hint.replace("`kernelwright ", f"`{command} ")


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    """The hint for a name that nobody knows: the nearest of `known`, else `otherwise`."""
    import difflib  # only a mistake needs it

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else otherwise
