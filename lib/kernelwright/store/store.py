"""The user's own kernels: ids, names and generations (docs/concepts/store.md).

A kernel has a random id for ever; each kernelspec folder is only a name for it. A generation is built
in its final place and valid only with its `complete` marker; publishing switches one file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import paths
from ..errors import UserError, did_you_mean
from ..model import Generation, Made, Recipe
from ..recipe import dump, load
from . import kernelspec
from .atomic import explained, make_folder, read_json, write_json, write_text
from .expand import expand
from .lock import process_start
from .owned import Owned, aliases_of, read_owned

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config.model import SiteConfig

KEPT = 2  # generations kept by default


@dataclass(frozen=True)
class Draft:
    """A generation that is being built; nothing of it is seen until `finish` and `publish`."""

    kernel_id: str
    number: int
    folder: Path
    prefix: Path


@dataclass(frozen=True)
class Store:
    """The kernels of one home; `site` says where environments lie and how names are expanded."""

    home: Path
    site: SiteConfig
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def data(self) -> Path:
        """Everything of ours in this home but the kernelspecs."""
        return paths.data_folder(self.home)

    @property
    def specs(self) -> Path:
        """Jupyter's folder for this user's kernelspecs."""
        return paths.kernelspec_folder(self.home)

    @property
    def backups(self) -> Path:
        """Where replaced and removed kernelspecs that were not ours go."""
        return self.data / "backups"

    def environments(self) -> Path:
        """The folder of environments: the site's storage root, else beside the generations."""
        root = self.site.storage.root
        return expand(root, self.home, self.environ) if root else self.data / "kernels"

    def lock_path(self, name: str) -> Path:
        """The lock that every change of the kernel called `name` holds."""
        return self.data / "locks" / f"{name}.lock"

    # --- finding ---------------------------------------------------------------------------------

    def kernels(self) -> list[Owned]:
        """Every kernel that we made for this user, by name; aliases are joined to their kernel."""
        return read_owned(self.specs)

    def find(self, name: str) -> Owned:
        """The owned kernel called `name` (or known by that alias); UserError `no-such-kernel` else."""
        kernels = self.kernels()
        for owned in kernels:
            if name == owned.name or name in owned.aliases:
                return owned
        if os.path.lexists(self.specs / name) and name not in {"", ".", ".."}:
            raise UserError(
                "not-owned",
                f"`{name[:80]}` was not made by kernelwright",
                context={"kernelspec": str(self.specs / name)},
                hint=f"`kernelwright adopt {name}` takes it into care",
            )
        others = "`kernelwright list` shows your kernels"
        raise UserError(
            "no-such-kernel",
            f"you have no kernel called `{name[:80]}`",
            hint=did_you_mean(name, [o.name for o in kernels], others),
        )

    def generations(self, kernel_id: str) -> list[Generation]:
        """The complete generations of a kernel, oldest first; what cannot be read is left out."""
        found = []
        with contextlib.suppress(OSError):
            for name in os.listdir(self.data / "kernels" / kernel_id):
                if name.isdecimal():
                    generation = self._read_generation(kernel_id, int(name))
                    if generation is not None and generation.complete:
                        found.append(generation)
        return sorted(found, key=lambda g: g.number)

    def generation(self, kernel_id: str, number: int | None = None) -> Generation:
        """One generation, the newest by default; UserError `no-such-generation`."""
        if number is None:
            known = self.generations(kernel_id)
            if known:
                return known[-1]
        else:
            one = self._read_generation(kernel_id, number)
            if one is not None and one.complete:
                return one
        raise UserError(
            "no-such-generation",
            f"generation {number if number is not None else ''} of this kernel is not there".replace(
                "  ", " "
            ),
            context={"folder": str(self.data / "kernels" / kernel_id)},
            hint="`kernelwright generations NAME` lists them; `kernelwright repair NAME` rebuilds",
        )

    def _read_generation(self, kernel_id: str, number: int) -> Generation | None:
        folder = self.data / "kernels" / kernel_id / str(number)
        made = read_json(folder / "made.json")
        try:
            recipe = load((folder / "recipe.yml").read_text(), source=str(folder / "recipe.yml"))
        except (OSError, ValueError, UserError):
            return None
        if not isinstance(made, dict):
            return None
        facts = read_json(folder / "facts.json")
        known: dict[str, Any] = {k: made[k] for k in Made.__dataclass_fields__ if k in made}
        try:
            created = (folder / "complete").stat().st_mtime
        except OSError:
            created = 0.0
        return Generation(
            kernel_id,
            number,
            folder,
            recipe,
            Made(**known),
            created,
            created > 0,
            facts if isinstance(facts, dict) else {},
        )

    # --- building --------------------------------------------------------------------------------

    def new_generation(self, kernel_id: str | None, recipe: Recipe) -> Draft:
        """A folder for the next build of a kernel; None begins a new kernel."""
        kernel = kernel_id or os.urandom(8).hex()
        parent = make_folder(self.data / "kernels" / kernel)
        number = 1 + max((int(n) for n in os.listdir(parent) if n.isdecimal()), default=0)
        folder = make_folder(parent / str(number))
        (folder / "building").write_text(
            f"{os.getpid()} {process_start(os.getpid())} {os.uname().nodename}\n"
        )
        write_text(folder / "recipe.yml", dump(recipe))
        prefix = self.environments() / kernel / str(number) / "env"
        make_folder(prefix.parent)
        return Draft(kernel, number, folder, prefix)

    def finish(
        self, draft: Draft, recipe: Recipe, made: Made, facts: Mapping[str, Any]
    ) -> Generation:
        """Write what the build left behind, then the marker that makes the generation valid."""
        write_text(draft.folder / "recipe.yml", dump(recipe))
        write_json(
            draft.folder / "made.json", {k: getattr(made, k) for k in Made.__dataclass_fields__}
        )
        write_json(draft.folder / "facts.json", dict(facts))
        write_text(draft.folder / "complete", "")
        with contextlib.suppress(OSError):
            os.unlink(draft.folder / "building")
        return Generation(
            draft.kernel_id,
            draft.number,
            draft.folder,
            recipe,
            made,
            time.time(),
            True,
            dict(facts),
        )

    def discard(self, draft: Draft, *, log_name: str | None = None) -> Path | None:
        """Take an unfinished build away; its logs are kept and their folder returned."""
        kept = None
        logs = [p for p in draft.folder.glob("*.log") if p.stat().st_size]
        if logs and log_name:
            kept = self.data / "logs" / f"{log_name}-{time.strftime('%Y%m%d-%H%M%S')}"
            make_folder(kept.parent)
            make_folder(kept)
            for log in logs:
                shutil.copyfile(log, kept / log.name)
        for folder in {draft.prefix.parent, draft.folder}:
            shutil.rmtree(folder, ignore_errors=True)
        for parent in {draft.prefix.parent.parent, draft.folder.parent}:
            with contextlib.suppress(OSError):
                os.rmdir(parent)
        return kept

    def publish(
        self, name: str, spec: dict[str, Any], *, force: bool = False, resources: Path | None = None
    ) -> Path | None:
        """Switch `name` and its aliases to `spec`.

        A kernelspec that is not ours is refused (`kernel-not-owned`), or with `force` moved away;
        returns where it went.
        """
        folder, moved = self.specs / name, None
        if kernelspec.is_foreign(folder):
            if not force:
                raise kernelspec.not_owned(name, folder)
            moved = kernelspec.move_to_backup(folder, self.backups)
        kernelspec.write(folder, spec, resources=resources)
        for alias in aliases_of(self.specs, spec["metadata"]["kernelwright"]["id"]):
            if alias != name:
                kernelspec.write(self.specs / alias, kernelspec.alias(spec, alias, name))
        return moved

    def unpublish(self, name: str, *, force: bool = False) -> Path | None:
        """Take the name away: kernel.json first, so that no reader sees half; returns a backup's place."""
        folder = self.specs / name
        if kernelspec.ours(kernelspec.read(folder)) is None:
            if not force:
                raise UserError(
                    "kernel-not-owned",
                    f"kernelwright did not make the kernel `{name}`",
                    context={"kernelspec": str(folder)},
                    hint=f"use --force to move it to {self.backups}",
                )
            return kernelspec.move_to_backup(folder, self.backups)
        with explained(folder):
            if folder.is_symlink():
                os.unlink(folder)
                return None
            os.unlink(folder / "kernel.json")
        shutil.rmtree(folder, ignore_errors=True)
        return None

    def kept(self, kernel_id: str) -> dict[str, Any]:
        """kept.json of an adopted kernel: the keys of its own kernel.json that every generation keeps."""
        value = read_json(self.data / "kernels" / kernel_id / "kept.json")
        return value if isinstance(value, dict) else {}

    # --- launcher settings: beside the generations, changed without a build ------------------------

    def launcher(self, kernel_id: str) -> dict[str, Any]:
        """launcher.json of a kernel: `{"slurm": {...}}`, or {} for a local kernel."""
        value = read_json(self.data / "kernels" / kernel_id / "launcher.json")
        return value if isinstance(value, dict) else {}

    def set_launcher(self, kernel_id: str, settings: Mapping[str, Any]) -> None:
        """Replace the launcher settings of a kernel."""
        write_json(self.data / "kernels" / kernel_id / "launcher.json", dict(settings))
