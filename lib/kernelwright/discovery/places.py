"""Where kernelspecs lie: Jupyter's own search path, and the folders that only we look into."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import paths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..model import Origin


@dataclass(frozen=True)
class Root:
    """A folder of kernelspec folders; `searched` when Jupyter looks there too."""

    folder: str
    origin: Origin
    searched: bool = True
    group: str | None = None


def search_path(home: Path, environ: Mapping[str, str]) -> tuple[Root, ...]:
    """Jupyter's search path in its order, then the user's own folder where Jupyter does not look.

    Equal to KernelSpecManager's `kernel_dirs` in this interpreter (tests/discovery compares them).
    """
    real = home if environ.get("JUPYTER_DATA_DIR") or environ.get("XDG_DATA_HOME") else _real(home)
    own = {str(paths.kernelspec_folder(home)), str(paths.kernelspec_folder(real))}
    own.add(os.path.join(environ.get("JUPYTER_DATA_DIR") or "", "kernels"))
    own.add(os.path.join(environ.get("XDG_DATA_HOME") or "", "jupyter/kernels"))
    folders = dict.fromkeys(str(path) for path in paths.jupyter_path(environ, real))
    session = environ.get(
        "KERNELWRIGHT_SESSION"
    )  # its kernelspecs are copies for one server, gone tomorrow
    if session:
        folders = {
            folder: None for folder in folders if not folder.startswith(session.rstrip("/") + "/")
        }
    found = [Root(folder, "user" if folder in own else "jupyter") for folder in folders]
    found += _legacy(real, environ)
    if not own & {root.folder for root in found}:
        found.append(Root(str(paths.kernelspec_folder(home)), "user", searched=False))
    return tuple(found)


def _real(home: Path) -> Path:
    return type(home)(os.path.realpath(home))


def _legacy(home: Path, environ: Mapping[str, str]) -> list[Root]:
    """IPython's old folder: searched last, and only where the server can import IPython."""
    base = environ.get("IPYTHONDIR") or str(home / ".ipython")
    folder = os.path.join(base, "kernels")
    if not os.path.isdir(folder):
        return []
    return [Root(folder, "legacy", searched=importlib.util.find_spec("IPython") is not None)]


def native_resources() -> str | None:
    """The folder that Jupyter uses for `python3` where no kernelspec of that name exists."""
    for folder in sys.path:
        path = os.path.join(folder, "ipykernel", "resources")
        if folder and os.path.isdir(path):
            return path
    return None
