"""The pip part of an environment, by uv: what conda brought stays, the rest is pinned with hashes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import UserError
from ...store.atomic import write_text
from .. import uv
from . import pip_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ...progress import Progress
    from ..base import Place

CHANGE = re.compile(r"^\s*([+-]) ([A-Za-z0-9._-]+)(==\S+| @ \S+)", re.MULTILINE)


def install(
    lines: Sequence[str], python: Path, place: Place, progress: Progress
) -> tuple[str, ...]:
    """Install the pip lines of a recipe and return the lines of their lock.

    uv first says what it would add to what conda has installed; only that is locked. Raises
    `pip-part-failed` with what uv says.
    """
    progress.phase("pip", "installing the pip packages")
    tool = uv.Uv(place, progress)
    options, _ = pip_lines.options(tuple(lines))
    wanted = place.keep / "pip.in"
    write_text(wanted, "\n".join(lines) + "\n")
    base = ["--python", str(python)]
    with _explained():
        plan = tool.run("pip", "install", "--dry-run", *base, "-r", str(wanted))
        pins = [f"{name}{rest}" for sign, name, rest in CHANGE.findall(plan.stderr) if sign == "+"]
        for sign, name, rest in CHANGE.findall(plan.stderr):
            if sign == "-":
                progress.note(
                    f"pip replaces {name}{rest.replace('==', ' ')}, which conda has installed"
                )
        if not pins:
            return ()
        pinned, locked = place.keep / "pip.pins", place.keep / "pip.lock"
        write_text(pinned, "\n".join([*options, *pins]) + "\n")
        tool.run(
            "pip",
            "compile",
            "--quiet",
            "--no-deps",
            "--generate-hashes",
            "--no-annotate",
            "--no-header",
            "--no-strip-extras",
            *base,
            "-o",
            str(locked),
            str(pinned),
        )
        text = re.sub(r"\s*\\\n\s*", " ", locked.read_text())
        lock = tuple(
            line.strip()
            for line in text.splitlines()
            if line.strip() and not line.startswith(("#", "-"))
        )
    return _place(lock, options, python, place, progress)


def replay(lines: Sequence[str], python: Path, place: Place, progress: Progress) -> tuple[str, ...]:
    """Install exactly what the lines of a lock name."""
    progress.phase("pip", "installing the locked pip packages")
    options, lock = pip_lines.options(tuple(lines))
    return _place(lock, options, python, place, progress)


def _place(
    lock: Sequence[str], options: Sequence[str], python: Path, place: Place, progress: Progress
) -> tuple[str, ...]:
    target = place.keep / "pip.lock"
    public = [re.sub(r"//[^/@\s]+@", "//", option) for option in options]
    write_text(target, "\n".join([*options, *lock]) + "\n")
    hashes = ["--require-hashes"] if all("--hash=" in line for line in lock) else []
    base = ["--python", str(python), "-r", str(target)]
    with _explained():
        uv.Uv(place, progress).run("pip", "install", "--no-deps", *hashes, *base)
    write_text(target, "\n".join([*public, *lock]) + "\n")
    return (*public, *lock)


class _explained:  # noqa: N801 - reads as a word of the with statement
    """uv's own errors under the code of this part, with what uv found."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UserError) and error.code != "disk-full":
            raise UserError(
                "pip-part-failed",
                f"the conda packages are in place, the pip part failed: {error.message}",
                context={"cause": error.code, **error.context},
                hint=error.hint or "correct the `pip:` section; what was downloaded is kept",
            ) from error
