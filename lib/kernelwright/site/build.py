"""Central kernels made from recipes: built once by the site, started in place by everybody."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..builder import Builder
from ..catalog import central_home
from ..config.model import Policy
from ..errors import UserError
from ..recipe import from_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config.model import SiteConfig
    from ..model import Generation, Recipe
    from ..progress import Progress


def recipes(site: SiteConfig) -> dict[str, Recipe]:
    """The central kernels that are described by a recipe, by name. Raises what is wrong with one."""
    return {str(entry["name"]): _recipe(entry) for entry in site.kernels if entry.get("recipe")}


def _recipe(entry: Mapping[str, Any]) -> Recipe:
    data = {**entry["recipe"], "name": entry["name"]}
    data.setdefault("display_name", entry.get("label"))
    data.setdefault("description", entry.get("description"))
    return from_mapping(data, source=f"the central kernel {entry['name']}")


def build(
    name: str,
    *,
    site: SiteConfig,
    environ: Mapping[str, str],
    runtime: Path,
    progress: Progress,
    test: bool = True,
    test_timeout: float = 60.0,
) -> Generation:
    """Make the central kernel `name` below the site's folder, or find it made, and let everybody read it.

    Old generations stay while the store keeps them, so running kernels go on. Raises UserError
    `no-such-central-kernel`, `central-not-built`, and what the builder says.
    """
    known = recipes(site)
    if name not in known:
        raise _unknown(name, site, known)
    home = central_home(site, environ)
    _own_folder(home)
    builder = Builder(
        home,
        _site_environ(environ, home),
        site_for_builds(site),
        runtime,
        progress,
        test=test,
        test_timeout=test_timeout,
    )
    try:
        return builder.create(known[name], replace=True, reuse=True)
    finally:
        open_for_reading(home)


def site_for_builds(site: SiteConfig) -> SiteConfig:
    """The settings under which a site builds for itself: no policy, and everything below its own folder."""
    storage = replace(site.storage, root=None, package_cache=None, image_cache=None)
    conda = replace(site.conda, allow_channels=(), deny_channels=())
    return replace(
        site,
        policy=Policy(),
        storage=storage,
        conda=conda,
        containers=replace(site.containers, allow=()),
    )


def _site_environ(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """The admin's environment without the variables that lead back to the admin's own home."""
    kept = {
        key: value
        for key, value in environ.items()
        if not key.startswith(("XDG_", "PYTHON", "CONDA_", "PIP_CONFIG"))
    }
    return kept | {"HOME": str(home)}


def _unknown(name: str, site: SiteConfig, known: Mapping[str, Recipe]) -> UserError:
    entry = next((e for e in site.kernels if e.get("name") == name), None)
    if entry is not None:
        return UserError(
            "central-not-built",
            f"`{name}` has no recipe: it lies in `{entry.get('path')}`"
            if entry.get("path")
            else f"`{name}` has no recipe: it opens `{entry.get('successor')}`",
        )
    return UserError(
        "no-such-central-kernel",
        f"the site has no central kernel `{name[:80]}`",
        hint=f"those with a recipe: {', '.join(known) or 'none'}",
    )


def _own_folder(home: Path) -> None:
    from ..store.atomic import explained

    with explained(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o755)
    if not os.access(home, os.W_OK | os.X_OK):
        raise UserError(
            "not-writable",
            f"`{home}` cannot be written by {_user()}",
            hint="run it as the user who owns the site's folder, or set `storage.central`",
        )


def _user() -> str:
    import pwd

    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def open_for_reading(folder: Path) -> None:
    """Let everybody read and enter what the store makes for one user only; links are not followed."""
    for parent, folders, files in os.walk(folder):
        for path in (parent, *(os.path.join(parent, name) for name in (*folders, *files))):
            with contextlib.suppress(OSError):
                mode = os.lstat(path).st_mode
                if stat.S_ISLNK(mode) or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    continue
                wanted = mode | 0o444 | (0o111 if stat.S_ISDIR(mode) or mode & 0o100 else 0)
                if wanted != mode:
                    os.chmod(path, stat.S_IMODE(wanted))
