"""JSON as people really write it: read it strictly, else say what is wrong and what was meant.

Only the reader of kernel.json files and `adopt` use it. Nothing here raises on any input.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

FORGIVING = 1 << 16  # bytes of text up to which we look for what was meant; no time for more
DEPTH = "kernelspec-too-deep"
NUMBER = "kernelspec-huge-number"


@dataclass(frozen=True)
class Fault:
    """One reason why strict readers refuse the text, or read something else than was meant."""

    code: str
    line: int
    what: str


@dataclass(frozen=True)
class Parsed:
    """What came out: `value` is None when nothing sound was found.

    `strict` says whether Python's own `json.load` on a UTF-8 file reads it too, as Jupyter does.
    """

    value: Any
    strict: bool
    faults: tuple[Fault, ...] = ()


class _Refused(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, code: str, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.fault = Fault(code, line, what)


def parse(data: bytes) -> Parsed:
    """Read `data`, strictly if possible; what had to be forgiven stands in `faults`."""
    text, faults = _decode(data)
    try:
        value, notes = _load(text)
        return Parsed(value, not faults, (*faults, *notes))
    except _Refused as refused:
        first = refused.fault
    if first.code in {DEPTH, NUMBER}:
        return Parsed(None, False, (*faults, first))
    if not text.strip():
        return Parsed(None, False, (Fault("kernelspec-empty", 1, "the file is empty"),))
    if len(text) > FORGIVING:
        return Parsed(None, False, (*faults, first))
    mended, found = _rewrite(text)
    try:
        value, notes = _load(mended)
        return Parsed(value, False, (*faults, *(found or (first,)), *notes))
    except _Refused as refused:
        return Parsed(None, False, (*faults, *found, _cut_short(text) or refused.fault))


def _decode(data: bytes) -> tuple[str, tuple[Fault, ...]]:
    """The text, and what its encoding costs: Jupyter opens every kernel.json as plain UTF-8."""
    if data[:3] == b"\xef\xbb\xbf":
        rest, faults = _decode(data[3:])
        return rest, (
            Fault("kernelspec-bom", 1, "a byte order mark stands before the text"),
            *faults,
        )
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in data[:2]:
        name = "utf-16" if data[0] in {0xFF, 0xFE} else "utf-16-be" if data[0] == 0 else "utf-16-le"
        fault = Fault("kernelspec-utf16", 1, "the text is UTF-16")
        return data.decode(name, "replace"), (fault,)
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = Fault("kernelspec-not-utf8", line, f"byte 0x{data[error.start]:02x} is not UTF-8")
        return data.decode("cp1252", "replace"), (fault,)


def _load(text: str) -> tuple[Any, tuple[Fault, ...]]:
    """Strict JSON with notes on what Python's reader lets pass in silence."""
    notes: list[Fault] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) < len(items):
            twice = sorted({key for key, _ in items if sum(k == key for k, _ in items) > 1})
            notes.append(
                Fault("kernelspec-duplicate-key", 0, f"`{twice[0][:80]}` stands there twice")
            )
        return made

    def constant(name: str) -> float:
        notes.append(Fault("kernelspec-not-a-number", 0, f"{name} is not JSON"))
        return float(name)

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant), tuple(notes)
    except json.JSONDecodeError as error:
        raise _Refused(
            "kernelspec-invalid-json", f"{error.msg} (column {error.colno})", error.lineno
        ) from error
    except RecursionError as error:
        raise _Refused(DEPTH, "lists or mappings are nested too deeply") from error
    except ValueError as error:
        raise _Refused(NUMBER, "a number has too many digits") from error


_QUOTES = '"\u201c\u201d\u201e\u201f\u2033\uff02'
_SINGLE = "'\u2018\u2019\u201a\u201b"
_END = r"(?=\s*(?:[:,\]}#]|//|/\*|$))"
_TOKEN = rf"""
    (?P<comment>//[^\n]* | \#[^\n]* | /\*(?:.*?\*/|.*))
  | (?P<string>"(?:[^"\\\n]|\\.){{0,2000}}"{_END})
  | (?P<smart>[{_QUOTES}](?:[^{_QUOTES}\n\\]|\\.){{0,2000}}[{_QUOTES}]{_END})
  | (?P<wrapped>"(?:[^"\\]|\\.){{0,2000}}"{_END})
  | (?P<single>[{_SINGLE}][^{_SINGLE}\n]*[{_SINGLE}]{_END})
  | (?P<word>True|False|None)\b
  | (?P<space>[\u00a0\u2000-\u200b\u3000\ufeff]+)
  | (?P<comma>,)
  | (?P<blank>[ \t\r\n]+)
  | (?P<other>\\.|.)
"""  # compiled where a file needs it
_WORDS = {"True": "true", "False": "false", "None": "null"}
_FORGIVEN = {
    "comment": ("kernelspec-comment", "a comment"),
    "smart": ("kernelspec-smart-quotes", "typographic quotation marks"),
    "wrapped": ("kernelspec-line-break", "a line break inside a string"),
    "single": ("kernelspec-single-quotes", "single quotation marks"),
    "word": ("kernelspec-invalid-json", "a Python word where JSON has its own"),
    "space": ("kernelspec-odd-space", "a space character that JSON does not know"),
}


def _rewrite(text: str) -> tuple[str, tuple[Fault, ...]]:
    """`text` as the JSON that was meant, and what was changed, first line of each kind."""
    pieces: list[str] = []
    found: dict[str, Fault] = {}
    line, comma = 1, -1
    for match in re.finditer(_TOKEN, text, re.VERBOSE | re.DOTALL | re.MULTILINE):
        kind, token = str(match.lastgroup), match.group()
        if kind in _FORGIVEN:
            code, what = _FORGIVEN[kind]
            found.setdefault(code, Fault(code, line, what))
        if token in {"}", "]"} and comma >= 0:
            pieces[comma] = ""
            fault = Fault("kernelspec-trailing-comma", line, f"a comma before `{token}`")
            found.setdefault(fault.code, fault)
        pieces.append(_meant(kind, token))
        if kind == "comma":
            comma = len(pieces) - 1
        elif kind not in {"blank", "comment", "space"}:
            comma = -1
        line += token.count("\n")
    return "".join(pieces), tuple(found.values())


def _meant(kind: str, token: str) -> str:
    if kind in {"comment", "space"}:
        return " "
    if kind == "smart":
        return '"' + token[1:-1] + '"'
    if kind == "single":
        return json.dumps(token[1:-1], ensure_ascii=False)
    if kind == "wrapped":
        return re.sub(r"\s*\n\s*", "", token)
    return _WORDS.get(token, token) if kind == "word" else token


def _cut_short(text: str) -> Fault | None:
    """Whether the text ends in the middle, as after a full disk or a killed writer."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    bare = re.sub(r'"(?:[^"\\\n]|\\.){0,2000}"|\\.', "", text)
    if bare.count("{") > bare.count("}") or bare.count("[") > bare.count("]"):
        return Fault("kernelspec-truncated", text.count("\n") + 1, "the text ends in the middle")
    return None
