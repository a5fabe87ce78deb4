"""`site selftest`: run by an admin as an ordinary user, on a login node or in a job.

Looks at what kernels and sessions will need here. Each check answers with a Check; none raises, none
leaves anything behind.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process
from ..catalog import central, resolve
from ..config.effective import catalog_path, read_catalog
from ..errors import UserError
from ..store.expand import expand
from .check import Check
from .slurm_check import submit_and_dial_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .check import Surroundings

SPACE_WANTED = 2 << 30  # bytes; a scientific environment takes 1 to 5 GB


def selftest(around: Surroundings, *, slurm: bool = True) -> Iterator[Check]:
    """Every check, as soon as it is done."""
    for name, check in CHECKS.items():
        yield _guarded(name, check, around)
    if slurm:
        yield _guarded("slurm", submit_and_dial_back, around)
    for kernel in central(around.site, environ=around.environ):
        problem = resolve(kernel).problem
        name = f"kernel {kernel.name}"
        yield (
            Check(name, "failed", problem.message, problem.hint)
            if problem
            else Check(name, "ok", str(kernel.folder))
        )


def _guarded(name: str, check: Callable[[Surroundings], Check], around: Surroundings) -> Check:
    try:
        return check(around)
    except UserError as error:
        return Check(name, "failed", error.message, error.hint)
    except OSError as error:
        return Check(
            name, "failed", f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
        )


def _runtime(around: Surroundings) -> Check:
    program = around.runtime / "bin/kernelwright"
    if not os.access(program, os.X_OK):
        return Check(
            "runtime",
            "failed",
            f"`{program}` cannot be run by this user",
            "install it with `make install PREFIX=...`, readable by everybody, on a file system that all nodes see",
        )
    result = process.run([str(program), "--version"], timeout=60, env=around.environ)
    if not result.ok:
        return Check(
            "runtime",
            "failed",
            f"`{program} --version` failed: {result.tail(3)}",
            "look at the permissions and at the interpreter of the runtime",
        )
    return Check("runtime", "ok", f"{result.stdout.strip()} in {around.runtime}")


def _catalog(around: Surroundings) -> Check:
    path = catalog_path(around.environ)
    if path is None:
        return Check(
            "catalog",
            "skipped",
            "KERNELWRIGHT_SITE_CONFIG is set: the site's files are read as they are",
        )
    found = read_catalog(path)
    if found is None:
        return Check(
            "catalog",
            "failed",
            f"`{path}` is not there or cannot be read",
            "`kernelwright site compile` writes it",
        )
    return Check(
        "catalog",
        "ok",
        f"{found['site']['name']}, {len(found['kernels'])} central kernels, {str(found.get('sha'))[:12]}",
    )


def _home(around: Surroundings) -> Check:
    return _writable("home", around.home / ".local/share/kernelwright", run=False)


def _storage(around: Surroundings) -> Check:
    if not around.site.storage.root:
        return _writable("storage", around.home / ".local/share/kernelwright", run=True)
    return _writable(
        "storage", expand(around.site.storage.root, around.home, around.environ), run=True
    )


def _writable(name: str, folder: Path, *, run: bool) -> Check:
    """Whether a file can be written (and run) in `folder`, which is made for the trial where missing."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        return Check(
            name,
            "failed",
            f"`{folder}` cannot be made: `{there}` is not writable",
            "make the parent folder for every user, or change `storage.root`",
        )
    with tempfile.TemporaryDirectory(prefix=".kernelwright-selftest-", dir=there) as trial:
        script = Path(trial) / "run"
        script.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
        script.chmod(0o700)
        if run and not process.run([str(script)], timeout=30).ok:
            return Check(
                name,
                "failed",
                f"programs in `{folder}` cannot be run",
                "the file system is mounted noexec: choose another `storage.root`",
            )
        free = shutil.disk_usage(trial).free
    if run and free < SPACE_WANTED:
        return Check(
            name,
            "failed",
            f"`{there}` has only {free >> 20} MB free",
            "a scientific environment takes 1 to 5 GB",
        )
    return Check(name, "ok", f"{folder}, {free >> 30} GB free")


