"""What lies in a prefix, read from outside: interpreter, packages, kernelspecs, activation hooks.

Shared by every kind that has a prefix. Starts no process; a probe of one prefix takes about a millisecond.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 1 << 20  # bytes read of a kernel.json, pyvenv.cfg or state file


def interpreter(prefix: Path) -> Path | None:
    """The Python of a prefix, or None when it has none that can be run."""
    for name in ("python", "python3"):
        path = prefix / "bin" / name
        if os.access(path, os.X_OK) and path.is_file():
            return path
    return None


def python_version(prefix: Path) -> str | None:
    """The X.Y version, from the prefix's lib/pythonX.Y folder, without running anything."""
    if config := pyvenv(prefix):
        found = re.match(r"(\d+\.\d+)", config.get("version_info", config.get("version", "")))
        if found:
            return found[1]
    names = [p.name[6:] for p in (prefix / "lib").glob("python3.*") if p.is_dir()]
    return max(
        names, key=lambda v: int(v.split(".")[1]) if v.split(".")[1].isdigit() else 0, default=None
    )


def pyvenv(prefix: Path) -> dict[str, str]:
    """The keys of pyvenv.cfg; {} where the prefix is no virtual environment."""
    try:
        text = (prefix / "pyvenv.cfg").read_text(errors="replace")[:LIMIT]
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def site_packages(prefix: Path) -> Iterator[Path]:
    """The folders in which the prefix's own Python finds packages."""
    for lib in ("lib", "lib64"):
        for version in sorted((prefix / lib).glob("python3.*")):
            for name in ("site-packages", "dist-packages"):
                if (version / name).is_dir():
                    yield version / name
    if prefix == Path("/usr"):
        yield from (p for p in (Path("/usr/lib/python3/dist-packages"),) if p.is_dir())


def distributions(prefix: Path, *, by_conda: bool = True) -> dict[str, str]:
    """Installed Python distributions by normalised name, with their versions, from the folder names.

    Without `by_conda` those are left out that came in a conda package, which may have another name.
    """
    found: dict[str, str] = {}
    for folder in site_packages(prefix):
        for entry in os.listdir(folder):
            match = re.fullmatch(r"(.+?)-([^-]+)\.(?:dist-info|egg-info)", entry)
            if match and (by_conda or not _from_conda(folder / entry)):
                found.setdefault(normal(match[1]), match[2])
    return found


def _from_conda(record: Path) -> bool:
    """Whether conda's own build says that it installed this (PEP 376)."""
    try:
        return (record / "INSTALLER").read_bytes().strip() == b"conda"
    except OSError:
        return False


def normal(name: str) -> str:
    """A distribution name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def has_ipykernel(prefix: Path) -> bool:
    """Whether the prefix's own Python can start a kernel."""
    return any((folder / "ipykernel").is_dir() for folder in site_packages(prefix))


def kernelspecs(prefix: Path) -> dict[str, dict[str, Any]]:
    """The kernelspecs that lie in the prefix, by name; what cannot be read is left out."""
    found = {}
    for path in sorted((prefix / "share/jupyter/kernels").glob("*/kernel.json")):
        try:
            if path.stat().st_size <= LIMIT:
                spec = json.loads(path.read_bytes())
                if isinstance(spec, dict) and isinstance(spec.get("argv"), list):
                    found[path.parent.name] = spec | {"resource_dir": str(path.parent)}
        except (OSError, ValueError, RecursionError):
            continue
    return found


def language_command(prefix: Path, language: str) -> tuple[str, ...] | None:
    """How the prefix itself starts a kernel of `language`: its own kernelspec, else what is known of R.

    A bare argv[0] is looked up in the prefix: Jupyter would take the server's PATH for it.
    """
    for spec in kernelspecs(prefix).values():
        argv = [str(part).replace("{resource_dir}", spec["resource_dir"]) for part in spec["argv"]]
        if argv and str(spec.get("language", "")).lower() == language:
            own = prefix / "bin" / argv[0]
            return (str(own) if "/" not in argv[0] and own.exists() else argv[0], *argv[1:])
    program = prefix / "bin" / "R"
    if language == "r" and program.exists() and _has_irkernel(prefix):
        return (str(program), "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}")
    return None


def _has_irkernel(prefix: Path) -> bool:
    folders = ("lib/R/library", "lib/R/site-library", "local/lib/R/site-library", "lib64/R/library")
    return any((prefix / folder / "IRkernel").is_dir() for folder in folders)


def is_conda(prefix: Path) -> bool:
    """Whether the prefix was made by conda or one of its relatives."""
    return (prefix / "conda-meta").is_dir()


def conda_hooks(prefix: Path) -> tuple[str, ...]:
    """The shell files that conda would source at activation, in its order."""
    return tuple(str(p) for p in sorted((prefix / "etc/conda/activate.d").glob("*.sh")))


def conda_variables(prefix: Path) -> dict[str, str]:
    """The variables that conda would set at activation (env_vars.d, then conda-meta/state).

    Source: conda's own activate.py: package files first, the user's `conda env config vars` last.
    """
    found: dict[str, str] = {}
    files = [*sorted((prefix / "etc/conda/env_vars.d").glob("*.json")), prefix / "conda-meta/state"]
    for path in files:
        try:
            data = json.loads(path.read_bytes()[:LIMIT])
        except (OSError, ValueError):
            continue
        values = data.get("env_vars", data) if path.name == "state" else data
        if isinstance(values, dict):
            found |= {str(k): str(v) for k, v in values.items() if v != "***unset***"}
    return found


def check_prefix(prefix: str | None, python: str | None, language: str) -> list[Problem]:
    """The problems of a prefix that are the same for every kind that has one."""
    if prefix is None or not os.path.isdir(prefix):
        return [
            Problem(
                "environment-missing",
                "error",
                f"the environment `{prefix}` does not exist",
                "it was moved or removed; `kernelwright repair NAME` rebuilds it",
            )
        ]
    if not os.access(prefix, os.R_OK | os.X_OK):
        return [
            Problem(
                "environment-closed",
                "error",
                f"the environment `{prefix}` may not be read",
                "`kernelwright repair NAME` opens it to you if it is yours",
            )
        ]
    if language != "python":
        return []
    if python is None or not os.access(python, os.X_OK):
        return [
            Problem(
                "interpreter-not-found",
                "error",
                f"the interpreter `{python}` cannot be run",
                "`kernelwright repair NAME` rebuilds the environment",
            )
        ]
    return _check_python(Path(prefix))


def _check_python(prefix: Path) -> list[Problem]:
    found = []
    home = pyvenv(prefix).get("home")
    if home and not os.path.isdir(home):
        found.append(
            Problem(
                "base-python-missing",
                "error",
                f"the base interpreter in `{home}` is gone",
                "`kernelwright repair NAME` rebuilds the environment over another one",
            )
        )
    elif not has_ipykernel(prefix):
        found.append(
            Problem(
                "ipykernel-missing",
                "error",
                f"ipykernel is not installed in `{prefix}`",
                "`kernelwright repair NAME` brings it",
            )
        )
    return found
