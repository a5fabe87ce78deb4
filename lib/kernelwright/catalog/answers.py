"""Answers to a template's questions: from what people typed to values of the right type.

Answers come from a form without checks on the server, from a relaunched card, or from a shell: each is
checked again here, and stays data whatever it holds.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..recipe.names import visible
from ..recipe.parse import MODULE, SLURM_WORD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

YES = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
    "": False,
}
LIST_LIMIT = 100


class AnswerError(UserError):
    """An answer that cannot be used; the form and the command line say which question it was."""

    def __init__(self, parameter: Mapping[str, Any], why: str) -> None:
        help_ = parameter.get("help")
        example = parameter.get("example")
        super().__init__(
            "template-answer",
            f"{parameter['label']} {why}",
            context={"answer to": str(parameter["name"])},
            hint=help_ or (f"for example {example}" if example else None),
        )


def checked(parameter: Mapping[str, Any], given: Any) -> Any:
    """The value of one answer; None for an optional one that was left empty. Raises AnswerError."""
    if given is None or (isinstance(given, str) and not given.strip()):
        given = parameter.get("default")
    if given is None or given in ("", []):
        if parameter["type"] in {"list", "modules"}:
            return []
        if parameter["type"] == "bool":
            return False
        if parameter.get("required"):
            raise AnswerError(parameter, "needs an answer")
        return None
    return _READERS[parameter["type"]](parameter, given)


def _text(parameter: Mapping[str, Any], given: Any) -> str:
    text = _line(parameter, given)
    options = [str(option["value"]) for option in parameter.get("options") or ()]
    if options and text not in options:
        raise AnswerError(
            parameter, f"must be one of {', '.join(options[:20])}, not `{visible(text)}`"
        )
    if parameter.get("pattern") and not re.fullmatch(parameter["pattern"], text):
        raise AnswerError(parameter, f"cannot be `{visible(text)}`")
    return text


def _line(parameter: Mapping[str, Any], given: Any) -> str:
    if isinstance(given, bool):
        return "true" if given else "false"
    if not isinstance(given, str | int | float):
        raise AnswerError(parameter, "must be one text")
    text = str(given).strip()
    limit = int(parameter.get("max_length") or 200)
    if len(text) > limit:
        raise AnswerError(parameter, f"is longer than {limit} characters")
    if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in text):
        raise AnswerError(parameter, "holds a line end or another control character")
    return text


def _word(parameter: Mapping[str, Any], given: Any) -> str:
    text = _text(parameter, given)
    if not SLURM_WORD.fullmatch(text):
        raise AnswerError(parameter, f"cannot be `{visible(text)}`")
    return text


def _bool(parameter: Mapping[str, Any], given: Any) -> bool:
    found = YES.get(str(given).strip().lower())
    if found is None:
        raise AnswerError(parameter, f"must be yes or no, not `{visible(str(given))}`")
    return found


def _number(parameter: Mapping[str, Any], given: Any) -> float:
    text = str(given).strip()
    plain = not isinstance(given, bool) and re.fullmatch(
        r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", text, re.ASCII
    )
    number = float(text) if plain else math.nan
    if not math.isfinite(number):
        raise AnswerError(parameter, f"must be a number, not `{visible(str(given))}`")
    low, high = parameter.get("min"), parameter.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        raise AnswerError(parameter, f"must {_bounds(low, high)}, not {number:g}")
    fraction = any(isinstance(parameter.get(key), float) for key in ("min", "max", "default"))
    if not number.is_integer() and not fraction:
        raise AnswerError(parameter, f"must be a whole number, not {number:g}")
    return int(number) if number.is_integer() else number


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return f"be at most {high:g}"
    return f"be at least {low:g}" if high is None else f"lie between {low:g} and {high:g}"


def _list(parameter: Mapping[str, Any], given: Any) -> list[str]:
    """A list, or a text in which lines, commas and blanks part the items."""
    items: Sequence[Any] = (
        given if isinstance(given, list | tuple) else re.split(r"[\s,]+", str(given))
    )
    if len(items) > LIST_LIMIT or len(str(given)) > 10_000:
        raise AnswerError(parameter, f"has more than {LIST_LIMIT} items")
    return [_text(parameter, item) for item in items if item not in (None, "")]


def _modules(parameter: Mapping[str, Any], given: Any) -> list[str]:
    found = _list(parameter, given)
    for name in found:
        if not MODULE.fullmatch(name):
            raise AnswerError(parameter, f"cannot hold `{visible(name)}`, which is no module name")
    return found


_READERS = {
    "text": _text,
    "choice": _text,
    "bool": _bool,
    "number": _number,
    "list": _list,
    "modules": _modules,
    "partition": _word,
    "account": _word,
    "gpu": _word,
}
