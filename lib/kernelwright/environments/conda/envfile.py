"""environment.yml as people really write it: taken, refused by name with what to do, or noted.

Scalars are kept as the text that stands in the file, so that `yes`, `010` or `12:30:00` under
`variables:` and a name such as `3.10` stay what they are. Every refusal names its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ...errors import UserError
from . import foreign
from .pip_lines import check as check_pip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 1 << 20  # bytes of a file that a person has written
NODES = 20_000  # aliases can make a small file enormous
KNOWN = {"name", "channels", "dependencies", "variables", "prefix", "platforms"}
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
SELECTOR = re.compile(r"^\s*-\s+([^#]+?)\s+#\s*\[([^\]]+)\]")


@dataclass(frozen=True)
class EnvironmentFile:
    """What an environment.yml asks for; `notes` are for the person who gave it."""

    name: str | None = None
    channels: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def read(data: bytes, *, source: str, beside: Path | None = None) -> EnvironmentFile:
    """Read the bytes of an environment file; `beside` is the folder from which its paths count, if it is there.

    Raises UserError `environment-file-refused` (another kind of file) or `environment-file-invalid`.
    """
    if len(data) > LIMIT:
        raise UserError(
            "environment-file-refused",
            f"`{source}` has more than {LIMIT >> 20} MB and is no environment file",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            "environment-file-invalid",
            f"line {line} of `{source}` is not UTF-8 text",
            hint="save the file as UTF-8",
        ) from None
    foreign.refuse_by_text(text, source)
    return _Reader(source, text, beside).read()


class _Reader:
    """One file; collects notes while it walks the nodes that YAML gives, which know their lines."""

    def __init__(self, source: str, text: str, beside: Path | None) -> None:
        self.source = source
        self.text = text
        self.beside = beside
        self.notes: list[str] = []
        self.seen = 0

    def read(self) -> EnvironmentFile:
        top = self._compose()
        foreign.refuse_by_keys({k.value for k, _ in top}, self.source)
        found = {key.value: value for key, value in self._unique(top)}
        self.notes += [
            f"line {n}: `{pkg}` is asked for: to YAML the selector `# [{what}]` is only a comment"
            for n, pkg, what in self._selectors()
        ]
        dependencies, pip = self._dependencies(found.get("dependencies"))
        channels = self._channels(found.get("channels"))
        self._say_ignored(found)
        name = found.get("name")
        return EnvironmentFile(
            name=name.value
            if name is not None and self._is_text(name) and name.value.strip()
            else None,
            channels=channels,
            dependencies=tuple(dependencies),
            pip=tuple(pip),
            variables=tuple(self._variables(found.get("variables"))),
            notes=tuple(self.notes),
        )

    def _compose(self) -> list[Any]:
        """The pairs of the top mapping."""
        import yaml

        try:
            node = yaml.compose(self.text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            rows = self.text.splitlines()
            if "\t" in "".join(rows[line - 1 : line + 1]):
                self._fail(line, "holds a tab, which YAML does not take", "replace it by spaces")
            self._fail(
                line,
                f"is not YAML: {getattr(error, 'problem', None) or error}",
                "look at the indentation of that line and the one above",
            )
        except RecursionError:
            self._fail(1, "is nested too deeply", "write a plain environment.yml")
        if not isinstance(node, yaml.MappingNode):
            raise foreign.not_an_environment(self.text, self.source)
        return list(node.value)

    def _unique(self, pairs: list[Any]) -> Iterator[tuple[Any, Any]]:
        """The pairs of a mapping with duplicates noted: the last one wins, as in conda."""
        last: dict[str, tuple[Any, Any]] = {}
        for key, value in pairs:
            text = str(key.value)
            if text in last:
                self.notes.append(
                    f"line {_line(key)}: `{text}` is there twice; the last one counts"
                )
            last[text] = (key, value)
        yield from last.values()

    def _selectors(self) -> Iterator[tuple[int, str, str]]:
        for number, row in enumerate(self.text.splitlines(), 1):
            if found := SELECTOR.match(row):
                yield number, found[1].strip("'\""), found[2]

    def _channels(self, node: Any) -> tuple[str, ...]:
        items = self._items(node, "channels")
        for item in items:
            if not self._is_text(item):
                self._fail(
                    _line(item),
                    "is not the name or address of a channel",
                    "write one channel a line: `- conda-forge`",
                )
        return tuple(item.value.strip() for item in items if item.value.strip())

    def _items(self, node: Any, key: str) -> list[Any]:
        if node is None or (self._is_text(node) and node.value in {"", "~", "null"}):
            return []
        if self._is_text(node):
            return [node]
        if not isinstance(node.value, list) or node.id != "sequence":
            self._fail(
                _line(node), f"`{key}` must be a list", "write one entry a line, each after `- `"
            )
        self.seen += len(node.value)
        if self.seen > NODES:
            self._fail(_line(node), "asks for too many packages", "write a plain list")
        return list(node.value)

    def _dependencies(self, node: Any) -> tuple[list[str], list[str]]:
        specs: list[str] = []
        pip: list[str] = []
        for item in self._items(node, "dependencies"):
            if self._is_text(item):
                specs += self._spec(item)
            elif item.id == "mapping":
                pip += self._pip_map(item)
            else:
                self._fail(
                    _line(item), "is a list inside the list of packages", "write one package a line"
                )
        return specs, pip

    def _spec(self, item: Any) -> list[str]:
        text = item.value.strip()
        if NUMBER.fullmatch(text):
            self._fail(
                _line(item),
                f"asks for the number {text}",
                "write the package's name too, for example `python=3.10`",
            )
        if text.startswith("-"):
            self._fail(
                _line(item),
                f"holds the option `{text[:60]}`",
                "options of pip stand below `- pip:`",
            )
        if not text or text in {"~", "null"}:
            self.notes.append(f"line {_line(item)}: an empty entry is left out")
            return []
        return [text]

    def _pip_map(self, item: Any) -> list[str]:
        lines: list[str] = []
        for key, value in self._unique(item.value):
            if key.value == "prefix":
                self._fail(
                    _line(key),
                    "holds `prefix:` below `pip:`",
                    "remove that line: it names a folder of the machine where the file was written",
                )
            if str(key.value).startswith("sel("):
                self._fail(
                    _line(key),
                    f"holds `{key.value}:`, a condition of another tool",
                    f"write the packages for {foreign.HERE} as plain entries",
                )
            if key.value != "pip":
                said = f"={value.value}" if self._is_text(value) else ""
                self._fail(
                    _line(key),
                    f"holds `{key.value}:` in the list of packages",
                    f"write `- {key.value}{said}` for a package; only `pip:` may stand there",
                )
            for line in self._items(value, "pip"):
                if not self._is_text(line):
                    self._fail(_line(line), "is not a requirement", "write one requirement a line")
                lines += check_pip(
                    line.value.strip(), source=self.source, line=_line(line), beside=self.beside
                )
        return lines

    def _variables(self, node: Any) -> Iterator[tuple[str, str]]:
        if node is None or (self._is_text(node) and node.value in {"", "~", "null"}):
            return
        if node.id != "mapping":
            self._fail(
                _line(node), "`variables` must be a mapping", "write `NAME: value`, one a line"
            )
        for key, value in self._unique(node.value):
            if not self._is_text(value) or not re.fullmatch(
                r"[A-Za-z_][A-Za-z0-9_]*", str(key.value)
            ):
                self._fail(
                    _line(key),
                    f"sets `{str(key.value)[:60]}`, which is no variable with a text",
                    "write `NAME: value`",
                )
            yield key.value, "" if value.value == "null" and not value.style else value.value

    def _say_ignored(self, found: dict[str, Any]) -> None:
        if "prefix" in found:
            self.notes.append(
                "`prefix:` is ignored: the environment lies where kernelwright keeps it"
            )
        if "platforms" in found:
            self.notes.append(
                f"`platforms:` is ignored: the environment is made for {foreign.HERE}"
            )
        for key in found.keys() - KNOWN:
            self.notes.append(f"`{key[:60]}:` is not a key of environment files and is ignored")

    @staticmethod
    def _is_text(node: Any) -> bool:
        return bool(node.id == "scalar")

    def _fail(self, line: int, what: str, hint: str) -> NoReturn:
        raise UserError(
            "environment-file-invalid", f"line {line} of `{self.source}` {what}", hint=hint
        )


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
