"""Typed access to somebody's mapping: each wrong value is named with its path and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import UserError, did_you_mean
from .names import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

YES = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
NOTHING = {None, "", "null", "~"}
TEXT_LIMIT = 10_000  # characters of one value; longer ones are a mistake or an attack


@dataclass
class Reader:
    """One mapping of the recipe; `done()` at the end refuses the keys that nobody asked for."""

    data: Mapping[str, Any]
    source: str
    path: tuple[str, ...] = ()
    line_of: Callable[[tuple[str, ...]], int | None] = lambda _: None
    asked: set[str] = field(default_factory=set)

    def fail(self, message: str, *, key: str | None = None, hint: str | None = None) -> NoReturn:
        """Raise `invalid-recipe` for this mapping or for one of its keys."""
        path = (*self.path, key) if key is not None else self.path
        line = self.line_of(path)
        where = self.source if line is None else f"{self.source}:{line}"
        what = ".".join(path) or "the recipe"
        raise UserError(
            "invalid-recipe",
            f"`{visible(what)}` {message}",
            context={"recipe": where},
            hint=hint or "docs/reference/recipe.md lists every key",
        )

    def raw(self, key: str) -> Any:
        """The value as it is; None where the key is missing or empty."""
        self.asked.add(key)
        value = self.data.get(key)
        return None if isinstance(value, str | None) and value in NOTHING else value

    def text(self, key: str) -> str | None:
        """A scalar as text; control characters other than tab are refused."""
        value = self.raw(key)
        return None if value is None else self.as_text(value, key)

    def as_text(self, value: Any, key: str) -> str:
        """A scalar as the text that stood in the file."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str | int | float):
            self.fail("must be a text", key=key)
        text = str(value)
        if len(text) > TEXT_LIMIT:
            self.fail(f"is longer than {TEXT_LIMIT} characters", key=key)
        if any(
            (ord(c) < 32 and c != "\t") or 0xD800 <= ord(c) < 0xE000 or ord(c) == 127 for c in text
        ):
            self.fail("holds a line end or another control character", key=key)
        return text

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text alone counts as a list of one."""
        value = self.raw(key)
        if value is None:
            return ()
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list | tuple):
            self.fail("must be a list", key=key)
        return tuple(self.as_text(item, key) for item in value if item not in (None, ""))

    def pairs(self, key: str, valid: Callable[[str], bool]) -> dict[str, str]:
        """A mapping of names to texts; values keep the text of the file (`yes`, `010`, `12:30`)."""
        self.asked.add(key)
        value = self.data.get(key)
        if value in NOTHING if isinstance(value, str | None) else False:
            return {}
        if not isinstance(value, dict):
            self.fail("must be a mapping of names to texts", key=key)
        for name in value:
            if not (isinstance(name, str) and valid(name)):
                self.fail(f"holds `{visible(str(name))}`, which is no variable name", key=key)
        return {n: "" if v is None else self.as_text(v, key) for n, v in value.items()}

    def flag(self, key: str) -> bool:
        """True or false; false where the key is missing."""
        value = self.raw(key)
        if value is None:
            return False
        known = YES.get(str(value).lower())
        if known is None:
            self.fail("must be true or false", key=key)
        return known

    def number(self, key: str, *, low: int = 1, high: int = 1_000_000) -> int | None:
        """A whole number within bounds."""
        value = self.raw(key)
        if value is None:
            return None
        try:
            number = int(str(value))
        except ValueError:
            self.fail(f"must be a whole number, not `{visible(str(value))}`", key=key)
        if not low <= number <= high:
            self.fail(f"must lie between {low} and {high}", key=key)
        return number

    def choice(self, key: str, choices: Iterable[str]) -> str | None:
        """One of a closed set."""
        value = self.text(key)
        if value is not None and value not in set(choices):
            self.fail(
                f"must be one of {', '.join(sorted(choices))}, not `{visible(value)}`", key=key
            )
        return value

    def section(self, key: str) -> Reader:
        """The mapping below `key`; an empty one where it is missing."""
        value = self.raw(key)
        if value is not None and not isinstance(value, dict):
            self.fail("must be a mapping", key=key)
        return Reader(value or {}, self.source, (*self.path, key), self.line_of)

    def done(self) -> None:
        """Refuse unknown keys, with the nearest known one."""
        for key in self.data:
            if key not in self.asked:
                hint = did_you_mean(str(key), self.asked)
                self.fail("is not a key of a recipe", key=str(key), hint=hint)
