"""Kernel names, display names and the way from one to the other."""

from __future__ import annotations

import re
import unicodedata

from ..errors import UserError

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
TITLE_LIMIT = 120  # characters; a card and JupyterLab's launcher cut longer ones anyway


def check_name(name: str) -> str:
    """Return `name` if it may be a kernel name, else raise `invalid-name` with a suggestion.

    Stricter than jupyter_client, whose rule lets `.` and `..` through (they delete all kernels).
    """
    if NAME.fullmatch(name) and name.strip(".") and not name.endswith(".lock"):
        return name
    proposal = propose_name(name)
    raise UserError(
        "invalid-name",
        f"`{visible(name)}` cannot be a kernel name",
        hint="use 1 to 63 of the characters a-z 0-9 . _ - and begin with a letter or digit"
        + (f", for example `{proposal}`" if proposal else ""),
    )


def propose_name(title: str) -> str:
    """The kernel name that a display name suggests; "" where nothing usable is left."""
    folded = unicodedata.normalize("NFKD", title[:500].casefold())
    plain = folded.encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")


def check_title(title: str) -> str:
    """Return a display name that is safe to show everywhere, else raise `invalid-display-name`.

    Line ends, control characters, bidirectional overrides and lone surrogates are refused: they
    would forge menu entries or break the JSON of every other kernel.
    """
    text = title.strip()
    bad = [
        c
        for c in text
        if unicodedata.category(c) in {"Cc", "Cs"}
        or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"
    ]
    if not text or len(text) > TITLE_LIMIT or bad:
        why = (
            "is empty"
            if not text
            else f"holds `U+{ord(bad[0]):04X}`"
            if bad
            else f"is longer than {TITLE_LIMIT} characters"
        )
        raise UserError(
            "invalid-display-name",
            f"the display name {why}",
            context={"display name": visible(text)},
            hint=f"use up to {TITLE_LIMIT} ordinary characters on one line",
        )
    return text


def visible(text: str, limit: int = 80) -> str:
    """`text` cut and with everything unprintable escaped, for use in a message."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
