"""Bringing ipykernel into an environment that its owner made; by the runtime's uv, into nobody else's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import paths, process
from ..environments.pip_settings import uv_environment
from ..errors import UserError

if TYPE_CHECKING:
    from ..progress import Progress
    from .subject import Around

INSTALL_TIMEOUT = 600.0  # seconds


def own_folder(folder: str) -> bool:
    """Whether this user owns the folder and may write to it."""
    try:
        return os.stat(folder).st_uid == os.getuid() and os.access(folder, os.W_OK)
    except OSError:
        return False


def install_ipykernel(python: str, around: Around, progress: Progress) -> None:
    """Install ipykernel for one interpreter by the runtime's uv. Raises UserError `install-failed`."""
    progress.phase("pip", f"installing ipykernel for {python}")
    uv = around.runtime / "venv/bin/uv"
    argv = [str(uv), "pip", "install", "--quiet", "--python", python, "ipykernel"]
    cache = paths.data_folder(around.home) / "cache/uv"
    environ = uv_environment(
        around.home, around.environ, cache=cache, index=around.site.python.index
    )
    result = process.run(argv, timeout=INSTALL_TIMEOUT, env=environ)
    if not result.ok:
        raise UserError(
            "install-failed",
            f"ipykernel could not be installed for `{python}`",
            context={"evidence": result.tail()},
            hint="is there a network here? Try again on a login node",
        )
