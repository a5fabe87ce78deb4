"""request.json -> values that may be used: every answer of the form, checked again.

The web node checks too, for messages on the form. But Relaunch posts old answers without any form, and
OOD itself checks nothing (no min, no max, no membership of a list): all of it is hostile here.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SIZE_LIMIT = 1 << 20  # bytes of request.json
LINE_LIMIT = 4096  # characters of a one-line answer, as long as the longest path
TEXT_LIMIT = 65536  # characters of an answer with lines
LABELS = {
    "kw_kernel": "Software for your notebook",
    "kw_other": "Not in the list? Type its name",
    "kw_title": "Name it",
    "kw_packages": "Packages",
    "kw_file": "Environment file",
    "kw_image": "Container image",
    "kw_ui": "Open in",
    "kw_folder": "Folder",
    "kw_modules": "Modules for the server",
    "kw_job": "The kernel's own job",
    "bc_account": "Account",
}
INTERFACES = ("lab", "notebook")
MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/@:=~-]{0,200}")
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
UNSEEN_TEXT = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


@dataclass(frozen=True)
class Request:
    """One launch: the answers by field id, where our runtime is, and which catalog the form saw."""

    answers: Mapping[str, str]
    session_id: str = ""
    runtime: str | None = None
    catalog_sha: str | None = None

    @property
    def kernel(self) -> str:
        """What was chosen, as a value of the form: `site:NAME`, `new:packages`, or "" for the default.

        A name typed under "Not in the list?" wins over the list.
        """
        return self.line("kw_other") or self.line("kw_kernel")

    @property
    def only(self) -> bool:
        """Whether a kernel is to be made and no notebook started; counts only where something is made."""
        value = (
            self.answers.get("kw_other", "").strip() or self.answers.get("kw_kernel", "").strip()
        )
        return (
            value.startswith(("new:", "template:"))
            and self.answers.get("kw_only", "").strip() == "1"
        )

    @property
    def wished(self) -> str:
        """A name for what was asked for, as far as it can be shown at all."""
        title = shown(self.answers.get("kw_title", "").strip(), 60)
        value = (
            self.answers.get("kw_other", "").strip() or self.answers.get("kw_kernel", "").strip()
        )
        making = value.startswith(("new:", "template:"))
        return (
            title if making and title else shown(value.rpartition(":")[2].rpartition("/")[2], 60)
        ) or "kernel"

    def check(self) -> None:
        """Raise for what would stop the session later, before anything is built."""
        _ = self.modules

    @property
    def interface(self) -> str:
        """`lab` or `notebook`; anything else is JupyterLab."""
        said = self.answers.get("kw_ui", "").strip()
        return said if said in INTERFACES else "lab"

    @property
    def modules(self) -> tuple[str, ...]:
        """Environment modules for the server, in the order of the answer."""
        words = self.text("kw_modules").replace(",", " ").split()
        for word in words:
            if not MODULE.fullmatch(word):
                raise bad(
                    "kw_modules",
                    f"`{shown(word)}` is not a module name",
                    "write names such as `gcc/12.2`",
                )
        return tuple(words)

    def line(self, name: str) -> str:
        """A one-line answer without blanks around it; raises `bad-answer` for control characters."""
        value = self.answers.get(name, "").strip()
        if len(value) > LINE_LIMIT:
            raise bad(name, f"is longer than {LINE_LIMIT} characters")
        if found := UNSEEN.search(value):
            raise bad(name, f"holds the character U+{ord(found[0]):04X}, which cannot be seen")
        return value

    def text(self, name: str) -> str:
        """An answer of several lines; raises `bad-answer` for control characters."""
        value = self.answers.get(name, "").replace("\r\n", "\n").replace("\r", "\n").strip()
        if len(value) > TEXT_LIMIT:
            raise bad(name, f"is longer than {TEXT_LIMIT} characters")
        if found := UNSEEN_TEXT.search(value):
            raise bad(name, f"holds the character U+{ord(found[0]):04X}, which cannot be seen")
        return value


def read(path: Path) -> Request:
    """Read and check the shape of request.json; raises `bad-request`."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
        document = json.loads(data) if len(data) <= SIZE_LIMIT else None
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(path, str(error)) from error
    if not isinstance(document, dict) or document.get("version") != 1:
        raise _broken(path, "it is not a request of version 1")
    answers = document.get("answers")
    if not isinstance(answers, dict):
        raise _broken(path, "it holds no answers")
    session, catalog = document.get("session"), document.get("catalog")
    runtime = document.get("runtime")
    return Request(
        answers={k: v for k, v in answers.items() if isinstance(v, str)},
        session_id=_text(session, "id") or "",
        runtime=runtime if isinstance(runtime, str) and os.path.isabs(runtime) else None,
        catalog_sha=_text(catalog, "sha"),
    )


def bad(name: str, what: str, hint: str | None = None) -> UserError:
    """The error for an answer that cannot be used; it names the field as the form does."""
    label = LABELS.get(name, name)
    return UserError(
        "bad-answer",
        f"the answer to “{label}” cannot be used: {what}",
        hint=hint or "change that answer on the form and launch again",
    )


def shown(text: str, limit: int = 80) -> str:
    """`text` cut and with everything unprintable escaped, for a message."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def _text(mapping: Any, name: str) -> str | None:
    value = mapping.get(name) if isinstance(mapping, dict) else None
    return value if isinstance(value, str) else None


def _broken(path: Path, why: str) -> UserError:
    return UserError(
        "bad-request",
        "the answers of the form did not reach the compute node",
        context={"file": str(path), "because": shown(why, 300)},
        hint="launch again; if it happens twice, send this text to the support of the site",
    )
