"""Checks of the Python environment that a kernel starts, from outside, in about a millisecond."""

from __future__ import annotations

import os
import platform
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from ..environments import layout
from ..errors import Problem
from ..mounts import NETWORK
from .subject import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .subject import Subject

_MACHINES = {62: "x86_64", 183: "aarch64", 21: "ppc64le", 22: "s390x", 243: "riscv64", 3: "i686"}
# packages that decide whether a kernel starts; others in ~/.local are only worth a note
_VITAL = (
    "ipykernel",
    "ipython",
    "jupyter-client",
    "jupyter-core",
    "traitlets",
    "tornado",
    "pyzmq",
    "numpy",
)
_LIBRARIES = (
    "libstdc++.so.6",
    "libssl.so",
    "libcrypto.so",
    "libsqlite3.so.0",
    "libz.so.1",
    "libzmq.so.5",
    "libffi.so",
    "libexpat.so.1",
)


def check_ipykernel(subject: Subject) -> Iterator[Problem]:
    """Whether the interpreter that is started can find ipykernel."""
    prefix = subject.prefix
    if (
        prefix is None
        or subject.python is None
        or subject.kernel.owned
        or not os.path.isdir(prefix)
    ):
        return
    if not _wants_ipykernel(subject.argv) or _finds_ipykernel(subject, prefix):
        return
    text = f"ipykernel is not installed in `{prefix}`, so that Jupyter cannot talk to its Python"
    name = subject.kernel.name
    hint = (
        f"`kernelwright repair {name}` installs it, or `{subject.python} -m pip install ipykernel`"
    )
    yield Problem("ipykernel-missing", "error", text, hint, str(prefix))


def _wants_ipykernel(argv: tuple[str, ...]) -> bool:
    return any(re.match(r"ipykernel(?:_launcher|\.\w+)?$", word) for word in argv)


def _finds_ipykernel(subject: Subject, prefix: Path) -> bool:
    if layout.has_ipykernel(prefix):
        return True
    config = layout.pyvenv(prefix)
    if config and config.get("include-system-site-packages", "").lower() == "true":
        base = Path(config.get("home", "/usr/bin")).parent
        home = (
            subject.around.home / f".local/lib/python{layout.python_version(prefix)}/site-packages"
        )
        if layout.has_ipykernel(base) or (home / "ipykernel").is_dir():
            return True
    if not config and (user := user_site(subject)) and (user / "ipykernel").is_dir():
        return True
    paths = subject.start.env.get("PYTHONPATH", subject.around.environ.get("PYTHONPATH", ""))
    return any(os.path.isdir(os.path.join(p, "ipykernel")) for p in paths.split(os.pathsep) if p)


def check_moved(subject: Subject) -> Iterator[Problem]:
    """A prefix that remembers another place: its own commands and hooks still lead there."""
    prefix, python = subject.prefix, subject.python
    if prefix is None or python is None:
        return
    if os.path.lexists(python) and not os.path.exists(python):
        text = f"`{python}` is a link to an interpreter that does not exist any more"
        hint = f"`kernelwright repair {subject.kernel.name}` looks for the environment or makes it anew"
        yield Problem("base-python-missing", "error", text, hint, os.readlink(python))
        return
    home = layout.pyvenv(prefix).get("home")
    if home and not os.path.isdir(home):
        text = f"the environment `{prefix}` was made over a Python in `{home}`, which is gone"
        hint = f"`kernelwright repair {subject.kernel.name}` makes it anew over another one"
        yield Problem("base-python-missing", "error", text, hint)
    old = remembered_prefix(prefix)
    if old and os.path.realpath(old) != os.path.realpath(prefix):
        gone = "" if os.path.isdir(old) else ", which is gone"
        text = f"the environment `{prefix}` was made as `{old}`{gone}: environments cannot be moved"
        hint = "its own commands (pip, jupyter) still start the old place; make it anew where it is"
        yield Problem("environment-moved", "warning", text, hint, old)


def remembered_prefix(prefix: Path) -> str | None:
    """Where the environment was made, by its own files: activate script, shebangs of bin/."""
    found = re.search(
        r"""^\s*VIRTUAL_ENV=["']?(/[^"'\n]+)""",
        text_of(prefix / "bin/activate", 8192),
        re.MULTILINE,
    )
    if found and (prefix / "pyvenv.cfg").exists():
        return found[1].strip()
    for name in ("pip", "pip3", "jupyter-kernel", "ipython", "conda"):
        line = text_of(prefix / "bin" / name, 256).split("\n", 1)[0]
        shebang = re.match(r"#!\s*(/\S+)/bin/python[0-9.]*\s*$", line)
        if shebang:
            return shebang[1]
    return None