def _modules(around: Surroundings) -> Check:
    said = around.site
    if not said.modules.init and not said.jupyter.modules:
        return Check("modules", "skipped", "the site names no modules")
    words = [
        "bash",
        "-c",
        _MODULE_SCRIPT,
        "selftest",
        said.modules.init or "",
        *said.jupyter.modules,
    ]
    result = process.run(words, timeout=60, env=around.environ)
    if not result.ok:
        return Check(
            "modules",
            "failed",
            result.tail(3) or "the module function is not defined",
            "set `modules.init` to the file that defines `module`, and check `jupyter.modules`",
        )
    return Check(
        "modules", "ok", ", ".join(said.jupyter.modules) or f"defined by {said.modules.init}"
    )


_MODULE_SCRIPT = """
if [ -n "$1" ]; then . "$1" || { echo "$1 cannot be read" >&2; exit 1; }; fi
shift
command -v module >/dev/null || { echo 'the module function is not defined' >&2; exit 1; }
for name in "$@"; do module load "$name" || exit 1; done
"""


def _jupyter(around: Surroundings) -> Check:
    command = around.site.jupyter.command
    if command and around.site.jupyter.modules:
        return Check("jupyter", "skipped", "it comes from a module; a session loads it")
    program = command or str(around.runtime / "venv/bin/jupyter")
    result = process.run([program, "server", "--version"], timeout=120, env=around.environ)
    version = result.stdout.strip()
    if not result.ok or not version[:1].isdigit():
        return Check(
            "jupyter",
            "failed",
            f"`{program} server --version` failed: {result.tail(2)}",
            "install JupyterLab into the runtime (`make install` without JUPYTER=0), or set `jupyter.command`",
        )
    if int(version.split(".")[0]) < 2:
        return Check(
            "jupyter", "failed", f"jupyter_server {version} is too old", "2.0 or newer is needed"
        )
    return Check("jupyter", "ok", f"jupyter_server {version}")


def _python(around: Surroundings) -> Check:
    said = around.site.python.interpreters
    if not said:
        return Check("python", "skipped", "the site names no interpreters: those on PATH are used")
    found = []
    for path in said:
        result = process.run(
            [path, "-I", "-c", "import sys, venv; print('.'.join(map(str, sys.version_info[:3])))"],
            timeout=60,
        )
        if not result.ok:
            return Check(
                "python",
                "failed",
                f"`{path}` cannot make environments: {result.tail(1)}",
                "install its venv module",
            )
        found.append(result.stdout.strip())
    return Check("python", "ok", ", ".join(found))


def _containers(around: Surroundings) -> Check:
    said = around.site.containers.runtimes
    tried = [(name, runtime.path or name, runtime.module) for name, runtime in said.items()] or [
        (name, name, None) for name in ("apptainer", "singularity")
    ]
    for name, program, module in tried:
        if module:
            words = [
                "bash",
                "-lc",
                _MODULE_SCRIPT + '\nexec "$KERNELWRIGHT_PROGRAM" --version',
                "selftest",
                around.site.modules.init or "",
                module,
            ]
            result = process.run(
                words, timeout=60, env={**around.environ, "KERNELWRIGHT_PROGRAM": program}
            )
        elif shutil.which(program, path=around.environ.get("PATH")):
            result = process.run([program, "--version"], timeout=60, env=around.environ)
        else:
            continue
        if result.ok:
            return Check(
                "containers",
                "ok",
                result.stdout.strip().splitlines()[0] if result.stdout.strip() else name,
            )
        if said:
            return Check(
                "containers", "failed", f"{name}: {result.tail(2)}", "correct `containers.runtimes`"
            )
    if said:
        return Check(
            "containers",
            "failed",
            f"none of {', '.join(said)} was found on this node",
            "correct `containers.runtimes`",
        )
    return Check("containers", "skipped", "no container runtime on PATH, and the site names none")


CHECKS: dict[str, Callable[[Surroundings], Check]] = {
    "runtime": _runtime,
    "catalog": _catalog,
    "home": _home,
    "storage": _storage,
    "modules": _modules,
    "jupyter": _jupyter,
    "python": _python,
    "containers": _containers,
}
