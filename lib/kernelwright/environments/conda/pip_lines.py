"""The lines of a pip section: requirements and the options that may stand among them."""

from __future__ import annotations

import re

from ...errors import UserError

# option: whether it takes a value
OPTIONS = {
    "--index-url": True, "-i": True, "--extra-index-url": True, "--find-links": True, "-f": True,
    "--no-index": False, "--pre": False, "--prefer-binary": False, "--no-binary": True, "--only-binary": True,
    "--trusted-host": True,
}  # fmt: skip
FILES = {"-r", "--requirement", "-c", "--constraint", "-e", "--editable"}


def check(text: str, *, source: str, line: int | None, alone: bool) -> list[str]:
    """The line as it is used; [] for an empty one. Raises `environment-file-invalid`."""
    text = re.sub(r"\s+#.*$", "", text).strip()
    if not text or text.startswith("#"):
        return []
    word, _, rest = (
        text.replace("=", " ", 1).partition(" ") if text.startswith("--") else text.partition(" ")
    )
    if word in FILES or (text.startswith(("-r", "-e", "-c")) and not text.startswith("--")):
        if alone:
            raise _invalid(
                source,
                line,
                f"names another file (`{text[:80]}`) that has not come along",
                "write the requirements themselves, or make the kernel in a shell beside these files",
            )
        return [text]
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
    if alone and re.match(r"\.{0,2}/|file:(?!//)|file://|.*@\s*file:", text):
        raise _invalid(
            source,
            line,
            f"names a file or folder (`{text[:80]}`) that has not come along",
            "put it where it can be downloaded, or make the kernel in a shell beside it",
        )
    if re.fullmatch(r"[+-]?\d+(\.\d*)?", text):
        raise _invalid(source, line, f"asks for the number {text}", "write the package's name too")
    return [text]


def options(lines: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Split the lines into (options, requirements); both keep their order."""
    return [x for x in lines if x.startswith("-") and x.split()[0] in OPTIONS], [
        x for x in lines if not (x.startswith("-") and x.split()[0] in OPTIONS)
    ]


def _invalid(source: str, number: int | None, what: str, hint: str) -> UserError:
    place = f"line {number} of `{source}`" if number else f"`{source}`"
    return UserError("environment-file-invalid", f"{place} {what}", hint=hint)
