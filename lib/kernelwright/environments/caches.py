"""Where downloaded packages are kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..store.expand import expand

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config.model import SiteConfig
    from .base import Place

OWN = ".local/share/kernelwright/cache"  # below HOME


def folder(place: Place, name: str) -> Path:
    """The cache `name` (`conda`, `uv`) for a build at `place`."""
    return base(place.site, place.home, place.environ) / name


def base(site: SiteConfig, home: Path, environ: Mapping[str, str]) -> Path:
    """The caches' folder: where the site wants it, else below its root, else beside our own files in HOME.

    A folder of the site that this user cannot write to, because others made it, is left to them.
    """
    root = site.storage.root
    named = site.storage.package_cache or (f"{root}/cache" if root else None)
    if named is None:
        return home / OWN
    folder = expand(named, home, environ)
    usable = all(_writable(folder / name) for name in ("conda", "uv"))
    return folder if usable else home / OWN


def left_to_others(place: Place) -> bool:
    """Whether the site names a cache that this user does not get."""
    named = place.site.storage.package_cache
    return (
        named is not None
        and base(place.site, place.home, place.environ) == place.home / OWN
        and expand(named, place.home, place.environ) != place.home / OWN
    )


def _writable(folder: Path) -> bool:
    """Whether this user can write to a folder, or make it."""
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    return os.access(there, os.W_OK | os.X_OK)
