"""The header of a Singularity Image Format file and of an ELF program, read from outside.

Tells in a millisecond what the runtime says only by failing: cut short, for another processor, no image.
"""

from __future__ import annotations

import os
import platform
import struct
from dataclasses import dataclass
from pathlib import Path

from ...errors import Problem

# sif's own codes (github.com/apptainer/sif, pkg/sif/arch.go) and what `uname -m` calls them
ARCHITECTURES = {
    b"01": "i386", b"02": "x86_64", b"03": "arm", b"04": "aarch64", b"05": "ppc64", b"06": "ppc64le",
    b"07": "mips", b"08": "mipsle", b"09": "mips64", b"10": "mips64le", b"11": "s390x", b"12": "riscv64",
}  # fmt: skip
ELF_MACHINES = {
    3: "i386",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    21: "ppc64le",
    22: "s390x",
    243: "riscv64",
}
OCI_NAMES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}

_HEADER = struct.Struct("<32s10s3s3s16sqqqqqqqq")
_DESCRIPTOR = struct.Struct("<iBIIIqqqqqqq128s384s")
_SQUASHFS = b"hsqs"
_DESCRIPTORS_LIMIT = 4096
# the programs that say for which processor a root file system was made; links inside it are followed in it
_PROGRAMS = (
    "bin/sh",
    "usr/bin/env",
    "usr/bin/python3",
    "usr/local/bin/python3",
    "opt/conda/bin/python",
    "bin/busybox",
)


@dataclass(frozen=True)
class Header:
    """What a .sif says of itself: its id, the processor, and the bytes that it must have."""

    id: str
    architecture: str | None
    size: int


def read(path: str) -> Header | None:
    """The header of the SIF file at `path`; None where it is no SIF file. Raises OSError."""
    with open(path, "rb") as stream:
        head = stream.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return None
        _, magic, _, arch, uuid, _, _, _, total, start, _, data, size = _HEADER.unpack(head)
        if not magic.startswith(b"SIF_MAGIC"):
            return None
        needed = max(data + size, start)
        stream.seek(max(0, start))
        for _ in range(min(max(0, total), _DESCRIPTORS_LIMIT)):
            raw = stream.read(_DESCRIPTOR.size)
            if len(raw) < _DESCRIPTOR.size:
                break
            fields = _DESCRIPTOR.unpack(raw)
            if fields[1]:  # in use
                needed = max(needed, fields[5] + fields[6])
    return Header(uuid.hex(), ARCHITECTURES.get(arch.rstrip(b"\0")), needed)


def is_squashfs(path: str) -> bool:
    """Whether the file is a bare squashfs, which the runtimes start as well. Raises OSError."""
    with open(path, "rb") as stream:
        return stream.read(4) == _SQUASHFS


def is_sandbox(path: str) -> bool:
    """Whether a folder looks like a root file system."""
    return any(os.path.isdir(os.path.join(path, name)) for name in (".singularity.d", "usr", "bin"))


def sandbox_architecture(root: str) -> str | None:
    """For which processor the programs of a sandbox were made, from the first that can be read."""
    for name in _PROGRAMS:
        target = _inside(root, name)
        try:
            with open(target, "rb") as stream:
                head = stream.read(20)
        except OSError:
            continue
        if head[:4] == b"\x7fELF" and len(head) == 20:
            order = "<" if head[5] == 1 else ">"
            return ELF_MACHINES.get(struct.unpack(order + "H", head[18:20])[0])
    return None


def _inside(root: str, name: str) -> str:
    """Follow links as the container would: absolute ones begin at `root`; "" for links in a circle."""
    path = os.path.join(root, name)
    for _ in range(16):
        steps = [path, *map(str, Path(path).parents)]
        link = next((s for s in reversed(steps) if len(s) > len(root) and os.path.islink(s)), None)
        if link is None:
            return path
        path = _resolved(root, link) + path[len(link) :]
    return ""


def _resolved(root: str, link: str) -> str:
    target = os.readlink(link)
    base = root if target.startswith("/") else os.path.dirname(link)
    inside = os.path.normpath(os.path.join(base, target.lstrip("/")))
    return (
        inside if inside.startswith(root + os.sep) else os.path.join(root, os.path.basename(target))
    )


def examine(path: str, machine: str | None = None, *, name: str = "NAME") -> Problem | None:
    """What keeps the image of the kernel `name` from starting on this node, or None; no process is started."""
    machine = machine or platform.machine()
    try:
        if os.path.isdir(path):
            return _examine_sandbox(path, machine)
        header = read(path)
        if header is None:
            return None if is_squashfs(path) else _not_an_image(path)
        size = os.path.getsize(path)
    except FileNotFoundError:
        return Problem(
            "image-missing",
            "error",
            f"the image `{path}` is not there",
            f"it was moved or removed: `kernelwright repair {name}` fetches it again, or edit the recipe",
        )
    except OSError as error:
        return Problem(
            "image-missing",
            "error",
            f"the image `{path}` cannot be read: {error.strerror}",
            "look at the permissions along the whole path",
        )
    if size < header.size:
        return Problem(
            "image-truncated",
            "error",
            f"the image `{path}` is cut short: {size} of {header.size} bytes",
            "copy or pull it again; a full disk or an ended transfer leaves such files",
        )
    return _other_machine(path, header.architecture, machine)


def _examine_sandbox(path: str, machine: str) -> Problem | None:
    if not is_sandbox(path):
        return _not_an_image(path)
    return _other_machine(path, sandbox_architecture(path), machine)


def _not_an_image(path: str) -> Problem:
    return Problem(
        "image-not-an-image",
        "error",
        f"`{path}` is neither a .sif file nor a sandbox folder",
        "give the image itself; a Dockerfile or definition file must be built first",
    )


def _other_machine(path: str, made_for: str | None, machine: str) -> Problem | None:
    if made_for is None or made_for == machine or (machine, made_for) == ("x86_64", "i386"):
        return None
    return Problem(
        "image-wrong-architecture",
        "error",
        f"the image `{path}` is made for {made_for}, this node is {machine}",
        "pull or build the image for this processor, or start the kernel on a node of that kind",
    )
