"""Stored images and brought packages that no kernel needs any more: for `storage --clean`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...store.atomic import read_json
from .images import own_store
from .inject import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...store.store import Store

KEYS = ("sha256-", "sif-", "archive-")


def unused(store: Store) -> list[Path]:
    """Folders of the user's image store that no generation of any kernel names, and the runtime's cache.

    A pull that goes on is left alone. A store that is shared is left to its owner's kernels too.
    """
    images = own_store(store.site, store.home, store.environ)
    if images.shared:
        return []
    used = set(_named(store))
    found = [path for path in _folders(images.root) if path.name.startswith(KEYS)]
    found = [path for path in found if str(path / "image.sif") not in used]
    brought = [path for path in _folders(images.root / FOLDER) if str(path) not in used]
    cache = [images.cache] if os.path.isdir(images.cache) else []
    return [path for path in (*found, *brought) if ".part-" not in path.name] + cache


def _folders(root: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [Path(entry.path) for entry in os.scandir(root) if entry.is_dir()]
    return []


def _named(store: Store) -> Iterator[str]:
    """What the generations of this user's kernels bind, finished or not."""
    for path in (store.data / "kernels").glob("*/*/made.json"):
        made = read_json(path)
        facts = made.get("facts") if isinstance(made, dict) else None
        if isinstance(facts, dict):
            start = facts.get("start")
            yield str(facts.get("file"))
            yield str(start.get("inject") if isinstance(start, dict) else None)
