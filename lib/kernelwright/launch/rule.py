"""What a sign of a failed start is: see `rules`."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One sign; `kind` limits it to kernels of one environment kind."""

    code: str
    pattern: re.Pattern[str]
    message: str
    hint: str
    kind: str | None = None


def rule(code: str, pattern: str, message: str, hint: str, *, kind: str | None = None) -> Rule:
    """A rule whose pattern sees the lines of the output one by one."""
    return Rule(code, re.compile(pattern, re.MULTILINE), message, hint, kind)
