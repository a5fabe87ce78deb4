"""The settings that hold in this process. Imports no YAML unless KERNELWRIGHT_SITE_CONFIG is set."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

from .. import paths
from .model import SiteConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

CATALOG_LIMIT = 16 << 20  # bytes; 1000 central kernels take about 1 MB
VERSION = 1


def load_effective(environ: Mapping[str, str]) -> SiteConfig:
    """The settings of this process; never raises: a kernel must start although a file is broken.

    The catalog that KERNELWRIGHT_CATALOG names, else the files of KERNELWRIGHT_SITE_CONFIG, else the
    runtime's catalog, else the defaults.
    """
    catalog = read_catalog(catalog_path(environ))
    if catalog is not None:
        from .decode import (
            decode,
        )  # only here: most calls of a person's own runtime find no catalog

        return decode(
            {
                **catalog["config"],
                "kernels": catalog.get("kernels"),
                "templates": catalog.get("templates"),
            }
        )
    if where := environ.get("KERNELWRIGHT_SITE_CONFIG"):
        return _on_the_fly(os.path.abspath(where))
    return SiteConfig()


def catalog_path(environ: Mapping[str, str]) -> str | None:
    """The catalog.json that this process reads; None where the site's own files are read instead."""
    if named := environ.get("KERNELWRIGHT_CATALOG"):
        return named
    if environ.get("KERNELWRIGHT_SITE_CONFIG"):
        return None
    return str(paths.runtime_folder(environ) / "etc/catalog.json")


def unread(environ: Mapping[str, str]) -> str | None:
    """Why the catalog that is there does not count, in words; None where all is well."""
    path = catalog_path(environ)
    if path is None or not os.path.lexists(path) or read_catalog(path) is not None:
        return None
    return f"`{path}` is damaged or of a newer Kernelwright: the site's settings do not count here"


def read_catalog(path: str | None) -> dict[str, Any] | None:
    """The catalog at `path`; None where there is none, or none that this version can read."""
    if path is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or state.st_size > CATALOG_LIMIT:
            os.close(handle)
            return None
        with os.fdopen(handle, "rb") as file:
            found = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None
    good = (
        isinstance(found, dict)
        and found.get("version") == VERSION
        and isinstance(found.get("config"), dict)
    )
    return found if good else None


def _on_the_fly(where: str) -> SiteConfig:
    from .load import load

    try:
        return load(where).site
    except Exception:  # noqa: BLE001 - whatever is wrong with a site's file, users' kernels go on
        return SiteConfig()
