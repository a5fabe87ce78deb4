"""conda environments and their kernels, found without running conda (0.8 s in every server's start).

Read: ~/.conda/environments.txt, envs_dirs of the .condarc files, and the folders where installers
put themselves.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ROOTS = (
    "miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", "mamba", "conda",
    ".conda", ".miniconda3", ".local/share/mamba",
)  # fmt: skip
LIMIT = 200  # environments; more than anybody has by hand
_RC_FILES = (
    ".condarc",
    ".conda/.condarc",
    ".conda/condarc",
    ".config/conda/.condarc",
    ".config/conda/condarc",
)


@dataclass(frozen=True)
class Environment:
    """A conda prefix: its name is its folder's, `base` for an installation itself."""

    name: str
    prefix: str


def environments(home: Path, environ: Mapping[str, str]) -> list[Environment]:
    """Every conda environment of this user that exists, each once, in the order found."""
    found: dict[str, Environment] = {}
    for prefix in _candidates(home, environ):
        real = os.path.realpath(prefix)
        if real in found or not os.path.isdir(os.path.join(prefix, "conda-meta")):
            continue
        is_base = os.path.isdir(os.path.join(prefix, "condabin"))
        found[real] = Environment("base" if is_base else os.path.basename(real), prefix)
        if len(found) >= LIMIT:
            break
    return list(found.values())


def consulted(home: Path, environ: Mapping[str, str]) -> list[str]:
    """Every file and folder whose change may bring another environment, or another kernel of one."""
    files = [str(home / ".conda/environments.txt"), *_rc_files(home, environ)]
    kernels = [f"{e.prefix}/share/jupyter/kernels" for e in environments(home, environ)]
    return [*files, *_installed(home, environ), *_env_folders(home, environ), *kernels]


def _candidates(home: Path, environ: Mapping[str, str]) -> Iterator[str]:
    for line in _text(str(home / ".conda/environments.txt")).splitlines():
        if line.startswith("/"):
            yield line.rstrip()
    yield from _installed(home, environ)
    for folder in _env_folders(home, environ):
        try:
            names = sorted(os.listdir(folder))
        except (OSError, ValueError):
            continue
        yield from (os.path.join(folder, name) for name in names)


def _installed(home: Path, environ: Mapping[str, str]) -> list[str]:
    """Where conda and its relatives put themselves."""
    found = [environ[key] for key in ("CONDA_PREFIX", "MAMBA_ROOT_PREFIX") if environ.get(key)]
    if environ.get("CONDA_EXE"):
        found.append(os.path.dirname(os.path.dirname(environ["CONDA_EXE"])))
    found += [str(home / name) for name in ROOTS]
    return [prefix for prefix in found if prefix.startswith("/")]


def _env_folders(home: Path, environ: Mapping[str, str]) -> list[str]:
    inner = [f"{prefix}/envs" for prefix in _installed(home, environ)]
    return list(dict.fromkeys([*_envs_dirs(home, environ), *inner]))


def _rc_files(home: Path, environ: Mapping[str, str]) -> list[str]:
    named = [environ["CONDARC"]] if environ.get("CONDARC") else []
    return [*named, *(str(home / name) for name in _RC_FILES)]


def _envs_dirs(home: Path, environ: Mapping[str, str]) -> Iterator[str]:
    for key in ("CONDA_ENVS_DIRS", "CONDA_ENVS_PATH"):
        yield from (p for p in environ.get(key, "").split(os.pathsep) if p.startswith("/"))
    for file in _rc_files(home, environ):
        for folder in condarc_list(_text(file), "envs_dirs") + condarc_list(
            _text(file), "envs_path"
        ):
            filled = re.sub(r"\$\{?(\w+)\}?", lambda m: environ.get(m[1], m[0]), folder)
            if filled == "~" or filled.startswith("~/"):
                filled = str(home) + filled[1:]
            if filled.startswith("/"):
                yield filled.rstrip("/")


def condarc_list(text: str, key: str) -> list[str]:
    """One list of texts from a .condarc, in block or flow style: all the YAML that such lists use."""
    match = re.search(rf"^{key}\s*:[ \t]*(.*)$", text, re.MULTILINE)
    if match is None:
        return []
    inline = match[1].split(" #")[0].strip()
    if inline.startswith("["):
        items = inline.strip("[] ").split(",")
    elif inline:
        items = [inline]
    else:
        items = []
        for line in text[match.end() :].splitlines()[1:]:
            body = line.strip()
            if body.startswith("- "):
                items.append(body[2:].split(" #")[0])
            elif body and not body.startswith("#"):
                break
    return [item.strip().strip("'\"") for item in items if item.strip()]


def _text(path: str) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as stream:
            return stream.read(1 << 18).decode("utf-8", "replace")
    except OSError:
        return ""
