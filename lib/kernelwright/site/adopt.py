"""`site adopt`: the site's existing kernelspecs become central entries of a file in conf.d.

The kernels stay where they are; people get what the site's folders hold at that time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..recipe import propose_name
from ..recipe.names import NAME
from ..store import kernelspec
from .append import add_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.loaded import Loaded


@dataclass(frozen=True)
class Adopted:
    """The entries that were added, those that were not (path, reason), and the file."""

    entries: tuple[dict[str, Any], ...]
    skipped: tuple[tuple[str, str], ...]
    file: str


def adopt(paths: Sequence[str], loaded: Loaded, *, output: str | None = None) -> Adopted:
    """Add an entry for each kernelspec below `paths` (a kernelspec, or a folder of them) to a file.

    Kernels that the site has already are left out. Raises UserError `no-kernelspec` where there is none.
    """
    known = {str(entry["name"]): str(entry.get("path") or "") for entry in loaded.site.kernels}
    entries: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    folders = [folder for path in paths for folder in _kernelspecs(Path(os.path.abspath(path)))]
    if not folders:
        raise UserError(
            "no-kernelspec",
            f"there is no kernel.json in `{paths[0]}` or one folder below it",
            hint="name a kernelspec folder, or the folder that holds them, such as /usr/local/share/jupyter/kernels",
        )
    for folder in folders:
        entry, reason = _entry(folder, known)
        if entry is None:
            skipped.append((str(folder), reason))
            continue
        known[entry["name"]] = entry["path"]
        entries.append(entry)
    file = output or default_file(loaded.where, "50-adopted.yaml")
    if entries:
        add_entries(
            file,
            "kernels",
            entries,
            note="Kernels that the site had before; `path` is where they lie.",
        )
    return Adopted(tuple(entries), tuple(skipped), file)


def default_file(where: str, name: str) -> str:
    """A file of conf.d that an admin did not name; the one file where the site has only one."""
    return where if os.path.isfile(where) else os.path.join(where, name)


def _kernelspecs(path: Path) -> list[Path]:
    if (path / "kernel.json").is_file():
        return [path]
    try:
        return [
            path / name
            for name in sorted(os.listdir(path))
            if (path / name / "kernel.json").is_file()
        ]
    except OSError as error:
        raise UserError("no-kernelspec", f"`{path}` cannot be read: {error.strerror}") from error


def _entry(folder: Path, known: dict[str, str]) -> tuple[dict[str, Any] | None, str]:
    spec = kernelspec.read(folder)
    if spec is None or not isinstance(spec.get("argv"), list) or not spec["argv"]:
        return None, "its kernel.json cannot be used"
    if str(folder) in known.values():
        return None, "the site has it already"
    name = folder.name if NAME.fullmatch(folder.name) else propose_name(folder.name)
    if not name:
        return None, "no kernel name can be made of the folder's name"
    if name in known:
        return None, f"the site has another kernel `{name}`"
    label = spec.get("display_name")
    entry: dict[str, Any] = {"name": name}
    if isinstance(label, str) and label.strip() and label.isprintable():
        entry["label"] = label.strip()[:120]
    return {**entry, "path": str(folder)}, ""
