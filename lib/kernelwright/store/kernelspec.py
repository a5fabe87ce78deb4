"""kernel.json: the one file that is switched, and what we write into it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .atomic import explained, make_folder, read_json, write_bytes, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..model import Generation

VERSION = 1
ID = re.compile(r"[0-9A-Za-z_-]{1,64}")  # a folder's name: a forged one must not lead elsewhere
SIZE_LIMIT = 1 << 20  # bytes; a larger kernel.json is nobody's kernel


def kernel_json(
    generation: Generation, *, recipe_hash: str, runtime: Path, interrupt_mode: str
) -> dict[str, Any]:
    """The kernel.json of a generation: absolute argv, and who made it in metadata.kernelwright."""
    recipe = generation.recipe
    metadata: dict[str, Any] = {
        "kernelwright": {
            "version": VERSION,
            "id": generation.kernel_id,
            "generation": generation.number,
            "recipe_hash": recipe_hash,
            "runtime": str(runtime),
        }
    }
    if recipe.language == "python":
        metadata["debugger"] = True
    return {
        "argv": [str(generation.folder / "launch.sh"), "{connection_file}"],
        "display_name": recipe.title,
        "language": recipe.language,
        "interrupt_mode": interrupt_mode,
        "metadata": metadata,
    }


def alias(spec: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    """The kernel.json of the former name `old` of the kernel that `spec` publishes as `new`."""
    metadata = dict(spec["metadata"])
    metadata["kernelwright"] = metadata["kernelwright"] | {"alias_of": new}
    title = f"{spec['display_name']} (old name: {old})"[:150]
    return {**spec, "display_name": title, "metadata": metadata}


def with_kept(spec: dict[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """`spec` with what an adopted kernel brought along: env by Jupyter's own rule, metadata, unknown keys."""
    merged = {key: spec.get(key, value) for key, value in kept.items()}
    merged |= {key: value for key, value in spec.items() if key not in kept}
    for key in ("env", "language"):
        if key in kept:
            merged[key] = kept[key]
    before = kept.get("metadata")
    merged["metadata"] = {**(before if isinstance(before, dict) else {}), **spec["metadata"]}
    return merged


def read(folder: Path) -> dict[str, Any] | None:
    """The kernel.json of a kernelspec folder when it is a plain, sound file of ours or alike."""
    path = folder / "kernel.json"
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not os.path.isfile(path) or status.st_size > SIZE_LIMIT:
        return None
    value = read_json(path, SIZE_LIMIT)
    return value if isinstance(value, dict) else None


def ours(spec: dict[str, Any] | None) -> dict[str, Any] | None:
    """metadata.kernelwright of a kernel.json that we made, else None."""
    metadata = spec.get("metadata") if spec else None
    mine = metadata.get("kernelwright") if isinstance(metadata, dict) else None
    if not isinstance(mine, dict) or not isinstance(mine.get("id"), str):
        return None
    return mine if ID.fullmatch(mine["id"]) else None


def is_foreign(folder: Path) -> bool:
    """Whether something lies there that we did not make: a kernelspec, a file, a link to elsewhere."""
    if folder.is_symlink() or (os.path.lexists(folder) and not folder.is_dir()):
        return True
    if ours(read(folder)) is not None:
        return False
    with contextlib.suppress(OSError):
        return bool(os.listdir(folder))
    return folder.is_dir()


def not_owned(name: str, folder: Path) -> UserError:
    """There is a kernelspec of this name that somebody else made."""
    return UserError(
        "kernel-not-owned",
        f"there is a kernel `{name}` already that kernelwright did not make",
        context={"kernelspec": str(folder)},
        hint="choose another name, `kernelwright adopt` it, or use --force to move it to a backup",
    )


def logos(runtime: Path, language: str) -> Path | None:
    """The folder of Python's logos, which the runtime's ipykernel brings."""
    if language != "python":
        return None
    found = sorted((runtime / "venv/lib").glob("python3*/site-packages/ipykernel/resources"))
    return found[0] if found else None


def write(folder: Path, spec: dict[str, Any], *, resources: Path | None = None) -> None:
    """Publish `spec`: logos first, kernel.json last and in one step, so that readers see all or nothing."""
    make_folder(folder, 0o755)
    if resources is not None and resources.is_dir():
        for logo in resources.glob("logo-*"):
            if not (folder / logo.name).exists():
                write_bytes(folder / logo.name, logo.read_bytes(), 0o644)
    write_json(folder / "kernel.json", spec, 0o644)


def move_to_backup(folder: Path, backups: Path) -> Path:
    """Move a kernelspec folder (or the link to it) out of Jupyter's sight, and say where it went."""
    make_folder(backups)
    target = backups / f"{folder.name}.{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while os.path.lexists(target):
        target = backups / f"{target.name.split('~')[0]}~{number}"
        number += 1
    with explained(folder):
        try:
            os.rename(folder, target)
        except OSError:
            if not folder.is_dir() or folder.is_symlink():
                raise
            shutil.copytree(
                folder, target, symlinks=True
            )  # another file system: copy first, remove then
            shutil.rmtree(folder)
    return target
