"""What a key of the site's files may hold: the one description from which all else is made.

`keys.TABLE` is written in these words. Validation (check.py), defaults (decode.py), the commented
example, the JSON Schema and the reference page (render.py) read it; none has a list of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["text", "flag", "integer", "number", "list", "map", "section", "free"]


@dataclass(frozen=True)
class Key:
    """One key: `item` is for lists and maps, `keys` for sections, `make` the class of a section.

    A text with `keys` may also be written as a mapping (a bind, an option with a label); `short` makes
    the mapping of the text and raises ValueError for a wrong one.
    A list with `by` is a list of sections of which `by` is the name: later files replace or add entries.
    """

    kind: Kind
    help: str = ""
    default: Any = None
    example: str | None = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    rule: str | None = None
    nullable: bool = False
    required: bool = False
    item: Key | None = None
    keys: Mapping[str, Key] = field(default_factory=dict)
    make: Callable[..., Any] | None = None
    by: str | None = None
    short: Callable[[str], dict[str, Any]] | None = None

    @property
    def may_be_null(self) -> bool:
        """Whether `null` is an answer: where nothing is the default, or where it is said so."""
        return self.nullable or (
            self.default is None and not self.required and self.kind != "section"
        )


def text(help_: str, default: str | None = None, **more: Any) -> Key:
    """A text; numbers are taken as they stand in the file, so that 3.10 stays 3.10."""
    return Key("text", help_, default, **more)


def flag(help_: str, default: bool = False, **more: Any) -> Key:
    """true or false."""
    return Key("flag", help_, default, **more)


def integer(
    help_: str, default: int | None = None, low: float = 0, high: float = 1_000_000, **more: Any
) -> Key:
    """A whole number within bounds."""
    return Key("integer", help_, default, low=low, high=high, **more)


def choice(help_: str, default: str | None, *choices: str, **more: Any) -> Key:
    """One of a closed set of texts."""
    return Key("text", help_, default, choices=choices, **more)


def texts(
    help_: str, default: tuple[str, ...] = (), *, item: Key | None = None, **more: Any
) -> Key:
    """A list of texts; one text alone counts as a list of one."""
    return Key("list", help_, default, item=item or Key("text"), **more)


def mapping(help_: str, item: Key, **more: Any) -> Key:
    """Names of the site's choice to values of one kind."""
    return Key("map", help_, {}, item=item, **more)


def section(help_: str, make: Callable[..., Any] | None = None, /, **keys: Key) -> Key:
    """A mapping with known keys."""
    return Key("section", help_, keys=keys, make=make)


def entries(help_: str, keys: Mapping[str, Key], *, by: str | None = None, **more: Any) -> Key:
    """A list of mappings that all have the same keys."""
    return Key("list", help_, (), item=Key("section", keys=keys), by=by, **more)
