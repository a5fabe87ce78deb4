"""Nodes against the table: typed values, the place of each, and every mistake (never only the first)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import did_you_mean
from ..recipe.names import visible
from .reader import Finding, Node, Spot, plain
from .rules import broken_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .table import Key

Path = tuple[str, ...]
WRONG = object()  # the value is unusable and was reported: the default stays
TEXT_LIMIT = 10_000
WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
NAMES = {
    "mapping": "a mapping",
    "list": "a list",
    "text": "a text",
    "number": "a number",
    "flag": "true or false",
    "null": "nothing",
}


@dataclass
class Checker:
    """Collects the findings and places of one file; `value` is called with the file's top node."""

    findings: list[Finding] = field(default_factory=list)
    spots: dict[Path, Spot] = field(default_factory=dict)

    def value(self, key: Key, node: Node, path: Path) -> Any:
        """The plain value of `node`, or WRONG."""
        self.spots[path] = node.spot
        if node.kind == "null":
            return self._nothing(key, node, path)
        if key.kind == "free":
            if key.rule == "mapping" and node.kind != "mapping":
                return self._type("a mapping", node, path)
            self._inner_spots(node, path)
            return plain(node)
        return getattr(self, f"_{key.kind}")(key, node, path)

    def _nothing(self, key: Key, node: Node, path: Path) -> Any:
        """`null`, or nothing behind the colon: an empty section, list or map, or no value."""
        if key.may_be_null:
            return None
        if key.kind in {"list", "map"}:
            return [] if key.kind == "list" else {}
        if key.kind == "section" and not any(item.required for item in key.keys.values()):
            return {}
        return self.wrong("needs a value", node, path)

    def wrong(
        self,
        message: str,
        node: Node | Spot,
        path: Path,
        *,
        code: str = "site-value",
        hint: str | None = None,
    ) -> Any:
        """Report an error and return WRONG."""
        spot = node if isinstance(node, Spot) else node.spot
        name = ".".join(path)
        self.findings.append(
            Finding(
                "error",
                code,
                f"`{visible(name)}` {message}" if name else f"the file {message}",
                spot,
                name,
                hint,
            )
        )
        return WRONG

    def _type(self, must: str, node: Node, path: Path, hint: str | None = None) -> Any:
        return self.wrong(
            f"must be {must}, not {NAMES[node.kind]}", node, path, code="site-type", hint=hint
        )

    def _inner_spots(self, node: Node, path: Path) -> None:
        for name, item in node.value.items() if node.kind == "mapping" else ():
            inner = (*path, name)
            self.spots[inner] = item.spot
            self._inner_spots(item, inner)

    def _text(self, key: Key, node: Node, path: Path) -> Any:
        if key.keys and node.kind == "mapping":
            return self._section(key, node, path)
        if node.kind not in {"text", "number"}:
            must = f"one of {', '.join(key.choices)}" if key.choices else "a text"
            return self._type(
                must, node, path, 'put it in quotes: "true"' if node.kind == "flag" else None
            )
        if key.choices and node.value not in key.choices:
            hint = did_you_mean(node.value, key.choices)
            return self.wrong(
                f"must be one of {', '.join(key.choices)}, not `{visible(node.value)}`",
                node,
                path,
                hint=hint,
            )
        return self._sound_text(key, node, path)

    def _sound_text(self, key: Key, node: Node, path: Path) -> Any:
        text = node.value
        if len(text) > TEXT_LIMIT:
            return self.wrong(f"is longer than {TEXT_LIMIT} characters", node, path)
        if any((ord(c) < 32 and c not in "\t\n") or ord(c) == 127 for c in text):
            return self.wrong("holds a control character", node, path)
        must = broken_rule(key.rule, text) if key.rule else None
        if must:
            return self.wrong(
                f"cannot be `{visible(text)}`: it {must}"
                if must.startswith("must")
                else f"cannot be `{visible(text)}`",
                node,
                path,
                hint=None if must.startswith("must") else must,
            )
        if key.short:
            try:
                return key.short(text)
            except ValueError as error:
                return self.wrong(f"cannot be `{visible(text)}`: {error}", node, path)
        return text

    def _flag(self, _key: Key, node: Node, path: Path) -> Any:
        if node.kind == "flag":
            return node.value
        word = WORDS.get(str(node.value).lower()) if node.kind == "text" else None
        return self._type("true or false", node, path, f"write `{word}`" if word else None)

    def _integer(self, key: Key, node: Node, path: Path) -> Any:
        try:
            number = int(node.value, 10) if node.kind == "number" and len(node.value) < 20 else None
        except ValueError:
            number = None
        if number is None:
            quoted = node.kind == "text" and node.value.strip().isdigit()
            return self._type(
                "a whole number", node, path, "write it without quotes" if quoted else None
            )
        return self._bounded(key, number, node, path)

    def _number(self, key: Key, node: Node, path: Path) -> Any:
        try:
            number = float(node.value) if node.kind == "number" else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            return self._type("a number", node, path)
        whole = number.is_integer() and abs(number) < 1e15 and "." not in node.value
        return self._bounded(key, int(number) if whole else number, node, path)

    def _bounded(self, key: Key, number: float, node: Node, path: Path) -> Any:
        if (key.low is not None and number < key.low) or (
            key.high is not None and number > key.high
        ):
            return self.wrong(
                f"must lie between {key.low:g} and {key.high:g}, not {number:g}", node, path
            )
        return number

    def _list(self, key: Key, node: Node, path: Path) -> Any:
        assert key.item is not None  # noqa: S101 - every list of the table has one
        items = (
            node.value
            if node.kind == "list"
            else [node]
            if node.kind in {"text", "number"} and key.item.kind == "text"
            else None
        )
        if items is None:
            return self._type(
                "a list",
                node,
                path,
                "begin each entry with `- `" if node.kind == "mapping" else None,
            )
        found = []
        for number, item in enumerate(items):
            value = self.value(key.item, item, (*path, self._name(key, item, number)))
            if value is not WRONG:
                found.append(value)
        return found

    @staticmethod
    def _name(key: Key, item: Node, number: int) -> str:
        """How an entry is called in messages and places: by its name where it has one."""
        named = item.value.get(key.by) if key.by and item.kind == "mapping" else None
        return (
            named.value
            if isinstance(named, Node) and isinstance(named.value, str)
            else str(number + 1)
        )

    def _map(self, key: Key, node: Node, path: Path) -> Any:
        assert key.item is not None  # noqa: S101 - every map of the table has one
        if node.kind != "mapping":
            return self._type("a mapping of names to values", node, path)
        found = {
            name: self.value(key.item, item, (*path, name)) for name, item in node.value.items()
        }
        return {name: value for name, value in found.items() if value is not WRONG}

    def _section(self, key: Key, node: Node, path: Path) -> Any:
        if node.kind != "mapping":
            return self._type("a mapping of keys to values", node, path)
        found: dict[str, Any] = {}
        for name, item in node.value.items():
            if name not in key.keys:
                self._unknown(name, node.key_spots[name], key.keys, path)
                continue
            value = self.value(key.keys[name], item, (*path, name))
            if value is not WRONG:
                found[name] = value
        missing = [
            name for name, inner in key.keys.items() if inner.required and name not in node.value
        ]
        for name in missing:
            self.wrong("is missing", node, (*path, name), code="site-missing")
        usable = all(name in found for name, inner in key.keys.items() if inner.required)
        return found if usable else WRONG

    def _unknown(self, name: str, spot: Spot, known: Mapping[str, Key], path: Path) -> None:
        if name == "<<":
            self.wrong("is not read here: write the keys out", spot, (*path, name))
            return
        hint = did_you_mean(name, known, "docs/reference/site-config.md lists every key")
        full = ".".join((*path, name))
        self.findings.append(
            Finding(
                "warning",
                "site-unknown-key",
                f"`{visible(full)}` is not a key that is known here",
                spot,
                full,
                hint,
            )
        )
