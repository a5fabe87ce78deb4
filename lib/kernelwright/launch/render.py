"""The files of a generation that start its kernel: launch.sh and what it sources and runs.

launch.sh holds only what is this kernel's own, so that its owner can read it from top to bottom;
start.sh, watch.sh, modules.sh, hooks.sh and entry.py are the same for all kernels and lie beside it, so that a kernel
starts without our runtime and an upgrade of the runtime changes no kernel under its owner's feet.
"""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from ..errors import UserError
from ..store import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jinja2 import Environment

    from ..config.model import SiteConfig
    from ..model import Command, Made, Recipe

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
CONNECTION = "{connection_file}"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
PYTHON_STARTERS = frozenset({"ipykernel_launcher", "ipykernel"})
PATH_LISTS = frozenset({"XDG_DATA_DIRS", "XDG_CONFIG_DIRS", "R_LIBS", "R_LIBS_SITE", "R_LIBS_USER"})
NOT_LISTS = frozenset({"MANPATH", "INFOPATH"})  # an empty element means "and the default" there


def render(
    recipe: Recipe,
    command: Command,
    *,
    generation: Path,
    runtime: Path,
    made: Made,
    site: SiteConfig,
) -> dict[str, str]:
    """File name -> content, for `builder` to write into the generation; launch.sh is executable.

    `made` names the interpreter for templates that want it; nothing is read but our own templates.
    """
    check_names(recipe.env)
    argv, marks = through_entry(command.argv, generation)
    text = (
        _environment()
        .get_template(f"{command.template}.sh.j2")
        .render(
            recipe=recipe,
            title=recipe.title,
            command=command,
            made=made,
            site=site,
            values=command.values,
            generation=str(generation),
            runtime=str(runtime),
            argv=argv,
            marks=marks or command.values.get("marks", False),
            exports={name: value for name, value in command.env.items() if NAME.fullmatch(name)},
            modules=bool(recipe.modules.load or recipe.modules.use or recipe.modules.purge),
            uses=(*site.modules.use, *recipe.modules.use),
            pathlike=[name for name in recipe.env if is_path_list(name)],
        )
    )
    facts = {
        "name": recipe.name,
        "kind": recipe.kind,
        "command": site.command or "kernelwright",
        "runtime": str(runtime),
    }
    files = {
        "launch.sh": text,
        "start.sh": _read("start.sh"),
        "watch.sh": _read("watch.sh"),
        "entry.py": (HERE / "entry.py").read_text(),
        "companion.py": (HERE / "companion.py").read_text(),
        "entry.json": json.dumps(facts, indent=2) + "\n",
    }
    if command.template == "container":
        files["container.sh"] = _read("container.sh")
    if command.hooks:
        files["hooks.sh"] = _read("hooks.sh")
    if (
        recipe.modules.load
        or recipe.modules.use
        or recipe.modules.purge
        or command.values.get("runtime_module")
    ):
        files["modules.sh"] = _read("modules.sh")
    return files


def write(generation: Path, files: Mapping[str, str]) -> None:
    """Write what `render` made into the generation's folder; shell scripts may be run."""
    for name, text in files.items():
        write_text(generation / name, text, 0o755 if name.endswith(".sh") else 0o644)


def through_entry(argv: Iterable[str], generation: Path) -> tuple[tuple[str, ...], bool]:
    """`argv` with `-m ipykernel_launcher` replaced by our entry, and whether it was there."""
    words = tuple(argv)
    for index in range(1, len(words) - 1):
        if words[index] == "-m" and words[index + 1] in PYTHON_STARTERS:
            return (*words[:index], str(generation / "entry.py"), *words[index + 2 :]), True
    return words, False


def is_path_list(name: str) -> bool:
    """Whether the variable is a list of folders with colons, by its name."""
    return name in PATH_LISTS or (name.endswith("PATH") and name not in NOT_LISTS)


def quote(text: str) -> str:
    """One word of bash that stands for exactly `text`; UserError for what no variable can hold."""
    if "\0" in text:
        raise UserError(
            "unusable-value", "a value holds a NUL character, which no program can be given"
        )
    return shlex.quote(str(text))


def substituted(text: str) -> str:
    """One word of bash: `text` with each `${NAME}` read from the environment (unset is empty)."""
    parts = []
    last = 0
    for found in REFERENCE.finditer(text):
        parts += [
            quote(text[last : found.start()]) if found.start() > last else "",
            f'"${{{found[1]}-}}"',
        ]
        last = found.end()
    rest = text[last:]
    return "".join([*parts, quote(rest) if rest or not parts else ""])


def word(text: str) -> str:
    """One word of argv; `{connection_file}` in it becomes the start's own."""
    return "".join(
        '"$kw_connection_file"' if part == CONNECTION else quote(part)
        for part in re.split(r"(\{connection_file\})", text)
        if part or text == ""
    )


def comment(text: str) -> str:
    """`text` for a comment: one line, printable."""
    return "".join(char if char.isprintable() else " " for char in text)[:200]


def check_names(env: Mapping[str, str]) -> None:
    """UserError for a name that bash cannot export."""
    for name in env:
        if not NAME.fullmatch(name):
            raise UserError(
                "unusable-variable", f"`{name}` cannot be the name of an environment variable"
            )


def load_aside() -> None:
    """Load what `render` needs for an environment in a thread: half of its time, while others wait."""
    Thread(target=lambda: _environment().get_template("prefix.sh.j2"), daemon=True).start()


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - bash, not HTML: every value goes through `quote`
    )
    env.filters |= {
        "q": quote,
        "words": lambda words: " ".join(word(w) for w in words),
        "substituted": substituted,
        "comment": comment,
    }
    return env


def _read(name: str) -> str:
    return (TEMPLATES / name).read_text()
