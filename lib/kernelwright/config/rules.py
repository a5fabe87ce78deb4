"""What a text of the site's files must look like, by the name of the rule.

Each rule returns None for a good text, else how a good one looks ("must be ...").
"""

from __future__ import annotations

import ipaddress
import re
from datetime import date
from typing import TYPE_CHECKING

from ..errors import UserError
from ..recipe.names import check_name, check_title
from ..recipe.parse import MODULE, SLURM_FEATURES, SLURM_TIME, SLURM_WORD, VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY = re.compile(r"[0-9]+[KMGTkmgt]?B?")
SIZE = re.compile(r"[0-9]+(\.[0-9]+)?\s?[KMGT]?i?B?", re.IGNORECASE)
PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
URL = re.compile(r"(https?|file|oci)://[^\s/]*(/[^\s]*)?")
CHANNEL = re.compile(r"(https?|file|oci)://\S+|[A-Za-z0-9_./-]+|/\S+")


def broken_rule(rule: str, text: str) -> str | None:
    """What is wrong with `text` by the rule called `rule`; None when nothing is."""
    return RULES[rule](text)


def _pattern(expression: re.Pattern[str], must: str) -> Callable[[str], str | None]:
    return lambda text: None if expression.fullmatch(text) else must


def _folder(text: str) -> str | None:
    return None if text.startswith("/") else "must be an absolute path"


def _place(text: str) -> str | None:
    """A path in which {user}, {home} and {group} are filled in, and $NAME by the user's environment."""
    unknown = [
        name for name in re.findall(r"\{([^}]*)\}", text) if name not in {"user", "home", "group"}
    ]
    if unknown:
        return f"must use only {{user}}, {{home}} and {{group}}, not {{{unknown[0]}}}"
    return None if text.startswith(("/", "~", "{home}", "$")) else "must be an absolute path"


def _word(text: str) -> str | None:
    good = (
        text
        and not text.startswith("-")
        and not any(c.isspace() or c in "'\"`;&|<>()$" for c in text)
    )
    return None if good else "must be one word without shell characters"


def _ports(text: str) -> str | None:
    match = PORTS.fullmatch(text)
    good = match and 1024 <= int(match[1]) <= int(match[2]) <= 65535
    return None if good else "must be a range such as 50000-50100 between 1024 and 65535"


def _network(text: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return "must be a network such as 10.1.0.0/16, without host bits"
    return None


def _date(text: str) -> str | None:
    try:
        date.fromisoformat(text)
    except ValueError:
        return "must be a day such as 2027-06-30"
    return None if len(text) == 10 else "must be a day such as 2027-06-30"


def _regex(text: str) -> str | None:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        return f"must be a regular expression: {error}"
    return None


def _user_error(check: Callable[[str], str]) -> Callable[[str], str | None]:
    def rule(text: str) -> str | None:
        try:
            check(text)
        except UserError as error:
            return error.hint or error.message
        return None

    return rule


RULES: dict[str, Callable[[str], str | None]] = {
    "folder": _folder,
    "place": _place,
    "word": _word,
    "ports": _ports,
    "network": _network,
    "date": _date,
    "pattern": _regex,
    "kernel-name": _user_error(check_name),
    "title": _user_error(check_title),
    "module": _pattern(MODULE, "must be a module name such as gcc/12"),
    "slurm-word": _pattern(SLURM_WORD, "must be one word as Slurm writes it"),
    "slurm-features": _pattern(SLURM_FEATURES, "must be features as Slurm writes them"),
    "memory": _pattern(MEMORY, "must be a memory size as Slurm writes it, such as 8G"),
    "time": _pattern(SLURM_TIME, 'must be a time such as "01:30:00" or 1-12'),
    "variable": _pattern(VARIABLE, "must be a variable name"),
    "size": _pattern(SIZE, "must be a size such as 20G"),
    "url": _pattern(URL, "must be a URL"),
    "channel": _pattern(CHANNEL, "must be a channel name or URL"),
}
