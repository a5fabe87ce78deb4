"""Bring the kernel package to an image that has none: a folder of wheels, bound read-only at launch.

The folder is made once for a Python minor version, a platform and the image's own versions of what the
kernel needs. It is appended to sys.path by the entry, so that everything of the image wins.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ... import process
from ...errors import UserError
from ...store.atomic import explained, make_folder, write_text
from ...store.lock import lock
from ..uv import Uv
from .images import own_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ...progress import Progress
    from ..base import Place
    from .probe import Findings

    Compiler = Callable[[str], tuple[str, ...]]  # folder -> the words that compile it in the image

FOLDER = "injected"  # in the image store
OLDEST = (3, 6)  # what the entry and the oldest usable ipykernel need
WAIT = 1800.0
COMPILE_TIMEOUT = 600.0
# uv's names of glibc platforms, newest first; an older one fits every newer glibc
GLIBCS = (
    "2.40",
    "2.39",
    "2.38",
    "2.37",
    "2.36",
    "2.35",
    "2.34",
    "2.33",
    "2.32",
    "2.31",
    "2.28",
    "2.17",
)
PACKAGES = {"python": "ipykernel", "bash": "bash_kernel"}
MESSAGES_SINCE = (6,)  # the first ipykernel that answers an interrupt_request


def platform_of(findings: Findings) -> str:
    """uv's name of the image's platform: `x86_64-manylinux_2_31`, `x86_64-unknown-linux-musl`.

    Raises UserError `image-not-supported` for a libc too old for any wheel.
    """
    if findings.libc == "musl":
        return f"{findings.machine}-unknown-linux-musl"
    have = _numbers(findings.libc_version)
    for known in GLIBCS:
        if have >= _numbers(known):
            return f"{findings.machine}-manylinux_{known.replace('.', '_')}"
    raise UserError(
        "image-not-supported",
        f"the image's C library ({findings.libc or 'unknown'} {findings.libc_version}) is too old for today's kernel packages",
        hint="install ipykernel in the image when it is built, or use a newer image",
    )


def check_python(findings: Findings, image: str) -> None:
    """Raise UserError `image-python-too-old` where no kernel can be brought to this Python."""
    if findings.version < OLDEST:
        raise UserError(
            "image-python-too-old",
            f"the image has Python {'.'.join(map(str, findings.version))}, a kernel needs {'.'.join(map(str, OLDEST))} or newer",
            context={"image": image, "interpreter": str(findings.python)},
            hint="use a newer tag of the image, or name another interpreter of it in the recipe's `command`",
        )


@dataclass(frozen=True)
class Wheels:
    """Which wheels an image needs: by this alone a folder of them is known."""

    package: str
    minor: str
    platform: str
    pins: tuple[str, ...]

    @property
    def key(self) -> str:
        """The name of the folder."""
        words = json.dumps([self.package, self.pins])
        digest = hashlib.sha256(words.encode()).hexdigest()[:12]
        return f"{self.package}-py{self.minor}-{self.platform}-{digest}"


def wheels_for(findings: Findings, language: str) -> Wheels:
    """What to bring to an image, chosen against the versions that it has itself."""
    chosen_anew = {"ipykernel", "bash-kernel", "setuptools"}
    pins = (f"{n}=={v}" for n, v in findings.packages.items() if n not in chosen_anew)
    return Wheels(PACKAGES[language], findings.minor, platform_of(findings), tuple(sorted(pins)))


def prepare(wheels: Wheels, place: Place, progress: Progress, compiler: Compiler) -> Path:
    """The folder of these wheels, made now or before. Raises UserError `inject-failed`."""
    store = own_store(place.site, place.home, place.environ)
    root = make_folder(store.root / FOLDER, store.mode)
    target = root / wheels.key
    if (target / "complete").exists():
        return target
    progress.phase("pip", f"bringing {wheels.package} to the image's Python {wheels.minor}")
    gate = lock(
        root / f"{wheels.key}.lock", command="kernelwright inject", wait=WAIT, on_wait=progress.note
    )
    with gate:
        if not (target / "complete").exists():
            _install(target, wheels, Uv(place, progress), compiler)
            os.chmod(target, store.mode)
    return target


def arguments(wheels: Wheels, python: Path, target: Path, constraints: Path) -> tuple[str, ...]:
    """The words for uv: wheels only, for the image's Python and platform, whatever this node has."""
    return (
        "pip", "install", "--target", str(target), "--python", str(python),
        "--python-version", wheels.minor, "--python-platform", wheels.platform, "--only-binary", ":all:",
        "--no-compile-bytecode", "--constraint", str(constraints), wheels.package,
    )  # fmt: skip


def _install(target: Path, wheels: Wheels, tool: Uv, compiler: Compiler) -> None:
    part = target.with_name(f"{target.name}.part-{os.urandom(4).hex()}")
    for old in target.parent.glob(f"{target.name}.part-*"):
        shutil.rmtree(old, ignore_errors=True)
    constraints = tool.place.keep / "image-packages.txt"
    write_text(constraints, "\n".join(wheels.pins) + "\n")
    python = tool.place.runtime / "venv/bin/python"
    try:
        tool.run(*arguments(wheels, python, part, constraints))
        if not re.search(r"[,:]", str(part)):  # a bind would split it; then every start compiles
            with contextlib.suppress(UserError):
                process.run(compiler(str(part)), timeout=COMPILE_TIMEOUT, env=tool.place.environ)
        write_text(part / "complete", "", 0o644)
        shutil.rmtree(target, ignore_errors=True)
        with explained(target):
            os.rename(part, target)
    except UserError as error:
        if error.code not in {"requirements-conflict", "package-not-found"}:
            raise
        raise UserError(
            "inject-failed",
            f"no {wheels.package} goes together with what the image has installed",
            context=error.context,
            hint=f"install {wheels.package} in the image when it is built",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def injected_version(folder: Path, package: str) -> tuple[int, ...]:
    """The version of `package` in a folder of wheels; () where it is not there."""
    for entry in os.listdir(folder):
        if found := re.fullmatch(rf"{re.escape(package)}-([\d.]+)[^-]*\.dist-info", entry):
            return _numbers(found[1])
    return ()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
