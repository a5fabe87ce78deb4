"""`site compile`: the site's files to both copies of catalog.json, or nothing at all."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import paths
from ..errors import UserError
from ..store.atomic import explained, write_bytes
from .document import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.loaded import Loaded


@dataclass(frozen=True)
class Compiled:
    """What was written, and where: the copy for the form, and the one for the runtime."""

    catalog: Mapping[str, Any]
    written: tuple[str, ...]


def catalog_beside(where: str) -> Path:
    """The form's catalog.json: beside the folder conf.d, or beside the one file."""
    return Path(where).parent / "catalog.json"


def compile_site(loaded: Loaded, *, environ: Mapping[str, str] = os.environ) -> Compiled:
    """Write both copies with the same bytes. A wrong site file writes neither: the last good catalog stays.

    Raises UserError `site-broken` with the first findings, `not-writable` or `disk-full`.
    """
    if loaded.errors:
        raise broken(loaded)
    made = document(loaded.site, environ=environ)
    data = (json.dumps(made, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")
    runtime = _runtime(loaded, environ)
    if not runtime.is_dir():
        raise UserError(
            "site-no-runtime",
            f"there is no runtime in `{runtime}`: nobody could read the catalog there",
            hint=f"install it with `make install PREFIX={runtime}`, or correct `runtime:`",
        )
    written = targets(loaded, environ)
    for target in written:
        _write(target, data)
    return Compiled(made, tuple(map(str, written)))


def targets(loaded: Loaded, environ: Mapping[str, str]) -> list[Path]:
    """Where the copies go: first the one that needs the runtime, then the form's."""
    runtime = _runtime(loaded, environ) / "etc/catalog.json"
    return list(dict.fromkeys([runtime, catalog_beside(loaded.where)]))


def _runtime(loaded: Loaded, environ: Mapping[str, str]) -> Path:
    return Path(loaded.site.runtime or paths.runtime_folder(environ))


def _write(target: Path, data: bytes) -> None:
    if not target.parent.is_dir():
        with explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.parent.chmod(
                0o755
            )  # whatever the admin's umask: everybody reads what lies there
    try:
        if target.read_bytes() == data and target.stat().st_mode & 0o444 == 0o444:
            return
    except OSError:
        pass  # not there yet, or not readable: written below
    write_bytes(target, data, 0o644)


def broken(loaded: Loaded) -> UserError:
    """Why these files cannot be compiled, and that the last good catalog goes on."""
    shown = loaded.errors[:10]
    lines = [f"{finding.spot}: {finding.message}" for finding in shown]
    more = len(loaded.errors) - len(shown)
    beside = catalog_beside(loaded.where)
    stays = (
        f"the catalog of before stays in use: `{beside}`"
        if beside.exists()
        else "there is no catalog yet: the form offers no central kernels"
    )
    context: dict[str, Any] = {
        "findings": "\n".join(lines + ([f"and {more} more"] if more else [])),
        "state": stays,
    }
    return UserError(
        "site-broken",
        f"the site's files hold {len(loaded.errors)} mistakes, nothing was written"
        if len(loaded.errors) > 1
        else "the site's files hold a mistake, nothing was written",
        context=context,
        hint="`kernelwright site check` shows every finding",
    )
