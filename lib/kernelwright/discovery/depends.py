"""What a listing depended on, so that the next one can be answered by a stat of each (`known`)."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from .. import known
from ..config.effective import catalog_path
from . import conda

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ..config.model import SiteConfig
    from ..model import Kernel
    from .places import Root


class Listing(list["Kernel"]):
    """The kernels of one look, with what it depended on; `depends` is None where that cannot be said."""

    depends: Mapping[str, Any] | None = None


def folders(
    roots: Iterable[Root], home: Path, environ: Mapping[str, str], site: SiteConfig
) -> dict[str, Any] | None:
    """The stamps of everything that decides which kernels there are; taken before they are looked for.

    None where no stat can tell: folders of groups, and a site's files that are compiled at each call.
    """
    if site.groups.folders or environ.get("KERNELWRIGHT_SITE_CONFIG"):
        return None
    paths = [root.folder for root in roots]
    paths += [str(home / ".ipython/kernels"), *conda.consulted(home, environ)]
    catalog = catalog_path(environ)
    return {
        path: known.stamp(path) for path in dict.fromkeys([*paths, *([catalog] if catalog else [])])
    }


def with_programs(
    stamps: dict[str, Any] | None,
    kernels: Iterable[Kernel],
    empty: Iterable[str],
    environ: Mapping[str, str],
) -> Mapping[str, Any] | None:
    """The whole: also the programs that kernels start, and folders that were no kernels but may become one."""
    if stamps is None:
        return None
    found = dict(stamps)
    for kernel in kernels:
        if kernel.stamp is None or not kernel.path.isascii():
            return None
        program = kernel.watch
        if program and "/" not in program:
            program = shutil.which(program, path=environ.get("PATH", os.defpath))
            if program is None:
                return None
        if program and program not in found:
            found[program] = known.stamp(program)
    found |= {path: known.stamp(path) for path in empty}
    return {"signature": known.signature(environ), "stats": found}
