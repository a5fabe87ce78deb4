"""The lines of a pip section: requirements and the options that may stand among them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...errors import UserError

# option: whether it takes a value
OPTIONS = {
    "--index-url": True, "-i": True, "--extra-index-url": True, "--find-links": True, "-f": True,
    "--no-index": False, "--pre": False, "--prefer-binary": False, "--no-binary": True, "--only-binary": True,
    "--trusted-host": True,
}  # fmt: skip
FILE = re.compile(r"(-r|-c|-e|--requirement|--constraint|--editable)(?:=|\s+|(?<=^-[rce]))(.+)")
LOCAL = re.compile(r"\.{0,2}/|~/|file:|\.$|[^\s@:]+\.(?:whl|tar\.gz|zip)$")


def check(text: str, *, source: str, line: int | None, beside: Path | None) -> list[str]:
    """The line as it is used, files by their full paths; [] for an empty one.

    `beside` is the folder of the environment file, or None when it came without its neighbours.
    Raises `environment-file-invalid`.
    """
    text = re.sub(r"\s+#.*$", "", text).strip()
    if not text or text.startswith("#"):
        return []
    if found := FILE.fullmatch(text):
        return [f"{found[1]} {_path(found[2].strip(), source, line, beside)}"]
    word, _, rest = (
        text.replace("=", " ", 1).partition(" ") if text.startswith("--") else text.partition(" ")
    )
    if word.startswith("-"):
        if word not in OPTIONS:
            raise _invalid(
                source,
                line,
                f"holds the option `{word[:60]}`, which is not taken",
                f"these are: {', '.join(OPTIONS)}",
            )
        if OPTIONS[word] and not rest.strip():
            raise _invalid(source, line, f"gives no value for `{word}`", f"write `{word} VALUE`")
        return [f"{word} {rest.strip()}".strip()]
    if LOCAL.match(text):
        return [_path(text, source, line, beside)]
    if beside is None and re.search(r"@\s*file:", text):
        raise _absent(source, line, text)
    if re.fullmatch(r"[+-]?\d+(\.\d*)?", text):
        raise _invalid(source, line, f"asks for the number {text}", "write the package's name too")
    return [text]


def _path(text: str, source: str, line: int | None, beside: Path | None) -> str:
    """A file or folder of a line (extras may follow it) by its full path; addresses stay as they are."""
    if "://" in text and not text.startswith("file:"):
        return text
    path, extras = re.fullmatch(r"(.*?)((?:\[[^\]]*\])?)", text).groups()  # type: ignore[union-attr] # it matches everything
    if beside is None:
        raise _absent(source, line, text)
    if path.startswith("file:"):
        return text
    full = Path(os.path.normpath(beside / os.path.expanduser(path)))
    if not os.path.exists(full):
        raise _invalid(
            source,
            line,
            f"names `{path[:80]}`, but `{full}` does not exist",
            "correct the path: it counts from the folder of the environment file",
        )
    return f"{full}{extras}"


def _absent(source: str, line: int | None, text: str) -> UserError:
    return _invalid(
        source,
        line,
        f"names a file or folder (`{text[:80]}`) that has not come along",
        "write the requirements themselves into the file",
    )


def options(lines: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Split the lines into (options, requirements); both keep their order."""
    return [x for x in lines if x.startswith("-") and x.split()[0] in OPTIONS], [
        x for x in lines if not (x.startswith("-") and x.split()[0] in OPTIONS)
    ]


def _invalid(source: str, number: int | None, what: str, hint: str) -> UserError:
    place = f"line {number} of `{source}`" if number else f"`{source}`"
    return UserError("environment-file-invalid", f"{place} {what}", hint=hint)
