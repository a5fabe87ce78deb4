"""Environment modules: which there are, for Lmod and for Environment Modules.

The module system is started exactly as launch.sh starts it (the same shell file), so that what is
listed here is what a kernel can load. Nothing is loaded. A listing takes seconds on a large site: it is kept
in a cache, whose age is part of the answer.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import paths, process
from .errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .config.model import SiteConfig

SHELL_FILES = Path(__file__).parent / "launch/templates"
MAX_AGE = 6 * 3600.0
TIMEOUT = 120.0
SCRIPT = """
kw_generation='' kw_runtime='' kw_entry='' kw_name=modules
. "$1/start.sh"
. "$1/watch.sh"
. "$1/modules.sh"
kw_begin --shell
kw_modules_init "$2"
shift 2
for folder; do kw_module use "$folder"; done
printf '== system %s\\n' "${LMOD_VERSION:+Lmod $LMOD_VERSION}"
echo '== avail'
module -t avail 2>&1
echo '== spider'
[ -z "${LMOD_CMD-}" ] || module -t spider 2>&1
"""
# gcc/12.2, gcc/12.2(default), gcc/12.2(default:latest), gcc/12.2 <L>, gcc/12.2 (D)
LINE = re.compile(r"^(?P<name>[^\s():<>]+)\s*(?:\((?P<mark>[^)]*)\))?(?:\s*<[^>]*>)?\s*$")


@dataclass(frozen=True)
class Module:
    """One module; `loadable` is false where another one must be loaded first."""

    name: str
    loadable: bool = True
    default: bool = False


@dataclass(frozen=True)
class Listing:
    """What can be loaded here; `written_at` is when the module system was asked."""

    system: str
    modules: tuple[Module, ...]
    written_at: float

    def names(self) -> tuple[str, ...]:
        """The names with versions, in the module system's order."""
        return tuple(m.name for m in self.modules)

    def matching(self, pattern: str | None) -> tuple[Module, ...]:
        """Those whose name holds `pattern` or matches it as a shell pattern, whatever the case."""
        if not pattern:
            return self.modules
        low = pattern.lower()
        return tuple(
            m
            for m in self.modules
            if low in m.name.lower() or fnmatch.fnmatchcase(m.name.lower(), low)
        )


def available(
    *,
    site: SiteConfig,
    home: Path,
    environ: Mapping[str, str],
    use: tuple[str, ...] = (),
    max_age: float = MAX_AGE,
    timeout: float = TIMEOUT,
) -> Listing:
    """The modules of this node, from the cache when it is younger than `max_age` seconds.

    Raises UserError `modules-unavailable` where there is no module system.
    """
    folders = (*site.modules.use, *use)
    words = [site.modules.init or "", *folders]
    cache = _cache_file(home, words, environ)
    kept = _read(cache)
    if kept and 0 <= time.time() - kept.written_at < max_age:
        return kept
    result = process.run(
        ["/bin/bash", "-p", "-c", SCRIPT, "modules", str(SHELL_FILES), *words],
        timeout=timeout,
        env=environ,
    )
    if not result.ok and "== system" not in result.stdout:
        raise UserError(
            "modules-unavailable",
            "this node has neither Lmod nor Environment Modules",
            context={"output": result.tail(5)} if result.tail(5) else None,
            hint="where the site has them elsewhere, its admins set `modules: {init: FILE}` in the site's configuration",
        )
    listing = parse(result.stdout)
    _write(cache, listing)
    return listing


def parse(text: str) -> Listing:
    """The output of SCRIPT; both systems' terse format."""
    system = ""
    section = ""
    found: dict[str, Module] = {}
    for line in text.splitlines():
        if line.startswith("== "):
            section, _, rest = line[3:].partition(" ")
            system = rest if section == "system" else system
            continue
        match = LINE.match(line)
        if not match or section not in {"avail", "spider"} or match["name"].endswith("/"):
            continue
        marks = (match["mark"] or "").split(":")
        if match["name"] not in found:
            default = "default" in marks or "D" in marks
            found[match["name"]] = Module(
                match["name"], loadable=section == "avail", default=default
            )
    return Listing(system or "Environment Modules", tuple(found.values()), time.time())


def as_json(listing: Listing, modules: tuple[Module, ...], *, now: float) -> dict[str, Any]:
    """The document of `kernelwright modules --json`."""
    rows = [{"name": m.name, "loadable": m.loadable, "default": m.default} for m in modules]
    return {
        "version": 1,
        "system": listing.system,
        "age": round(now - listing.written_at),
        "modules": rows,
    }


def _cache_file(home: Path, words: list[str], environ: Mapping[str, str]) -> Path:
    key = json.dumps([words, environ.get("MODULEPATH", ""), os.uname().nodename])
    digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:16]
    return paths.data_folder(home) / "cache" / f"modules-{digest}.json"


def _read(path: Path) -> Listing | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        data = json.loads(path.read_bytes())
        modules = tuple(Module(m["name"], m["loadable"], m["default"]) for m in data["modules"])
        return Listing(data["system"], modules, float(data["written_at"]))
    return None


def _write(path: Path, listing: Listing) -> None:
    """Keep the listing; a home that takes no file costs only the time to ask again."""
    rows = [{"name": m.name, "loadable": m.loadable, "default": m.default} for m in listing.modules]
    text = json.dumps(
        {"version": 1, "system": listing.system, "written_at": listing.written_at, "modules": rows}
    )
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(text)
        temporary.replace(path)
