"""`site add`: what a user sent with `kernelwright request` becomes a central kernel of the site.

A bundle is somebody else's file: nothing of it is unpacked by name, the recipe is validated and written
anew, and what belongs to one user (account, qos, reservation) is dropped.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..recipe import check_name, load, to_mapping
from ..share import bundle as exported
from ..store.atomic import make_folder, write_bytes
from .append import add_entries

if TYPE_CHECKING:
    from ..config.loaded import Loaded
    from ..model import Recipe

RECIPES = ("recipe.yml", "recipe.yaml")
LOCKS = ("conda.lock", "requirements.lock")
FILE_LIMIT = 32 << 20  # bytes of one member; locks of large environments take 1 MB
MEMBER_LIMIT = 10_000


def add(
    bundle: str, loaded: Loaded, *, name: str | None = None, output: str | None = None
) -> tuple[str, str]:
    """Write an entry for the bundle's recipe into conf.d, and its lock beside; (name, file).

    Raises UserError `bundle-broken`, `kernel-exists`, or what is wrong with the recipe.
    """
    recipe, locks = _read(bundle)
    called = check_name(name or recipe.name)
    if any(entry.get("name") == called for entry in loaded.site.kernels):
        raise UserError(
            "kernel-exists",
            f"the site has a central kernel `{called}` already",
            hint="choose another name with --name",
        )
    single = os.path.isfile(loaded.where)
    file = output or (loaded.where if single else os.path.join(loaded.where, f"60-{called}.yaml"))
    entry = _entry(recipe, called)
    _keep_lock(recipe, entry, locks, Path(file).absolute().parent / "recipes" / called)
    add_entries(
        file, "kernels", [entry], note=f"Central kernel from the bundle {os.path.basename(bundle)}."
    )
    return called, file


def _entry(recipe: Recipe, name: str) -> dict[str, Any]:
    data = to_mapping(recipe)
    for key in ("version", "name", "display_name", "description"):
        data.pop(key, None)
    settings = (data.get("launcher") or {}).get("slurm") or {}
    for key in ("account", "qos", "reservation"):
        settings.pop(key, None)
    entry: dict[str, Any] = {"name": name, "label": recipe.title}
    if recipe.description:
        entry["description"] = recipe.description
    return {**entry, "recipe": data}


def _keep_lock(
    recipe: Recipe, entry: dict[str, Any], files: dict[str, bytes], folder: Path
) -> None:
    """Store the lock beside the site's file, so that what the user tested is what is built."""
    spec = entry["recipe"]["environment"][recipe.kind]
    lock = next((found for found in LOCKS if found in files), None)
    if lock is None or recipe.kind not in {"conda", "venv"}:
        return
    make_folder(folder.parent, 0o755)
    make_folder(folder, 0o755)
    write_bytes(folder / lock, files[lock], 0o644)
    spec["lock"] = str(folder / lock)
    spec.pop("file", None)


def _read(bundle: str) -> tuple[Recipe, dict[str, bytes]]:
    """The recipe and the locks by name, of a request, an export, or a recipe alone."""
    files = _files(bundle)
    found = next((files[name] for name in RECIPES if name in files), None)
    if found is None:
        raise UserError(
            "bundle-broken",
            f"`{bundle}` holds no recipe.yml",
            hint="a bundle is what `kernelwright request NAME` writes",
        )
    if exported.is_bundle(found):
        export = exported.load(found, source=bundle)
        return export.recipe, {export.lock[0]: export.lock[1].encode()} if export.lock else {}
    try:
        return load(found.decode("utf-8"), source=f"{bundle}: recipe"), files
    except UnicodeDecodeError as error:
        raise UserError("bundle-broken", f"the recipe in `{bundle}` is not UTF-8") from error


def _files(bundle: str) -> dict[str, bytes]:
    """The bundle's recipe and locks by bare name: from a tar file, a folder, or one file alone."""
    wanted = {*RECIPES, *LOCKS}
    path = Path(bundle)
    try:
        if path.is_dir():
            return {
                name: _bounded((path / name).open("rb"), bundle)
                for name in wanted
                if (path / name).is_file()
            }
        if not path.is_file():
            raise UserError(
                "bundle-broken",
                f"`{bundle}` is not there",
                hint="name what `kernelwright request NAME` wrote",
            )
        if tarfile.is_tarfile(path):
            return _members(path, wanted)
        return {"recipe.yml": _bounded(path.open("rb"), bundle)}
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise UserError("bundle-broken", f"`{bundle}` cannot be read: {error}") from error


def _members(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """Regular members at the top or in one folder; links, devices and deep paths are passed over."""
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for number, member in enumerate(archive):
            if number > MEMBER_LIMIT:
                raise ValueError("it has too many files")
            name = member.name.removeprefix("./")
            stream = (
                archive.extractfile(member) if member.isreg() and name.count("/") <= 1 else None
            )
            if stream is not None and os.path.basename(name) in wanted:
                found.setdefault(os.path.basename(name), _bounded(stream, str(path)))
    return found


def _bounded(stream: Any, bundle: str) -> bytes:
    with stream:
        data: bytes = stream.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise ValueError(f"a file in `{bundle}` is larger than {FILE_LIMIT >> 20} MiB")
    return data
