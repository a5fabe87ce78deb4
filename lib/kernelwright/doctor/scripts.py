"""Checks of start scripts by their text alone: an unknown script is never run to see what it does.

Each rule is a shape that people really have (108 kernels, 48 scripts were looked at) and what it
does when Jupyter starts it; tests/doctor/test_scripts.py starts one of each for real.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import Problem
from .subject import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .subject import Subject

_ARGUMENTS = re.compile(
    r"""\$(?:[@*1-9]|\{(?:[@*1-9]|\d|[@*]?:?\d*)[^}]*\})|\bshift\b|\bgetopts\b"""
)
_BARE_ARGUMENTS = re.compile(r"""(?<!["'\w{])\$(?:@|\*|\{@\}|[1-9])(?!["'\w}])""")
_MODULE = re.compile(r"^[ \t]*(?:module|ml)[ \t]+(?:load|use|purge|swap|add|[a-z])", re.MULTILINE)
_MODULE_INIT = re.compile(
    r"(?:source|\.)\s+\S*(?:lmod|modules?|profile|bashrc|/init/)\S*", re.IGNORECASE
)
_CONDA = re.compile(r"^[ \t]*(?:conda|mamba|micromamba)[ \t]+activate", re.MULTILINE)
_CONDA_INIT = re.compile(r"conda\.sh|\bhook\b|(?:source|\.)[ \t]+\S*activate|bashrc|bash_profile")
_PLACEHOLDER = re.compile(
    r"###\w*###|/path/to/\S*|PATH_TO_\w+|__[A-Z]+__|<your[^>]*>", re.IGNORECASE
)


def check_script(subject: Subject) -> Iterator[Problem]:
    """Everything that the text of the kernel's start script tells."""
    path = subject.script
    text = text_of(path) if path else ""
    if not text or path is None:
        return
    plain = without_comments(text)
    yield from _arguments(path, plain, subject)
    yield from _substitutions(path, plain)
    yield from _functions(path, text, plain, subject)
    if re.search(r"PYTHONPATH=\S*:(?=[\s\"']|$)", plain):
        words = f"`{path}` sets a PYTHONPATH that ends in `:`, which means the current folder"
        yield Problem(
            "pythonpath-current-folder",
            "warning",
            words,
            "take the `:` away",
            line_of(plain, r"PYTHONPATH=\S*:"),
        )


def without_comments(text: str) -> str:
    """The script with its comment lines blanked, so that line numbers stay."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(
        "" if re.match(r"\s*#(?!!)", line) and n else line for n, line in enumerate(lines)
    )


def line_of(text: str, pattern: str | re.Pattern[str]) -> str | None:
    """`line N: ...` of the first match: the evidence of a finding in a script."""
    found = re.compile(pattern, 0 if isinstance(pattern, re.Pattern) else re.MULTILINE).search(text)
    if found is None:
        return None
    number = text.count("\n", 0, found.start()) + 1
    return f"line {number}: {text.split(chr(10))[number - 1].strip()[:160]}"


def _arguments(path: str, plain: str, subject: Subject) -> Iterator[Problem]:
    if subject.spec.get("argv") and not _ARGUMENTS.search(plain):
        text = (
            f"`{path}` never uses its arguments, so the kernel does not learn its connection file"
        )
        yield Problem(
            "script-ignores-arguments",
            "error",
            text,
            'end it with `exec "$@"`, or start Python with `"$@"`',
        )
    bare = _BARE_ARGUMENTS.search(plain)
    if bare is not None:
        spaced = " " in subject.around.jupyter_runtime
        text = f"`{path}` uses {bare[0]} without quotation marks: a space in the runtime folder's path ends the start"
        yield Problem(
            "script-unquoted-arguments",
            "error" if spaced else "note",
            text,
            f'write "{bare[0]}"',
            line_of(plain, _BARE_ARGUMENTS),
        )


def _substitutions(path: str, plain: str) -> Iterator[Problem]:
    if "{connection_file}" in plain:
        text = f"`{{connection_file}}` in `{path}` is not replaced: Jupyter does that in kernel.json only"
        yield Problem(
            "script-literal-placeholder",
            "error",
            text,
            'use "$@" in the script',
            line_of(plain, r"\{connection_file\}"),
        )
    if re.search(r"""=\s*["']~/""", plain):
        text = f"`~` inside quotation marks is not expanded (`{path}`)"
        yield Problem(
            "script-quoted-tilde",
            "warning",
            text,
            'write "$HOME/..."',
            line_of(plain, r"""=\s*["']~/"""),
        )
    unfilled = _PLACEHOLDER.search(plain)
    if unfilled:
        text = f"`{unfilled[0][:80]}` in `{path}` was never filled in"
        yield Problem(
            "placeholder-not-filled",
            "error",
            text,
            "put your own path there",
            line_of(plain, _PLACEHOLDER),
        )


def _functions(path: str, text: str, plain: str, subject: Subject) -> Iterator[Problem]:
    """`module` and `conda activate` are shell functions that a script does not have by itself."""
    environ = subject.around.environ
    login = re.match(r"#!\s*\S*(?:bash|sh)\s+-\w*l|#!\s*\S*env\s+(?:-S\s+)?bash\s+-l", text)
    inherited = "BASH_ENV" in environ or any(k.startswith("BASH_FUNC_module") for k in environ)
    called_as_login = any(re.fullmatch(r"-[a-z]*l[a-z]*", word) for word in subject.argv[1:2])
    if _MODULE.search(plain) and not (
        login or inherited or called_as_login or _MODULE_INIT.search(plain)
    ):
        words = f"`{path}` calls `module`, which a non-interactive shell does not have here"
        init = subject.around.site.modules.init or "/etc/profile.d/lmod.sh"
        hint = f"put `source {init}` before it (modules.sh on sites with Environment Modules)"
        yield Problem("module-undefined", "warning", words, hint, line_of(plain, _MODULE))
    if _CONDA.search(plain) and not (login or called_as_login or _CONDA_INIT.search(plain)):
        words = f"`{path}` calls `conda activate`, which a non-interactive shell does not have"
        hint = "source conda's `etc/profile.d/conda.sh` first, or start the environment's Python by its path"
        yield Problem("conda-activate-undefined", "warning", words, hint, line_of(plain, _CONDA))
    if re.search(r"^[ \t]*set[ \t]+-\w*u", plain, re.MULTILINE) and _MODULE.search(plain):
        words = f"`set -u` in `{path}` breaks the module functions of many sites"
        yield Problem(
            "script-set-u",
            "note",
            words,
            "use it after the module commands",
            line_of(plain, r"^[ \t]*set[ \t]+-\w*u"),
        )
