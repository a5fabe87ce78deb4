"""Taking hand-made kernels into care.

The kernel keeps its name and behaviour, and gets a recipe, generations, the launch script and with it
the diagnostic kernel. Until the new kernel has started once, its kernel.json still holds the old command; a failure puts the
old bytes back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..builder import Builder
from ..discovery import discover, write_index
from ..discovery.kernelspec_file import LIMIT, NAME, read_bytes, understand
from ..errors import UserError, did_you_mean
from ..recipe import check_name, dump, propose_name
from ..store import Store, kernelspec, write_json, write_text
from ..store.atomic import make_folder, write_bytes
from . import mend
from .shape import Wish, recipe_for
from .steps import Outcome, Step, diff, keep, spec_text

if TYPE_CHECKING:
    from ..model import Kernel, Recipe
    from ..progress import Progress
    from .subject import Around

NOTHING = "there is nothing that could be taken over; write it again"
START = '#!/bin/bash\n# The command of the adopted kernelspec, as its owner wrote it.\nexec "$@"\n'


@dataclass(frozen=True)
class Source:
    """The hand-made kernelspec: its folder, its bytes, and what could be understood of them."""

    name: str
    folder: Path
    data: bytes
    spec: dict[str, Any]
    faults: tuple[str, ...]


def candidates(around: Around) -> list[Kernel]:
    """What `adopt --all` means: the user's own kernels that we did not make."""
    kernels = discover(home=around.home, environ=around.environ, site=around.site, quick=False)
    return [
        k
        for k in kernels
        if k.origin in {"user", "legacy"} and not k.owned and k.state != "shadowed" and k.stamp
    ]


def adopt(
    target: str,
    around: Around,
    *,
    progress: Progress,
    wish: Wish = Wish(),  # noqa: B008 - frozen
    dry_run: bool = False,
    test: bool = True,
) -> Outcome:
    """Adopt one kernel, by its name or by the path of its folder or kernel.json.

    Raises UserError: `no-such-kernel`, `already-owned`, what recipe_for refuses, what a build raises.
    """
    source = locate(target, around)
    store = Store(around.home, around.site, around.environ)
    spec, done = mend.mend(source.spec, source.name)
    kernel_id = "ID" if dry_run else os.urandom(8).hex()
    home = store.data / "kernels" / kernel_id
    recipe = recipe_for(source.name, spec, source.folder, home / "resources", wish)
    told = [*(f"mend {fault}" for fault in source.faults), *done]
    step = Step("adopt", _text(source, recipe, told), lambda: None, _diff(source, spec, home))
    facts = {"recipe": dump(recipe)}
    if dry_run:
        return Outcome(source.name, (step,), dry_run=True, facts=facts)
    backups = keep((source.folder,), store.backups, source.name)
    builder = Builder(around.home, around.environ, around.site, around.runtime, progress, test=test)
    backups += _take_over(source, spec, recipe, builder, home)
    write_index(around.home, discover(home=around.home, environ=around.environ, site=around.site))
    return Outcome(source.name, (step,), tuple(backups), facts=facts)


def locate(target: str, around: Around) -> Source:
    """Read the kernelspec that is meant, tolerantly."""
    folder = _folder(target, around)
    name = _name(folder)
    try:
        data = read_bytes(str(folder / NAME), LIMIT)
    except OSError as error:
        raise UserError(
            "kernelspec-unreadable", f"`{folder / NAME}` cannot be read: {error.strerror or error}"
        ) from error
    reading = understand(data)
    if not reading.spec:
        worst = next((p for p in reading.problems if p.severity == "error"), None)
        code, words = (
            (worst.code, worst.message) if worst else ("argv-empty", "kernel.json is empty")
        )
        raise UserError(
            code,
            f"`{name}`: {words}",
            context={"kernel.json": str(folder / NAME)},
            hint=NOTHING,
        )
    if any(p.code == "kernelspec-is-connection-file" for p in reading.problems):
        raise UserError(
            "kernelspec-is-connection-file",
            f"`{folder / NAME}` is the connection file of a running kernel, not a kernelspec",
        )
    if kernelspec.ours(dict(reading.spec)) is not None:
        raise UserError(
            "already-owned",
            f"`{name}` is a kernel of kernelwright already",
            hint=f"`kernelwright show {name}`",
        )
    faults = tuple(
        p.message.split(": ", 1)[-1]
        for p in reading.problems
        if p.code.startswith("kernelspec-") and p.severity == "error"
    )
    return Source(name, folder, data, dict(reading.spec), faults)


def _folder(target: str, around: Around) -> Path:
    if "/" in target or target == NAME:
        path = Path(os.path.abspath(os.path.expanduser(target)))
        folder = path.parent if path.name == NAME else path
        if not os.path.exists(folder / NAME):
            raise UserError("no-such-kernel", f"there is no kernel.json in `{folder}`")
        return folder
    kernels = discover(home=around.home, environ=around.environ, site=around.site, quick=False)
    named = [k for k in kernels if k.name == target.lower() and k.stamp]
    chosen = next(
        (k for k in named if k.origin in {"user", "legacy"}),
        next((k for k in named if k.visible), None),
    )
    if chosen is None:
        _refuse_odd_file(next((k for k in kernels if k.name == target.lower()), None))
        others = "`kernelwright list --all` shows what there is"
        hint = did_you_mean(target, [k.name for k in kernels], others)
        raise UserError("no-such-kernel", f"there is no kernel called `{target[:80]}`", hint=hint)
    return Path(chosen.path)


