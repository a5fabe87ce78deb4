"""Finding an environment that was moved, by what it remembers of its old place: its fingerprint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..discovery import conda
from ..environments import layout
from .pythons import remembered_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .subject import Around

FOLDERS = ("envs", "venvs", ".virtualenvs", ".venvs", "virtualenvs", "environments", "")
LIMIT = 400  # entries of a folder that are looked at


def find_moved(old: Path, around: Around) -> list[Path]:
    """Every environment that says it was made as `old`; one of them is the right answer, more are a question."""
    found: dict[str, Path] = {}
    for prefix in _candidates(old, around):
        real = os.path.realpath(prefix)
        if real in found or prefix == old or layout.interpreter(prefix) is None:
            continue
        if remembered_prefix(prefix) == str(old):
            found[real] = prefix
    return list(found.values())


def alike(old: Path, around: Around) -> list[Path]:
    """Environments with the same folder name: worth a hint, not an answer."""
    return [
        p
        for p in _candidates(old, around)
        if p.name == old.name and p != old and layout.interpreter(p)
    ]


def _candidates(old: Path, around: Around) -> Iterator[Path]:
    for environment in conda.environments(around.home, around.environ):
        yield Path(environment.prefix)
    roots = [old.parent, old.parent.parent]
    roots += [around.home / name for name in FOLDERS]
    roots += [
        Path(around.environ[key])
        for key in ("SCRATCH", "WORK", "WORKON_HOME")
        if around.environ.get(key)
    ]
    roots += [root / name for root in roots[-3:] for name in ("envs", "venvs")]
    for root in dict.fromkeys(roots):
        try:
            names = sorted(os.listdir(root))[:LIMIT]
        except OSError:
            continue
        for name in names:
            path = root / name
            if (path / "bin").is_dir():
                yield path
