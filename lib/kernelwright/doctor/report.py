"""One text file for the help desk: what was found, versions, modules, paths with permissions, the last start.

Values of `env` and `metadata` are not copied, only names; then everything goes through `redact`.
"""

from __future__ import annotations

import grp
import json
import os
import platform
import pwd
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, node, paths, process
from ..errors import UserError
from .diagnose import diagnose
from .secrets import names_secret, redact
from .subject import subject, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..errors import Problem
    from ..model import Kernel
    from .diagnose import Diagnosis
    from .subject import Around

LOG_TAIL = 200  # lines
# variables that decide where Jupyter, Python and modules look; nobody keeps a secret in them
TOLD = (
    "HOME", "SHELL", "LANG", "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE", "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME", "TMPDIR", "IPYTHONDIR", "CONDA_PREFIX", "VIRTUAL_ENV", "MODULEPATH", "LOADEDMODULES", "LMOD_VERSION",
    "SLURM_JOB_ID", "SLURM_JOB_PARTITION", "SLURM_CLUSTER_NAME", "SLURM_JOB_NODELIST", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
PACKAGES = (
    "jupyter_client",
    "jupyter_core",
    "jupyter_server",
    "jupyterlab",
    "ipykernel",
    "pyzmq",
    "uv",
    "py-rattler",
)


def default_path(home: Path) -> Path:
    """Where a report goes unless the user says otherwise."""
    return home / f"kernelwright-report-{time.strftime('%Y%m%d-%H%M%S')}.txt"


def make_report(around: Around, name: str | None = None) -> str:
    """The report about one kernel, or about all of them. Raises `no-such-kernel`."""
    found, _ = diagnose(around, names=[name] if name else ())
    if name and not found:
        raise UserError(
            "no-such-kernel",
            f"there is no kernel called `{name[:80]}`",
            hint="`kernelwright list --all` shows what there is",
        )
    from .account import check_account

    parts: list[tuple[str, Iterable[str]]] = [
        ("This report", _head(around)),
        ("Account", _problems(check_account(around))),
        ("Environment", _variables(around.environ)),
        ("Space", _space(around)),
        ("Kernels", _table(found)),
    ]
    for diagnosis in found if name else [d for d in found if d.broken]:
        parts += _kernel(diagnosis, around)
    text = "\n".join(f"== {title} ==\n" + "\n".join(lines) + "\n" for title, lines in parts)
    return redact(text)


def _head(around: Around) -> Iterator[str]:
    yield f"kernelwright {__version__}, runtime {around.runtime}"
    yield f"made {time.strftime('%Y-%m-%d %H:%M:%S %z')} on {os.uname().nodename}"
    groups = sorted({_group(number) for number in {os.getgid(), *os.getgroups()}})
    yield f"user {_user(os.getuid())}, groups {', '.join(groups)}"
    yield f"{platform.platform()}, {platform.machine()}, glibc {node.glibc()}, x86-64 level {node.cpu_level()}, Python {platform.python_version()}"
    from importlib.metadata import PackageNotFoundError, version

    for package in PACKAGES:
        try:
            yield f"  {package} {version(package)}"
        except PackageNotFoundError:
            yield f"  {package} is not in the runtime"


def _problems(problems: Iterable[Problem]) -> Iterator[str]:
    none = True
    for problem in problems:
        none = False
        yield f"{problem.severity}: {problem.code}: {problem.message}"
        yield from (f"    | {line}" for line in (problem.evidence or "").splitlines())
        if problem.hint:
            yield f"    -> {problem.hint}"
    if none:
        yield "nothing found"


def _variables(environ: Mapping[str, str]) -> Iterator[str]:
    for key in TOLD:
        if key in environ:
            yield f"{key}={environ[key]}"
    for key in sorted(environ):
        if key.startswith(("JUPYTER_", "KERNELWRIGHT_", "APPTAINER_", "SINGULARITY_")):
            yield f"{key}={'[not shown]' if names_secret(key) else environ[key]}"
    others = [key for key in sorted(environ) if key not in TOLD and not names_secret(key)]
    yield "also set (names only): " + " ".join(others)


def _space(around: Around) -> Iterator[str]:
    places = {
        "HOME": str(around.home),
        "store": str(paths.data_folder(around.home)),
        "connection files": around.jupyter_runtime,
    }
    for what, folder in places.items():
        kind, options = around.file_system(folder)
        try:
            facts = os.statvfs(folder)
            free = f"{facts.f_bavail * facts.f_frsize >> 20} MiB of {facts.f_blocks * facts.f_frsize >> 20} MiB free, {facts.f_favail} files"
        except OSError as error:
            free = str(error.strerror)
        yield f"{what}: {folder}: {kind or 'unknown file system'} ({options}): {free}"
    try:
        result = process.run(["quota", "-s"], timeout=3, env={"PATH": os.defpath, "LC_ALL": "C"})
        yield from result.stdout.splitlines()
    except UserError:
        yield "no answer from `quota -s`"


def _table(found: Iterable[Diagnosis]) -> Iterator[str]:
    for one in found:
        kernel = one.kernel
        codes = ", ".join(p.code for p in one.problems) or "-"
        yield f"{kernel.name}  {kernel.state}  {kernel.origin}  {kernel.kind}  {kernel.launcher}  {'owned' if kernel.owned else 'not owned'}  {codes}  {kernel.path}"


def _kernel(diagnosis: Diagnosis, around: Around) -> list[tuple[str, Iterable[str]]]:
    kernel = diagnosis.kernel
    one = subject(kernel, around)
    parts: list[tuple[str, Iterable[str]]] = [
        (f"Kernel {kernel.name}", _problems(diagnosis.problems)),
        (f"kernel.json of {kernel.name}", _spec(one.spec)),
        (f"Paths of {kernel.name}", _paths(kernel, one.argv, one.script)),
    ]
    if one.script:
        parts.append((f"Script of {kernel.name}", text_of(one.script).splitlines()[:LOG_TAIL]))
    if one.generation is not None:
        files = ("recipe.yml", "launch.sh", "made.json", "facts.json")
        parts += [
            (f"{f} of {kernel.name}", text_of(one.generation / f).splitlines()) for f in files
        ]
        parts += [
            (f"log {path.name} of {kernel.name}", _tail(path)) for path in _logs(one.generation)
        ]
    return parts


def _spec(spec: Mapping[str, Any]) -> list[str]:
    """kernel.json with the values of env and metadata left out, but for those that only name folders."""
    shown = dict(spec)
    for key in ("env", "metadata"):
        values = spec.get(key)
        if isinstance(values, dict):
            shown[key] = {
                k: v if k in TOLD or k == "kernelwright" else "[not shown]"
                for k, v in values.items()
            }
    try:
        return json.dumps(shown, indent=1, ensure_ascii=True).splitlines()
    except (TypeError, ValueError, RecursionError):
        return ["it cannot be shown"]


def _paths(kernel: Kernel, argv: Iterable[str], script: str | None) -> Iterator[str]:
    """Each folder on the way to each file that matters, with mode and owner: what `namei -l` shows."""
    wanted = [os.path.join(kernel.path, "kernel.json"), script or "", kernel.watch or ""]
    wanted += [word for word in argv if word.startswith("/")][:6]
    seen: set[Path] = set()
    for path in dict.fromkeys(p for p in wanted if p.startswith("/")):
        parts = [*reversed(Path(path).parents), Path(path)]
        yield from (_mode(part) for part in parts if part not in seen)
        seen.update(parts)


def _mode(path: Path) -> str:
    try:
        facts = os.lstat(path)
    except OSError as error:
        return f"{error.strerror}: {path}"
    target = f" -> {os.readlink(path)}" if stat.S_ISLNK(facts.st_mode) else ""
    return f"{stat.filemode(facts.st_mode)} {_user(facts.st_uid)} {_group(facts.st_gid)} {facts.st_size} {path}{target}"


def _logs(generation: Path) -> list[Path]:
    """The newest logs of builds, tests and starts."""
    folders = [generation, generation / "starts"]
    files = [
        p
        for folder in folders
        for pattern in ("*.log", "*.start", "*.died")
        for p in folder.glob(pattern)
    ]
    return sorted(files, key=lambda p: -p.stat().st_mtime)[:6]


def _tail(path: Path) -> list[str]:
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - 65536))
        return stream.read().decode("utf-8", "replace").splitlines()[-LOG_TAIL:]


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
