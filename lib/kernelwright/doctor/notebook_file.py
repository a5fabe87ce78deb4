"""What a notebook says about its kernel: its metadata, and what its cells import.

Whatever the file holds, the answer comes in bounded time; nothing of it is run.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..discovery.kernelspec_file import read_bytes
from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 256 << 20  # bytes of a notebook
CELL_LIMIT = 1 << 18  # characters of a cell that are looked at
MOST_CELLS = 5000
MOST_IMPORTS = 100
# cells that begin with another magic are no Python of this kernel: %%bash, %%html, %%writefile ...
PYTHON_CELLS = frozenset({"capture", "cython", "memit", "prun", "time", "timeit"})
QUOTED = re.compile(r"(\"\"\"|''').*?(?:\1|\Z)", re.DOTALL)
IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([\w.][\w., \t]*)", re.MULTILINE)
LIBRARY = re.compile(
    r"^[^#\n]*?\b(?:library|require|requireNamespace|loadNamespace)\([ \t]*[\"']?([A-Za-z][\w.]*)",
    re.MULTILINE,
)
R_OWN = frozenset(
    {"base", "compiler", "datasets", "graphics", "grDevices", "grid", "methods", "parallel", "splines", "stats", "stats4",
     "tcltk", "tools", "utils"}
)  # fmt: skip
# files that are often called a notebook but are something else: (how they begin, what they are)
OTHERS = (
    (rb"version https://git-lfs", "it is a pointer of Git LFS, `git lfs pull` fetches the notebook"),
    (rb"\s*<(?:!doctype|html)", "it is a web page"),
    (rb"(?s).*?^<<<<<<< ", "it holds an unresolved merge conflict of Git"),
    (rb"\s*$", "it is empty"),
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What a notebook says about its kernel, and what its cells import.

    `name` is empty where it names no kernel; `guessed` says that the language is known by the cells alone.
    """

    path: str
    name: str
    title: str
    language: str
    version: str | None
    imports: tuple[str, ...]
    guessed: bool = False


def read_notebook(path: str) -> Wanted:
    """The kernel that a notebook asks for. Raises UserError `notebook-unreadable`."""
    document = _document(path)
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(metadata, dict):
        raise _unreadable(path, "it has no metadata")
    spec, info = _mapping(metadata, "kernelspec"), _mapping(metadata, "language_info")
    cells = list(_code_cells(document))
    said = _text(spec, "language") or _text(info, "name")
    language = (said or _spoken(cells)).lower()
    return Wanted(
        path,
        _text(spec, "name"),
        _text(spec, "display_name"),
        language,
        _text(info, "version") or None,
        tuple(_imports(cells, language, os.path.dirname(path) or ".")),
        guessed=not said,
    )


def _document(path: str) -> Any:
    data = b""
    try:
        data = read_bytes(path, LIMIT + 1)
        if len(data) > LIMIT:
            raise _unreadable(path, f"it is larger than {LIMIT >> 20} MB")
        return json.loads(data)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except RecursionError as error:
        raise _unreadable(path, "it is nested too deeply") from error
    except ValueError as error:
        head = data[: 1 << 20]
        other = next(
            (w for p, w in OTHERS if re.match(p, head, re.IGNORECASE | re.MULTILINE)), None
        )
        raise _unreadable(path, other or _fault(error)) from error


def _fault(error: ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    line = getattr(error, "lineno", None)
    return f"it is not JSON (line {line})" if line else "it is not JSON"


def _unreadable(path: str, why: str) -> UserError:
    return UserError("notebook-unreadable", f"`{path}` cannot be read as a notebook: {why}")


def _mapping(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: dict[str, Any], key: str) -> str:
    """One printable line; whoever wrote the notebook does not write our output."""
    found = value.get(key)
    if not isinstance(found, str):
        return ""
    return "".join(c if c.isprintable() else "\ufffd" for c in found[:200])


def _code_cells(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(language, source) of the code cells; format 3 has them in worksheets, as `input` with a language each."""
    sheets = document.get("worksheets")
    count = 0
    for holder in (document, *(sheets if isinstance(sheets, list) else ())):
        cells = holder.get("cells") if isinstance(holder, dict) else None
        for cell in cells if isinstance(cells, list) else ():
            if not isinstance(cell, dict) or cell.get("cell_type") != "code":
                continue
            count += 1
            if count > MOST_CELLS:
                return
            source = cell.get("source", cell.get("input"))
            lines = source if isinstance(source, list) else [source]
            text = "".join(line for line in lines if isinstance(line, str))[:CELL_LIMIT]
            yield _text(cell, "language").lower(), text


def _spoken(cells: list[tuple[str, str]]) -> str:
    """The language of a notebook that does not say it."""
    named = next((language for language, _ in cells if language), "")
    if named:
        return named
    texts = [text for _, text in cells]
    if any(LIBRARY.search(text) for text in texts) and not any(IMPORT.search(t) for t in texts):
        return "r"
    return "python"


def _imports(cells: list[tuple[str, str]], language: str, folder: str) -> list[str]:
    """The packages that the cells name, without the language's own and without files beside the notebook."""
    finder, own = {
        "python": (_python_names, sys.stdlib_module_names),
        "r": (_r_names, R_OWN),
    }.get(language, (lambda _text: iter(()), frozenset()))
    found: dict[str, None] = {}
    for _, text in cells:
        for name in finder(text):
            if name not in own and name not in found and not _beside(folder, name):
                found[name] = None
            if len(found) == MOST_IMPORTS:
                return list(found)
    return list(found)


def _beside(folder: str, name: str) -> bool:
    return os.path.exists(os.path.join(folder, f"{name}.py")) or os.path.isfile(
        os.path.join(folder, name, "__init__.py")
    )


def _python_names(text: str) -> Iterator[str]:
    magic = re.match(r"\s*%%(\w+)", text)
    if magic and magic[1] not in PYTHON_CELLS:
        return
    if re.search(r"^[ \t]*%matplotlib\b", text, re.MULTILINE):
        yield "matplotlib"
    text = QUOTED.sub("''", text).replace(";", "\n")
    for line in IMPORT.findall(text):
        for name in re.split(r"\simport\s", line)[0].split(","):
            first = name.strip().partition(" ")[0].partition(".")[0]
            if re.fullmatch(r"[A-Za-z_]\w*", first):
                yield first


def _r_names(text: str) -> Iterator[str]:
    if not re.match(r"\s*%%", text):
        yield from LIBRARY.findall(text.replace(";", "\n"))
