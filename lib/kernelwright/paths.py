"""Where things lie: the user's own folders, the runtime, and Jupyter's search path.

The store is below the passwd home, whatever XDG_DATA_HOME says: the web node cannot see that variable.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LEGACY = ".ipython/kernels"


def home_folder() -> Path:
    """The home of the user whose process this is, from passwd; $HOME only where passwd has none.

    KERNELWRIGHT_HOME names another one: for the demonstration and for tests, which leave the person's own alone.
    """
    if named := os.environ.get("KERNELWRIGHT_HOME"):
        return Path(named)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return Path(os.environ.get("HOME") or "/")


def expand_user(path: str, home: Path) -> str:
    """`~` for the home that we work for."""
    return str(home) + path[1:] if path == "~" or path.startswith("~/") else path


def data_folder(home: Path) -> Path:
    """Everything that we own in a home, except the kernelspecs that Jupyter must find."""
    return home / ".local/share/kernelwright"


def kernelspec_folder(home: Path) -> Path:
    """Jupyter's folder for the user's own kernelspecs."""
    return home / ".local/share/jupyter/kernels"


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The PREFIX of the installed runtime: it holds bin/kernelwright, current, venv and etc.

    KERNELWRIGHT_RUNTIME names it; else it is found from this interpreter (PREFIX/versions/X.Y.Z/venv);
    else it is the folder of the interpreter's environment.
    """
    if named := environ.get("KERNELWRIGHT_RUNTIME"):
        return Path(named)
    venv = Path(os.path.realpath(sys.prefix))
    if venv.parent.parent.name == "versions":
        return venv.parent.parent.parent
    return venv


def runtime_python(runtime: Path) -> Path:
    """The interpreter of the runtime that stays valid over upgrades."""
    python = runtime / "venv/bin/python"
    return python if python.exists() else Path(sys.executable)


def jupyter_path(environ: Mapping[str, str], home: Path) -> list[Path]:
    """The folders in which Jupyter looks for kernelspecs, first wins, in jupyter_core's order.

    Source: jupyter_core.paths.jupyter_path (5.x): JUPYTER_PATH, then user and environment folders
    (the environment first inside a virtual environment or with JUPYTER_PREFER_ENV_PATH), then system.
    """
    found = [Path(p) / "kernels" for p in environ.get("JUPYTER_PATH", "").split(os.pathsep) if p]
    data = environ.get("JUPYTER_DATA_DIR")
    if not data:
        base = environ.get("XDG_DATA_HOME") or str(home / ".local/share")
        data = os.path.join(base, "jupyter")
    user = [Path(data) / "kernels"]
    env = [Path(sys.prefix) / "share/jupyter/kernels"]
    system = [Path("/usr/local/share/jupyter/kernels"), Path("/usr/share/jupyter/kernels")]
    if env[0] in system:
        env = []
    found += env + user if _prefers_environment(environ) else user + env
    return found + system


def _prefers_environment(environ: Mapping[str, str]) -> bool:
    if (said := environ.get("JUPYTER_PREFER_ENV_PATH")) is not None:
        return said.lower() not in {"no", "n", "false", "off", "0", "0.0"}
    if sys.prefix != sys.base_prefix:
        return True
    conda = environ.get("CONDA_PREFIX")
    return (
        conda is not None
        and sys.prefix.startswith(conda)
        and environ.get("CONDA_DEFAULT_ENV") != "base"
    )
