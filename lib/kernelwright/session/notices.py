"""What else a person should know of a session: small things that stop nothing, for the card."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import Problem, UserError
from . import job
from .request import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ..catalog import Central
    from ..config.model import SiteConfig
    from .choice import Choice
    from .request import Request

MOST = 5  # problems of one kernel that a card shows


def of_site(asked: Request, environ: Mapping[str, str]) -> Iterator[Problem]:
    """The form and the node disagree about the site's settings, or somebody works as root."""
    from ..config.effective import catalog_path, read_catalog, unread

    if why := unread(environ):
        yield Problem(
            "catalog-differs",
            "warning",
            why,
            "an admin of the site runs `kernelwright site compile`",
        )
    mine = (read_catalog(catalog_path(environ)) or {}).get("sha") if asked.catalog_sha else None
    if mine and asked.catalog_sha != mine:
        yield Problem(
            "catalog-differs",
            "warning",
            "the form and this node read different versions of the site's settings",
            "an admin of the site runs `kernelwright site compile`",
        )
    if job.is_root():
        yield Problem(
            "runs-as-root", "warning", "this session runs as root", "launch it as an ordinary user"
        )


def of_kernel(chosen: Choice, central: Iterable[Central]) -> Iterator[Problem]:
    """What is known of the chosen kernel: its serious problems, and that it is being replaced."""
    yield from [p for p in chosen.problems if p.severity != "note"][:MOST]
    for kernel in central:
        if chosen.origin == "site" and kernel.name == chosen.name and kernel.notice:
            yield Problem("kernel-replaced", "note", kernel.notice, None)


def working_folder(asked: Request, home: Path, root: Path) -> tuple[dict[str, str], Problem | None]:
    """The server's root folder and where the file browser opens; a folder that is not there is a warning."""
    base = str(home) if _enterable(home) else str(root)
    try:
        said = asked.line("kw_folder")
        inner = said[2:] if said.startswith("~/") else "" if said == "~" else said
        folder = os.path.normpath(os.path.join(base, inner))
        if _enterable(folder):
            return _roots(base, folder), None
        what = f"the folder `{shown(said, 200)}` is not there or cannot be entered"
    except (UserError, ValueError) as error:
        what = str(error)
    return {"root_dir": base}, Problem(
        "folder-missing",
        "warning",
        f"{what}: the session opens in `{base}`",
        "change “Folder” on the form",
    )


def _roots(base: str, folder: str) -> dict[str, str]:
    """A folder of the home opens within the home; any other is all that the file browser shows."""
    if folder == base:
        return {"root_dir": base}
    if os.path.realpath(folder).startswith(os.path.realpath(base).rstrip("/") + "/"):
        return {"root_dir": base, "preferred_dir": folder}
    return {"root_dir": folder}


def _enterable(folder: str | Path) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK)


def cull_idle(site: SiteConfig) -> int:
    """Seconds without a running cell after which a kernel ends; 0 for never."""
    minutes = site.slurm.limits.get("idle")
    return int(minutes * 60) if isinstance(minutes, (int, float)) and minutes > 0 else 0
