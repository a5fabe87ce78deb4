"""Bring the kernel package to an image that has none: a folder of wheels, bound read-only at launch.

The folder is made once for a Python minor version, a platform and the image's own versions of what the
kernel needs. It is appended to sys.path by the entry, so that everything of the image wins.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from typing import TYPE_CHECKING

from ...errors import UserError
from ...store.atomic import explained, make_folder, write_text
from ...store.lock import lock
from .. import uv
from .images import own_store

if TYPE_CHECKING:
    from pathlib import Path

    from ...progress import Progress
    from ..base import Place
    from .probe import Findings

OLDEST = (3, 6)  # what the entry and the oldest usable ipykernel need
WAIT = 1800.0
# uv's names of glibc platforms, newest first; an older one fits every newer glibc
GLIBCS = ("2.40", "2.39", "2.38", "2.37", "2.36", "2.35", "2.34", "2.33", "2.32", "2.31", "2.28", "2.17")
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


def prepare(findings: Findings, language: str, place: Place, progress: Progress) -> Path:
    """The folder of wheels for this image, made now or before. Raises UserError `inject-failed`."""
    package, platform = PACKAGES[language], platform_of(findings)
    pins = sorted(f"{name}=={version}" for name, version in findings.packages.items() if name not in {"ipykernel", "bash-kernel", "setuptools"})
    words = json.dumps([package, pins])
    key = f"{package}-py{findings.minor}-{platform}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"
    root = make_folder(own_store(place.site, place.home, place.environ).root / "injected")
    target = root / key
    if (target / "complete").exists():
        return target
    progress.phase("pip", f"bringing {package} to the image's Python {findings.minor}")
    with lock(root / f"{key}.lock", command="kernelwright inject", wait=WAIT, on_wait=progress.note):
        if not (target / "complete").exists():
            _install(target, package, pins, findings, place, progress, platform)
    return target


def _install(target: Path, package: str, pins: list[str], findings: Findings, place: Place, progress: Progress, platform: str) -> None:
    part = target.with_name(f"{target.name}.part-{os.urandom(4).hex()}")
    for old in target.parent.glob(f"{target.name}.part-*"):
        shutil.rmtree(old, ignore_errors=True)
    constraints = place.keep / "image-packages.txt"
    write_text(constraints, "\n".join(pins) + "\n")
    try:
        uv.Uv(place, progress).run(
            "pip", "install", "--target", str(part), "--python", str(place.runtime / "venv/bin/python"),
            "--python-version", findings.minor, "--python-platform", platform, "--only-binary", ":all:",
            "--no-compile-bytecode", "--constraint", str(constraints), package,
        )  # fmt: skip
        write_text(part / "complete", "")
        shutil.rmtree(target, ignore_errors=True)
        with explained(target):
            os.rename(part, target)
    except UserError as error:
        if error.code not in {"requirements-conflict", "package-not-found"}:
            raise
        raise UserError(
            "inject-failed",
            f"no {package} goes together with what the image has installed",
            context=error.context,
            hint=f"install {package} in the image when it is built",
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