def _refuse_odd_file(kernel: Kernel | None) -> None:
    """UserError for a kernel of which nothing can be read: a link to nothing, a named pipe, a folder."""
    worst = next((p for p in kernel.problems if p.severity == "error"), None) if kernel else None
    if kernel is None or worst is None:
        return
    raise UserError(
        worst.code,
        f"`{kernel.name}`: {worst.message}",
        context={"kernel.json": f"{kernel.path}/{NAME}"},
        hint=worst.hint or NOTHING,
    )


def _name(folder: Path) -> str:
    try:
        return check_name(folder.name.lower())
    except UserError:
        return propose_name(folder.name)


def _text(source: Source, recipe: Recipe, done: list[str]) -> str:
    more = f" ({'; '.join(dict.fromkeys(done))})" if done else ""
    return f"adopt `{source.name}` from {source.folder} as a kernel of the kind {recipe.kind}{more}"


def _diff(source: Source, spec: dict[str, Any], home: Path) -> str:
    """kernel.json before and after; the generation's number is the first."""
    after = {**spec, "argv": [str(home / "1/launch.sh"), "{connection_file}"]}
    old = source.data.decode("utf-8", "replace")
    return diff(old, spec_text(after), source.folder / NAME)


def _take_over(
    source: Source, spec: dict[str, Any], recipe: Recipe, builder: Builder, home: Path
) -> list[str]:
    """Mark the kernelspec as ours with its old command, build, and let the build switch it."""
    store = builder.store
    target = store.specs / source.name
    in_place = source.folder == target and not target.is_symlink()
    if not in_place:
        _check_room(target, source)
    _keep_resources(source, spec, home)
    backups = [] if in_place else _make_room(target, store)
    try:
        _mark(target, spec, home.name, builder)
        builder.create(recipe, replace=True)
    except BaseException:
        if in_place:
            write_bytes(target / NAME, source.data, os.stat(target / NAME).st_mode & 0o777)
        else:
            shutil.rmtree(target, ignore_errors=True)
            if source.folder == target:
                os.rename(backups[0], target)
        shutil.rmtree(home, ignore_errors=True)
        raise
    if not in_place and source.folder != target and _is_legacy(source, store):
        backups.append(str(kernelspec.move_to_backup(source.folder, store.backups)))
    return backups


def _check_room(target: Path, source: Source) -> None:
    """The name must be free, or be a link to the very kernelspec."""
    near = source.folder != target and source.folder.name.lower() == target.name
    if near and source.folder.parent == target.parent and target.exists():
        raise UserError(
            "names-differ-in-case",
            f"`{target.name}` and `{source.folder.name}` are one name for Jupyter: it lists one of them and starts another",
            context={"folder": str(target.parent)},
            hint="rename or remove one of the two folders, then call this again",
        )
    is_link = target.is_symlink() and os.path.realpath(target) == os.path.realpath(source.folder)
    if os.path.lexists(target) and not is_link:
        if kernelspec.ours(kernelspec.read(target)) is not None:
            raise UserError(
                "kernel-exists",
                f"`{source.folder.name}` would be called `{source.name}`, and you have a kernel of that name already",
                hint=f"`kernelwright rename {source.name} OTHER`, then call this again",
            )
        raise kernelspec.not_owned(source.name, target)


def _make_room(target: Path, store: Store) -> list[str]:
    """Move the link of that name away; what it leads to stays."""
    if not os.path.lexists(target):
        return []
    return [str(kernelspec.move_to_backup(target, store.backups))]


def _is_legacy(source: Source, store: Store) -> bool:
    return source.folder.parent == store.home / ".ipython/kernels" and os.access(
        source.folder.parent, os.W_OK
    )


def _keep_resources(source: Source, spec: dict[str, Any], home: Path) -> None:
    """Everything that lies beside kernel.json, and kernel.json's own keys for later generations."""
    make_folder(home)
    folder = home / "resources"
    if source.folder.is_dir():
        shutil.copytree(source.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(NAME))
    os.chmod(folder, 0o700)
    write_text(folder / "start.sh", START, 0o755) if not (folder / "start.sh").exists() else None
    write_json(home / "kept.json", spec)


def _mark(target: Path, spec: dict[str, Any], kernel_id: str, builder: Builder) -> None:
    """kernel.json with its old command and our mark: in one step, and still the same kernel for Jupyter."""
    metadata = spec.get("metadata") if isinstance(spec.get("metadata"), dict) else {}
    mine = {
        "version": 1,
        "id": kernel_id,
        "generation": 0,
        "recipe_hash": "",
        "runtime": str(builder.runtime),
    }
    make_folder(target, 0o755)
    with contextlib.suppress(FileNotFoundError):
        os.chmod(target, os.stat(target).st_mode | 0o700)
    write_json(
        target / NAME, {**spec, "metadata": {**(metadata or {}), "kernelwright": mine}}, 0o644
    )
