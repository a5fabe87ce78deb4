"""Ids of form fields for template parameters, safe for Open OnDemand's dynamic forms.

Letters and `_` only, none a prefix or a suffix of another: Open OnDemand matches ids in its data-hide
words by their ends, and digits after `_` are lost on the way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SPELLED = {
    "0": "zero", "1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six",
    "7": "seven", "8": "eight", "9": "nine", "-": "q", "_": "w", ".": "j",
}  # fmt: skip


def ids(template: str, names: Iterable[str]) -> dict[str, str]:
    """An id for each parameter.

    All are kwt_TEMPLATE_NAME_x with no `_` inside the two words, so that two ids can only be equal or
    unrelated; the last word keeps other ids from continuing one.
    """
    found: dict[str, str] = {}
    for name in names:
        word = _letters(name)
        while f"kwt_{_letters(template)}_{word}_x" in found.values():
            word += "z"
        found[name] = f"kwt_{_letters(template)}_{word}_x"
    return found


def _letters(text: str) -> str:
    """Only a-z: what else a name may hold is spelled in letters, so that a-b and ab stay apart."""
    spelled = "".join(SPELLED.get(c, c) for c in text.lower())
    return re.sub(r"[^a-z]", "", spelled) or "x"
