"""What every check is given: the kernel, its kernelspec, what Jupyter would do with it, the surroundings."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..discovery import shapes
from ..discovery.kernelspec_file import read
from ..mounts import LIST, Mounts
from ..store.atomic import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.model import SiteConfig
    from ..model import Kernel

SCRIPT_LIMIT = 1 << 16  # bytes of a start script that are looked at


@dataclass(frozen=True)
class Around:
    """The surroundings of one call of doctor; tests make their own."""

    home: Path
    environ: Mapping[str, str]
    site: SiteConfig
    runtime: Path
    mountinfo: str = LIST

    @cached_property
    def mounts(self) -> Mounts:
        """The file systems of this node."""
        return Mounts(self.mountinfo)

    def file_system(self, path: str) -> tuple[str, str]:
        """Type and options of the file system that `path` lies on; ("", "") when unknown."""
        return self.mounts.file_system(path)

    @cached_property
    def jupyter_runtime(self) -> str:
        """The folder in which Jupyter writes connection files."""
        if self.environ.get("JUPYTER_RUNTIME_DIR"):
            return self.environ["JUPYTER_RUNTIME_DIR"]
        base = self.environ.get("JUPYTER_DATA_DIR")
        if not base:
            share = self.environ.get("XDG_DATA_HOME") or str(self.home / ".local/share")
            base = os.path.join(share, "jupyter")
        return os.path.join(base, "runtime")


@dataclass(frozen=True)
class Subject:
    """One kernel under examination."""

    kernel: Kernel
    spec: Mapping[str, Any]
    around: Around

    @cached_property
    def start(self) -> shapes.Start:
        """What Jupyter will do; the notebook's folder is taken to be the home."""
        return shapes.predict(
            self.spec, self.kernel.path, environ=self.around.environ, cwd=str(self.around.home)
        )

    @cached_property
    def argv(self) -> tuple[str, ...]:
        """The command, substituted; empty where there is no usable one."""
        return self.start.argv

    @cached_property
    def env(self) -> dict[str, str]:
        """`env` of the kernelspec as written; only texts."""
        env = self.spec.get("env")
        pairs = env.items() if isinstance(env, dict) else ()
        return {key: value for key, value in pairs if isinstance(value, str)}

    @cached_property
    def generation(self) -> Path | None:
        """The generation's folder of a kernel that we made."""
        argv = self.spec.get("argv")
        if (
            not self.kernel.owned
            or not isinstance(argv, list)
            or not argv
            or not isinstance(argv[0], str)
        ):
            return None
        return Path(argv[0]).parent

    @cached_property
    def made(self) -> dict[str, Any]:
        """made.json of the generation; {} where it is missing or broken."""
        value = read_json(self.generation / "made.json") if self.generation else None
        return value if isinstance(value, dict) else {}

    @cached_property
    def python(self) -> str | None:
        """The interpreter that runs the kernel, when it is an absolute path on this node."""
        if self.kernel.owned:
            named = self.made.get("interpreter")
            return (
                named if isinstance(named, str) and self.made.get("kind") != "container" else None
            )
        for word in self.argv[:4]:
            if re.fullmatch(r"/.*/bin/python[0-9.]*", word):
                return word
        return None

    @cached_property
    def prefix(self) -> Path | None:
        """The environment of `python`."""
        if self.kernel.owned and isinstance(self.made.get("prefix"), str):
            return Path(self.made["prefix"])
        return Path(self.python).parent.parent if self.python else None

    @cached_property
    def script(self) -> str | None:
        """The start script of a kernel that is not ours, when there is one to be read."""
        if self.kernel.owned:
            path = (
                self.made.get("facts", {}).get("script")
                if self.made.get("kind") == "script"
                else None
            )
            return path if isinstance(path, str) else None
        for word in self.argv[:2]:
            if "/" in word and not os.path.basename(word).startswith("python") and is_text(word):
                return word
            if os.path.basename(word) not in {"bash", "sh", "env", "dash"}:
                break
        return None


def subject(kernel: Kernel, around: Around) -> Subject:
    """The kernel with its kernelspec read now, whatever the index said."""
    spec = kernel.spec or read(kernel.path).spec
    return Subject(kernel, spec, around)


def text_of(path: str | Path, limit: int = SCRIPT_LIMIT) -> str:
    """The beginning of a text file; "" where it cannot be read. Never blocks."""
    from ..discovery.kernelspec_file import read_bytes

    try:
        if str(path).startswith("/proc/"):
            with open(path, "rb") as stream:
                return stream.read(limit).decode("utf-8", "replace")
        return read_bytes(str(path), limit).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return ""


def is_text(path: str) -> bool:
    """Whether `path` is a regular file that seems to be text."""
    head = text_of(path, 512)
    return bool(head) and "\x00" not in head and not head.startswith("\x7fELF")
