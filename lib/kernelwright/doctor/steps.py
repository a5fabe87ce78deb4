"""What `repair` and `adopt` are about to do: steps with a diff, and the backup before the first of them."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..store import write_text
from ..store.atomic import explained, make_folder
from .secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..errors import Problem


@dataclass(frozen=True)
class Step:
    """One change: `text` says it, `diff` shows it, `touches` is kept first, `apply` does it."""

    code: str
    text: str
    apply: Callable[[], object]
    diff: str = ""
    touches: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What was done (or would be): `left` are the errors that remain."""

    name: str
    steps: tuple[Step, ...]
    backups: tuple[str, ...] = ()
    left: tuple[Problem, ...] = ()
    dry_run: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mended(self) -> bool:
        """Whether nothing is left that keeps the kernel from starting; a dry run only says that it would do something."""
        return bool(self.steps) or not self.left if self.dry_run else not self.left

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name,
            "dry_run": self.dry_run,
            "steps": [{"code": s.code, "text": s.text, "diff": s.diff} for s in self.steps],
            "backups": list(self.backups),
            "left": [problem.as_json() for problem in self.left],
            **self.facts,
        }


def spec_text(spec: Mapping[str, Any]) -> str:
    """A kernel.json as it is written: order and Unicode kept."""
    return json.dumps(spec, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def diff(old: str, new: str, path: Path | str) -> str:
    """The changed lines with one line around them, secrets removed; people keep keys in env."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"{path} (now)", f"{path} (new)", n=1, lineterm=""
    )
    return redact("\n".join(lines))


def write_step(
    code: str, text: str, path: Path, *, old: str, new: str, mode: int | None = None
) -> Step:
    """Replace the text of one file in one step."""
    mode = (
        mode if mode is not None else (os.stat(path).st_mode & 0o7777 if path.exists() else 0o644)
    )
    return Step(code, text, lambda: write_text(path, new, mode), diff(old, new, path), (path,))


def keep(paths: tuple[Path, ...], backups: Path, name: str) -> list[str]:
    """Copies of `paths` in a backup folder of their own outside Jupyter's sight; returns where."""
    existing = [path for path in paths if os.path.lexists(path)]
    if not existing:
        return []
    make_folder(backups)
    folder = backups / f"{name}.{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while os.path.lexists(folder):
        folder = backups / f"{folder.name.split('~')[0]}~{number}"
        number += 1
    make_folder(folder)
    with explained(folder):
        for path in existing:
            if path.is_dir() and not path.is_symlink():
                shutil.copytree(path, folder / path.name, symlinks=True)
            else:
                shutil.copy2(path, folder / path.name, follow_symlinks=False)
    return [str(folder)]
