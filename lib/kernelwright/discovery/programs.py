"""Which program a kernelspec starts, and whether it is there; from outside, one stat a kernel."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model import Kernel

RUNTIMES = frozenset(
    {
        "apptainer",
        "singularity",
        "shifter",
        "podman",
        "podman-hpc",
        "docker",
        "ch-run",
        "charliecloud",
        "enroot",
    }
)
_KINDS = {
    "conda": "conda", "mamba": "conda", "micromamba": "conda", "envkernel": "envkernel",
    "bash": "script", "sh": "script", "env": "script", "srun": "slurm", "slurm_jupyter_kernel": "slurm",
}  # fmt: skip
_BARE = frozenset(
    {"python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}"}
)
CODES = frozenset(
    {
        "interpreter-not-found",
        "script-not-executable",
        "program-unreachable",
        "program-not-on-path",
        "not-on-this-node",
    }
)


def is_servers_python(program: str) -> bool:
    """Whether Jupyter replaces this argv[0] by the interpreter of the server itself."""
    return program in _BARE


def substitute(word: str, folder: str) -> str:
    """What Jupyter makes of one element of argv, `{connection_file}` left as it is."""
    names = {"resource_dir": folder, "prefix": sys.prefix}
    filled = (
        re.sub(r"\{([A-Za-z0-9_]+)\}", lambda m: names.get(m[1], m[0]), word)
        if "{" in word
        else word
    )
    return os.path.expanduser(filled) if filled[:1] == "~" else filled


def program_of(spec: Mapping[str, Any], folder: str) -> str | None:
    """argv[0] as it will be run; None where there is no usable one, or where it is relative."""
    argv = spec.get("argv")
    if not isinstance(argv, list) or not argv or not isinstance(argv[0], str) or "\x00" in argv[0]:
        return None
    program = substitute(argv[0], folder)
    if is_servers_python(argv[0]) or ("/" in program and not program.startswith("/")):
        return None
    return program or None


def guess_kind(spec: Mapping[str, Any]) -> str:
    """The kind of a kernel that is not ours, from its command alone."""
    argv = spec.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        return "unknown"
    program = os.path.basename(argv[0])
    if program in RUNTIMES or (
        program == "env" and RUNTIMES & {os.path.basename(w) for w in argv[1:4]}
    ):
        return "container"
    if program in _KINDS:
        return _KINDS[program]
    if program.startswith("python") or program in {"R", "julia", "Rscript"}:
        return "prefix" if argv[0].startswith(("/", "~")) else "jupyter"
    if program.endswith((".sh", ".bash")) or argv[0].startswith("{resource_dir}"):
        return "script"
    return "program"


@dataclass(frozen=True)
class Programs:
    """Looks programs up, each bare name on PATH once a call."""

    path: str
    in_job: bool
    _bare: dict[str, bool] = field(default_factory=dict)

    def check(self, kernel: Kernel) -> Problem | None:
        """Whether what the kernel starts is there and may be run."""
        program = kernel.watch
        if program is None:
            return None
        if kernel.owned and os.path.basename(program) in RUNTIMES:
            return self._runtime(program)
        if "/" not in program:
            return None if self._on_path(program) else _not_on_path(program)
        try:
            facts = os.stat(program)
        except OSError as error:
            return self._absent(kernel, program, error)
        except ValueError:
            return None
        if stat.S_ISDIR(facts.st_mode) or facts.st_mode & 0o111:
            return None
        text = f"`{program}` may not be run: it has no execute permission"
        return Problem("script-not-executable", "error", text, f"`chmod u+x {program}`")

    def _runtime(self, program: str) -> Problem | None:
        """The container runtime of a kernel of ours: other nodes may have it, so no defect."""
        name = os.path.basename(program)
        if os.path.exists(program) or self._on_path(name):
            return None
        text = f"{name} is not on this node"
        return Problem(
            "runtime-missing", "warning", text, "the kernel starts on nodes that have it"
        )

    def _on_path(self, program: str) -> bool:
        if program not in self._bare:
            import shutil

            self._bare[program] = shutil.which(program, path=self.path) is not None
        return self._bare[program]

    def _absent(self, kernel: Kernel, program: str, error: OSError) -> Problem:
        if error.errno in {errno.EACCES, errno.EPERM}:
            text = f"`{program}` cannot be reached: a folder above it may not be entered"
            return Problem(
                "program-unreachable", "error", text, f"`namei -l {program}` shows which"
            )
        if not self.in_job and not _top_exists(program):
            text = f"`{program}` lies on a file system that this node does not have"
            return Problem("not-on-this-node", "warning", text, "look again from inside a job")
        text = f"kernel `{kernel.name}` cannot start: `{program}` does not exist"
        if os.path.basename(program) in RUNTIMES:
            return Problem(
                "interpreter-not-found",
                "error",
                text,
                "the container runtime has moved, or needs a module",
            )
        hint = "the environment was moved or removed; "
        hint += f"run `kernelwright repair {kernel.name} --prefix NEW` or `kernelwright remove {kernel.name}`"
        return Problem("interpreter-not-found", "error", text, hint)


def _not_on_path(program: str) -> Problem:
    hint = "give its absolute path, or load its module"
    if program in RUNTIMES:
        text = (
            f"`{program}` is not on PATH here; it may need a module, or exist on other nodes only"
        )
        return Problem("program-not-on-path", "warning", text, hint)
    return Problem("program-not-on-path", "error", f"`{program}` is not on PATH here", hint)


def _top_exists(program: str) -> bool:
    """Whether the first folder of the path exists: else a whole file system is missing here."""
    return os.path.isdir("/" + program.split("/", 2)[1])
