"""The container runtimes, behind one contract: how each is found, asked, and what each call looks like.

Another runtime (charliecloud, podman, Shifter) joins as one more `Flavour` with its own argv functions.
Nothing here runs a container: the argv are returned, `pull` and `probe` run them.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ... import process
from ...errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...config.model import ContainerRuntime, SiteConfig

VERSION_TIMEOUT = 30.0  # seconds; a cold start from a slow file system
MODULE_INITS = (
    "/etc/profile.d/lmod.sh",
    "/etc/profile.d/modules.sh",
    "/usr/share/lmod/lmod/init/bash",
)
# finds a program behind a module; the words come as arguments, so that none becomes shell text
_BEHIND_MODULE = 'for f in "${@:3}"; do [ -r "$f" ] && . "$f" && break; done >/dev/null 2>&1; module load "$1" >/dev/null 2>&1; command -v "$2"'


@dataclass(frozen=True)
class Flavour:
    """What differs between runtimes of one family: the program's name and its variables' prefix."""

    program: str
    prefix: str  # APPTAINER: APPTAINERENV_NAME sets NAME inside, APPTAINER_CACHEDIR is the cache


FLAVOURS = {
    "apptainer": Flavour("apptainer", "APPTAINER"),
    "singularity": Flavour("singularity", "SINGULARITY"),
}


@dataclass(frozen=True)
class Runtime:
    """A runtime that was found on this node: absolute path, version, and the module behind which it lies."""

    name: str
    path: str
    version: str
    module: str | None = None

    @property
    def flavour(self) -> Flavour:
        """The family's names and prefixes."""
        return FLAVOURS[self.name]

    @property
    def number(self) -> tuple[int, ...]:
        """The version for comparison: (1, 4, 5)."""
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:3])

    def facts(self) -> dict[str, Any]:
        """What made.json keeps."""
        return asdict(self)

    def pull(self, address: str, target: str, *, insecure: bool) -> tuple[str, ...]:
        """Fetch or convert `address` into the new SIF file `target`."""
        plain = (
            ("--no-https",)
            if insecure and self.name == "apptainer"
            else ("--nohttps",)
            if insecure
            else ()
        )
        return (self.path, "pull", *plain, target, address)

    def convert(self, source: str, target: str) -> tuple[str, ...]:
        """Make the new SIF file `target` from an OCI or docker archive."""
        return (self.path, "build", target, source)

    def inside(
        self, image: str, command: Sequence[str], *, bind: str | None = None, unsquash: bool = False
    ) -> tuple[str, ...]:
        """Run `command` in the image, seeing nothing of this node but the folder `bind`."""
        return (
            self.path, "-s", "exec", "--contain", "--cleanenv", "--no-home", "--pwd", "/",
            *(("--bind", f"{bind}:{bind}") if bind else ()),
            *(("--unsquash",) if unsquash else ()), image, *command,
        )  # fmt: skip

    def compile(self, image: str, python: str, folder: str, *, unsquash: bool) -> tuple[str, ...]:
        """Compile the Python files of `folder` by the image's own Python: a start is then 2 s faster."""
        words = (python, "-m", "compileall", "-q", folder)
        return self.inside(image, words, bind=folder, unsquash=unsquash)

    def verify(self, image: str) -> tuple[str, ...]:
        """Check the signatures of a SIF file against the user's and the site's keys."""
        return (self.path, "verify", image)

    def environment(
        self, environ: Mapping[str, str], *, cache: str | None = None, temporary: str | None = None
    ) -> dict[str, str]:
        """The variables for a call of ours: no binds or settings meant for other containers."""
        meant_for_others = re.compile(
            r"(APPTAINER|SINGULARITY)(ENV_.*|_(BIND|BINDPATH|NV|ROCM|CONTAIN.*|PWD|HOME|MOUNT|SHELL|OVERLAY.*))"
        )
        kept = {
            name: value for name, value in environ.items() if not meant_for_others.fullmatch(name)
        }
        for key, folder in (("CACHEDIR", cache), ("TMPDIR", temporary)):
            if folder:
                kept[f"{self.flavour.prefix}_{key}"] = folder
        return kept