def user_site(subject: Subject) -> Path | None:
    """~/.local's packages for this Python, where they are visible to the kernel."""
    env = {**subject.around.environ, **subject.start.env}
    if env.get("PYTHONNOUSERSITE") or subject.kernel.owned or subject.prefix is None:
        return None
    if layout.pyvenv(subject.prefix):
        return None  # a virtual environment has no user site, or (with the system's packages) has it last
    version = layout.python_version(subject.prefix)
    base = env.get("PYTHONUSERBASE") or str(subject.around.home / ".local")
    folder = Path(base) / f"lib/python{version}/site-packages"
    return folder if version and folder.is_dir() else None


def check_leaks(subject: Subject) -> Iterator[Problem]:
    """What of the surrounding session gets into the kernel: ~/.local, PYTHONPATH, PYTHONHOME, libraries."""
    if subject.kernel.owned or subject.prefix is None or subject.python is None:
        return
    folder = user_site(subject)
    if folder is not None:
        names = {layout.normal(e.split("-")[0]) for e in _names(folder) if e.endswith(".dist-info")}
        vital = sorted(names & set(_VITAL))
        if names:
            what = f", among them {', '.join(vital)}" if vital else ""
            text = f"{len(names)} packages in `{folder}` come before the environment's own{what}"
            hint = '"env": {"PYTHONNOUSERSITE": "1"} in kernel.json keeps them out; `kernelwright adopt` does so on request'
            yield Problem("user-site-leaks", "warning" if vital else "note", text, hint)
    env = {**subject.around.environ, **subject.start.env}
    for name in ("PYTHONHOME", "PYTHONPATH"):
        if env.get(name):
            text = f"{name} is set where the kernel starts and changes which packages it finds"
            hint = f"unset {name} in the session, or take it out of `env`"
            grave = name == "PYTHONHOME" or name in subject.env
            evidence = env[name][:300]
            yield Problem("python-path-leaks", "warning" if grave else "note", text, hint, evidence)
    yield from _libraries(subject, env.get("LD_LIBRARY_PATH", ""))


def _libraries(subject: Subject, path: str) -> Iterator[Problem]:
    """Folders of LD_LIBRARY_PATH that hold a library which the environment has itself."""
    prefix = subject.prefix
    own = _names(prefix / "lib") if prefix and path else []
    for folder in [
        p for p in path.split(os.pathsep) if p and prefix and not p.startswith(str(prefix))
    ]:
        both = [n for n in _names(folder) if n in own and n.startswith(_LIBRARIES)]
        empty = [
            n
            for n in _names(folder)
            if n.startswith(_LIBRARIES) and _too_short(os.path.join(folder, n))
        ]
        if both or empty:
            text = f"`{folder}` in LD_LIBRARY_PATH has its own {(both or empty)[0]}, which comes before the environment's"
            hint = "take the folder out of LD_LIBRARY_PATH, or do not load the module that puts it there"
            yield Problem(
                "library-path-leaks",
                "error" if empty else "warning",
                text,
                hint,
                ", ".join(both or empty)[:300],
            )


def _too_short(path: str) -> bool:
    try:
        return os.path.isfile(path) and os.path.getsize(path) < 64
    except OSError:
        return False


def check_architecture(subject: Subject) -> Iterator[Problem]:
    """Whether the interpreter's ELF header names this node's processor."""
    machine = elf_machine(subject.python) if subject.python else None
    if machine and machine != platform.machine():
        text = f"`{subject.python}` was built for {machine}, this node is {platform.machine()}"
        hint = "start it on a node of that kind, or make the environment anew here"
        yield Problem("wrong-architecture", "error", text, hint)


def elf_machine(path: str) -> str | None:
    """The processor family of an ELF file; None for everything else."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(20)
    except OSError:
        return None
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    return _MACHINES.get(struct.unpack_from(">H" if head[5] == 2 else "<H", head, 18)[0])


def check_network_disk(subject: Subject) -> Iterator[Problem]:
    """Many small files on a parallel file system: the first import of a session takes its time."""
    if subject.prefix is None:
        return
    kind, _ = subject.around.file_system(str(subject.prefix))
    if kind in NETWORK and kind not in {"nfs", "nfs4"}:
        text = f"the environment lies on {kind}: its first import in a session can take a minute"
        yield Problem(
            "environment-on-network-disk",
            "note",
            text,
            "a container image is one file and starts faster there",
        )


def _names(folder: str | Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
