"""YAML text -> nodes that know where they stand. The only module that imports ruamel.yaml for reading.

Nodes instead of values, since every finding and every `site show` line names file, line and column.
"""

from __future__ import annotations

import os
import stat
import warnings
from dataclasses import dataclass, field
from typing import Any, Literal

SIZE_LIMIT = 1 << 20  # bytes of one file
NODE_LIMIT = 100_000  # values of one file after aliases are followed
DEPTH_LIMIT = 50


@dataclass(frozen=True, order=True)
class Spot:
    """A place in a file; line and column count from 1, 0 is the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Finding:
    """One mistake in the site's files. Errors keep the catalog from being compiled, warnings do not."""

    severity: Literal["error", "warning", "note"]
    code: str
    message: str
    spot: Spot
    key: str = ""
    hint: str | None = None

    def as_json(self) -> dict[str, Any]:
        """One element of `site check --json`."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "file": self.spot.file,
            "line": self.spot.line or None,
            "column": self.spot.column or None,
            "key": self.key or None,
            "hint": self.hint,
        }


@dataclass
class Node:
    """A value of the file; `key_spots` has the places of a mapping's keys."""

    spot: Spot
    kind: Literal["mapping", "list", "text", "number", "flag", "null"]
    value: Any
    key_spots: dict[str, Spot] = field(default_factory=dict)


class UnreadableFileError(Exception):
    """The file cannot be read at all; carries the one finding that says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def read(path: str) -> tuple[Node | None, list[Finding]]:
    """The file's top node (None: empty) and what is wrong with its form. Raises UnreadableFileError."""
    return parse(_text(path), path)


def _text(path: str) -> str:
    """The file's text; never waits on a FIFO and never reads a device or a huge file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(path, f"cannot be read: {reason}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _unreadable(path, "is no regular file")
    with os.fdopen(handle, "rb") as file:
        data = file.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise _unreadable(path, f"is larger than {SIZE_LIMIT >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        spot = Spot(path, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise UnreadableFileError(
            Finding(
                "error",
                "site-encoding",
                f"the file is not UTF-8: byte 0x{data[error.start]:02X}",
                spot,
                hint="save it as UTF-8",
            )
        ) from error


def _unreadable(path: str, what: str) -> UnreadableFileError:
    return UnreadableFileError(Finding("error", "site-unreadable", f"the file {what}", Spot(path)))


def parse(text: str, file: str) -> tuple[Node | None, list[Finding]]:
    """The nodes of a YAML text, and its duplicate keys and tags. Raises UnreadableFileError for broken YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    findings: list[Finding] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            top = YAML(typ="safe", pure=True).compose(text)
        node = None if top is None else _Walk(file, findings).node(top, 0)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = Spot(file, mark.line + 1, mark.column + 1) if mark else Spot(file)
        raise UnreadableFileError(_syntax(text, spot, error)) from error
    except YAMLError as error:
        at = getattr(error, "position", 0) or 0
        spot = Spot(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
        raise UnreadableFileError(
            Finding(
                "error", "site-syntax", "the file holds a character that YAML does not allow", spot
            )
        ) from error
    except (
        RecursionError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        AssertionError,
    ) as error:
        # ruamel's scanner raises bare Python errors on some malformed and on very deep input
        raise UnreadableFileError(
            Finding("error", "site-syntax", "the file cannot be read as YAML", Spot(file))
        ) from error
    return node, findings


def _syntax(text: str, spot: Spot, error: Any) -> Finding:
    lines = text.splitlines()
    line = lines[spot.line - 1] if 0 < spot.line <= len(lines) else ""
    message = f"this is not YAML: {error.problem or error.context or 'unknown reason'}"
    hint = "indent with blanks, not with tabs" if "\t" in line else None
    if hint is None and (error.problem or "").startswith("mapping values are not allowed"):
        hint = "a text that holds `: ` needs quotes"
    return Finding("error", "site-syntax", message.replace("\n", " "), spot, hint=hint)


NUMBERS = ("int", "float")
TEXTS = ("str", "timestamp", "value", "binary")


class _Walk:
    """Turns ruamel's nodes into ours, once a node, and refuses what nobody writes on purpose."""

    def __init__(self, file: str, findings: list[Finding]) -> None:
        self.file = file
        self.findings = findings
        self.count = 0

    def node(self, raw: Any, depth: int) -> Node:
        spot = Spot(self.file, raw.start_mark.line + 1, raw.start_mark.column + 1)
        self.count += 1
        if self.count > NODE_LIMIT or depth > DEPTH_LIMIT:
            raise UnreadableFileError(
                Finding("error", "site-syntax", "the file is too large or too deep", spot)
            )
        kind = type(raw).__name__
        if kind == "ScalarNode":
            return self._scalar(raw, spot)
        if kind == "SequenceNode":
            return Node(spot, "list", [self.node(item, depth + 1) for item in raw.value])
        return self._mapping(raw, spot, depth)

    def _scalar(self, raw: Any, spot: Spot) -> Node:
        tag = str(raw.tag).rpartition(":")[2]
        if tag in {"null", "bool"}:
            return Node(
                spot,
                "null" if tag == "null" else "flag",
                None if tag == "null" else raw.value.lower() == "true",
            )
        if tag not in (*NUMBERS, *TEXTS):
            self.findings.append(
                Finding("error", "site-syntax", f"the tag `{raw.tag}` is not read here", spot)
            )
        return Node(spot, "number" if tag in NUMBERS else "text", str(raw.value))

    def _mapping(self, raw: Any, spot: Spot, depth: int) -> Node:
        found = Node(spot, "mapping", {})
        for key, value in raw.value:
            place = Spot(self.file, key.start_mark.line + 1, key.start_mark.column + 1)
            if type(key).__name__ != "ScalarNode":
                self.findings.append(Finding("error", "site-syntax", "a key must be a text", place))
                continue
            name = str(key.value)
            if name in found.value:
                first = found.key_spots[name]
                self.findings.append(
                    Finding(
                        "error",
                        "site-duplicate-key",
                        f"`{name}` stands twice, first in line {first.line}",
                        place,
                        name,
                        "keep one of them",
                    )
                )
            found.value[name] = self.node(value, depth + 1)
            found.key_spots[name] = place
        return found


def plain(node: Node) -> Any:
    """The value below a node in which numbers and days keep the text of the file."""
    if node.kind == "mapping":
        return {key: plain(item) for key, item in node.value.items()}
    return [plain(item) for item in node.value] if node.kind == "list" else node.value