def find(wanted: str | None, site: SiteConfig, environ: Mapping[str, str]) -> Runtime:
    """The runtime for a new kernel: the recipe's, else the site's, else the first on PATH.

    Raises UserError `runtime-missing` with what was looked for.
    """
    tried: list[str] = []
    for name, path, module in _candidates(wanted, site.containers.runtimes):
        found = _located(name, path, module, site, environ)
        if found is None:
            tried.append(path or (f"{name} (module {module})" if module else name))
            continue
        return Runtime(name, found, _version(found, environ), module)
    raise missing(tried, site)


def expected(
    wanted: str | None, site: SiteConfig, environ: Mapping[str, str]
) -> dict[str, str | None]:
    """What `find` would most likely return, for a preview: nothing is started."""
    tried = list(_candidates(wanted, site.containers.runtimes))
    for name, path, module in tried:
        if module and not path:
            return {"name": name, "path": None, "module": module}
        if found := _located(name, path, None, site, environ):
            return {"name": name, "path": found, "module": module}
    name, path, module = tried[0]
    return {"name": name, "path": path, "module": module}


def missing(tried: Sequence[str], site: SiteConfig) -> UserError:
    """No runtime on this node, with what this site wants done."""
    hint = "build on a compute node: login nodes often have no container runtime"
    if site.build.partition:
        hint = f"build in the partition {site.build.partition}, where the runtime is"
    return UserError(
        "runtime-missing",
        "no container runtime was found on this node",
        context={"looked for": ", ".join(tried)},
        hint=hint,
    )


def here(name: str, path: str, environ: Mapping[str, str]) -> str | None:
    """The program that a kernel would use on this node now, started through nothing; None when missing."""
    if os.access(path, os.X_OK) and os.path.isfile(path):
        return path
    for program in dict.fromkeys((FLAVOURS[name].program, *FLAVOURS)):
        if found := shutil.which(program, path=environ.get("PATH")):
            return found
    return None


def _candidates(
    wanted: str | None, site: Mapping[str, ContainerRuntime]
) -> Iterator[tuple[str, str | None, str | None]]:
    if wanted and "/" in wanted:
        name = "singularity" if "singularity" in os.path.basename(wanted) else "apptainer"
        yield name, wanted, None
        return
    names = [wanted] if wanted else sorted(FLAVOURS, key=[*site, *FLAVOURS].index)
    for name in names:
        if name not in FLAVOURS:
            raise UserError(
                "runtime-unknown",
                f"`{name}` is not a container runtime that kernelwright knows",
                hint=f"use one of {', '.join(FLAVOURS)}, or leave it to the site",
            )
        said = site.get(name)
        if said is not None and said.path:
            yield name, said.path, said.module
        if said is not None and said.module:
            yield name, None, said.module
        yield name, None, None


def _located(
    name: str, path: str | None, module: str | None, site: SiteConfig, environ: Mapping[str, str]
) -> str | None:
    if path:
        return path if os.access(path, os.X_OK) and os.path.isfile(path) else None
    program = FLAVOURS[name].program
    if not module:
        found = shutil.which(program, path=environ.get("PATH"))
        return os.path.abspath(found) if found else None
    inits = [site.modules.init] if site.modules.init else MODULE_INITS
    result = process.run(
        ["bash", "-c", _BEHIND_MODULE, "find", module, program, *inits],
        timeout=VERSION_TIMEOUT,
        env=environ,
    )
    lines = result.stdout.strip().splitlines()
    return lines[-1] if lines and lines[-1].startswith("/") else None


def _version(path: str, environ: Mapping[str, str]) -> str:
    """`1.4.5` out of `apptainer version 1.4.5` and its cousins; UserError `runtime-failed`."""
    result = process.run([path, "--version"], timeout=VERSION_TIMEOUT, env=environ)
    found = re.search(r"(\d+\.\d+(?:\.\d+)?)", result.stdout)
    if not result.ok or found is None:
        raise UserError(
            "runtime-failed",
            f"`{path} --version` failed",
            context={"it says": result.tail(5) or "nothing", "node": platform.node()},
            hint="try it in a shell on this node; the site's support can repair it",
        )
    return found[1]
