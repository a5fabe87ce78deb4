"""index.json: what the web node may know of a user's kernels, and what the next listing need not read.

Written by every command and session, only when something changed; a hint, never the authority.
Schema: docs/reference/schemas/index.schema.json.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

from .. import paths
from ..errors import Problem, UserError
from .programs import CODES as PROGRAM_CODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ..model import Kernel

VERSION = 1
_SURROGATE = re.compile("[\ud800-\udfff]")
LIMIT = 8 << 20
RACY = 2_000_000_000  # ns; a file changed this shortly before the index was written may change again unseen
RELATIVE = PROGRAM_CODES | {
    "shadowed",
    "names-differ-in-case",
    "untrusted-kernel",
    "provisioner-missing",
}
GROUPS = {
    "user": "Mine", "group": "Shared with me", "site": "Central", "legacy": "Mine",
    "conda": "Conda environments", "jupyter": "Jupyter",
}  # fmt: skip


def path_of(home: Path) -> Path:
    """Where the index of a home lies."""
    return paths.data_folder(home) / "index.json"


def value_of(kernel: Kernel) -> str:
    """How the form and request.json name a kernel: `user:NAME`, `group:G/NAME`, `site:NAME` and so on."""
    inner = f"{kernel.group}/{kernel.name}" if kernel.origin == "group" else kernel.name
    return f"{kernel.origin}:{inner}"


def load(home: Path) -> dict[str, dict[str, Any]]:
    """What earlier listings found, by kernelspec folder; problems that depend on others left out."""
    document = _read(path_of(home))
    entries = document.get("kernels")
    written = _written_ns(document)
    if document.get("version") != VERSION or not isinstance(entries, list):
        return {}
    known = {}
    for entry in entries:
        try:
            stamp = (int(entry["stat"][0]), int(entry["stat"][1]))
            if stamp[0] > written - RACY:
                continue
            known[entry["path"]] = {
                "stamp": stamp,
                "label": entry["label"],
                "language": entry["language"],
                "kind": entry["kind"],
                "launcher": entry["launcher"],
                "owned": entry["owned"],
                "loads": entry["loads"],
                "watch": entry["watch"],
                "problems": tuple(
                    Problem(**p) for p in entry["problems"] if p["code"] not in RELATIVE
                ),
            }
        except (KeyError, TypeError, ValueError, IndexError):
            continue
    return known


def write_index(home: Path, kernels: Iterable[Kernel], host: str | None = None) -> bool:
    """Write index.json if it would say something new; returns whether it was written.

    A document of a newer version is left alone. A home that cannot be written to is no error: the
    index is a hint. `host` is this node unless given.
    """
    path = path_of(home)
    old = _read(path)
    if isinstance(old.get("version"), int) and old["version"] > VERSION:
        return False
    entries = [_entry(kernel) for kernel in kernels if not _SURROGATE.search(kernel.path)]
    depends = getattr(kernels, "depends", None)
    same = old.get("kernels") == entries and old.get("depends") == depends
    if same and not _settled(old):
        return False
    from ..store import atomic

    document = {
        "version": VERSION,
        "written_at": time.time(),
        "host": host or os.uname().nodename,
        "kernels": entries,
        "depends": depends,
    }
    try:
        atomic.make_folder(path.parent)
        atomic.write_text(path, json.dumps(document, ensure_ascii=True, separators=(",", ":")))
    except (UserError, OSError):
        return False
    return True


def _settled(old: Mapping[str, Any]) -> bool:
    """Whether entries that were too fresh to be believed could be believed if written again now."""
    written = _written_ns(old)
    stamps = [entry["stat"] for entry in old["kernels"]]
    stamps += ((old.get("depends") or {}).get("stats") or {}).values()
    fresh = [stamp[0] for stamp in stamps if stamp and stamp[0] > written - RACY]
    return bool(fresh) and max(fresh) <= time.time_ns() - RACY


def _written_ns(document: Mapping[str, Any]) -> int:
    """When the document was written, in ns; 0 where it does not say, so that nothing in it is believed."""
    written = document.get("written_at")
    return int(written * 1e9) if isinstance(written, (int, float)) and abs(written) < 1e11 else 0


def _entry(kernel: Kernel) -> dict[str, Any]:
    worst = next((p for p in kernel.problems if p.severity == "error"), None)
    worst = worst or next((p for p in kernel.problems if p.severity == "warning"), None)
    return {
        "value": value_of(kernel),
        "name": kernel.name,
        "label": _clean(kernel.display_name)[:200],
        "group": GROUPS[kernel.origin],
        "language": kernel.language,
        "state": kernel.state,
        "problem": _clean(worst.message) if worst else None,
        "path": kernel.path,
        "stat": list(kernel.stamp) if kernel.stamp else None,
        "origin": kernel.origin,
        "kind": kernel.kind,
        "launcher": kernel.launcher,
        "owned": kernel.owned,
        "visible": kernel.visible,
        "loads": kernel.loads,
        "watch": kernel.watch,
        "problems": [
            {key: _clean(value) if value else value for key, value in problem.as_json().items()}
            for problem in kernel.problems
        ],
    }


def _clean(text: str) -> str:
    """`text` without broken Unicode, which Ruby and browsers would refuse with the whole file."""
    return _SURROGATE.sub("\ufffd", text)


def _read(path: Path) -> dict[str, Any]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as stream:
            data = stream.read(LIMIT + 1)
        value = json.loads(data) if len(data) <= LIMIT else None
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
