"""Add entries to a list of a YAML file without touching anything else that stands in it.

ruamel.yaml finds the place, the text is put in there: writing a loaded file anew moves comments, and with
a list in flow style in front it once wrote what nobody could read again.
"""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..store.atomic import explained, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence


def add_entries(file: str, section: str, entries: Sequence[dict[str, Any]], *, note: str) -> None:
    """Append to the list `section` of `file`, which is made where it is missing. Raises `site-not-added`."""
    try:
        with open(file, encoding="utf-8") as stream:
            old = stream.read()
    except FileNotFoundError:
        old = ""
    except (OSError, UnicodeDecodeError) as error:
        raise _refusal(file, "it cannot be read") from error
    before, after, indent = _place(old, section, file)
    if not before.strip():
        before = f"# {note}\n{before}"
    added = textwrap.indent(_dump(list(entries)), " " * indent)
    text = f"{before}{added}{after}"
    if not _holds(text, section, entries):
        raise _refusal(file, f"there is no safe place for them below `{section}`")
    with explained(Path(file)):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(file), text, 0o644)


def _place(text: str, section: str, file: str) -> tuple[str, str, int]:
    """The text before and after the place for new entries, and the column of their dashes."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        top = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise _refusal(file, "it is broken") from error
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    key, found = None, None
    if top is not None:
        if type(top).__name__ != "MappingNode" or top.flow_style:
            raise _refusal(file, "it is no mapping of lines")
        pair = next(((key, value) for key, value in top.value if key.value == section), None)
        key, found = pair or (None, None)
    if found is None:
        return "".join([*lines, f"{section}:\n"]), "", 2
    if type(found).__name__ == "ScalarNode" and not found.value:
        assert key is not None  # noqa: S101 - found with its value
        line = key.end_mark.line + 1  # an empty value has no place of its own
        return "".join(lines[:line]), "".join(lines[line:]), 2
    if type(found).__name__ != "SequenceNode" or found.flow_style or not found.value:
        raise _refusal(file, f"its `{section}` is not a list of lines that begin with `- `")
    line = _last_line(found) + 1
    first = found.value[0].start_mark
    return (
        "".join(lines[:line]),
        "".join(lines[line:]),
        lines[first.line][: first.column].rindex("-"),
    )


def _last_line(node: Any) -> int:
    """The last line on which something of `node` stands; comments behind it do not count."""
    if type(node).__name__ != "ScalarNode" and node.value and not node.flow_style:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    end = node.end_mark
    return int(end.line if end.column else max(end.line - 1, node.start_mark.line))


def _dump(entries: list[dict[str, Any]]) -> str:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 4096
    text = io.StringIO()
    yaml.dump(entries, text)
    return text.getvalue()


def _holds(text: str, section: str, entries: Sequence[dict[str, Any]]) -> bool:
    """Whether `text` can be read again and ends its list with the entries."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError):
        return False
    return bool(data[section][-len(entries) :] == list(entries))


def _refusal(file: str, why: str) -> UserError:
    return UserError(
        "site-not-added",
        f"nothing was added to `{file}`: {why}",
        hint="name another file with --output, or look at it with `kernelwright site check`",
    )
