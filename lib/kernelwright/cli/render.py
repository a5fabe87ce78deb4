"""Text layout for terminals of 80 columns."""

from __future__ import annotations

import shutil
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def width(text: str) -> int:
    """The columns that `text` takes: wide East Asian characters and emoji take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def cut(text: str, columns: int) -> str:
    """`text` in at most `columns` columns, with an ellipsis where something is left out."""
    if width(text) <= columns:
        return text
    kept = ""
    for char in text:
        if width(kept + char) > columns - 1:
            break
        kept += char
    return kept + "…"


def one_line(text: str) -> str:
    """`text` without line ends: a name with one must not forge a line of ours."""
    return " ".join(text.splitlines())


def table(
    rows: Sequence[Sequence[str]], head: Sequence[str] = (), *, limit: int | None = None
) -> str:
    """Columns aligned by their widest cell; the last one is cut to fit the terminal, or `limit` columns."""
    rows = [tuple(one_line(cell) for cell in row) for row in rows]
    lines = [tuple(head), *rows] if head else rows
    if not lines:
        return ""
    widths = [max(width(line[i]) for line in lines) for i in range(len(lines[0]) - 1)]
    room = (limit or shutil.get_terminal_size((100, 24)).columns) - sum(widths) - 2 * len(widths)
    out = []
    for line in lines:
        cells = [cell + " " * (w - width(cell)) for cell, w in zip(line[:-1], widths, strict=True)]
        out.append("  ".join([*cells, cut(line[-1], max(room, 20))]).rstrip())
    return "\n".join(out)
