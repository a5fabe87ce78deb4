"""`share` and `unshare`: an immutable copy of a kernel in the folder of a Unix group.

In the group's folder, as the site names it:

    NAME/kernel.json                   what members see; switched in one step, like any kernelspec
    .kernelwright-USER/                the versions that USER has published: a store like the one in a home

An environment is built anew from its lock at its final place (prefixes cannot be moved) and copied
from the package cache, never linked: changing a linked file's group would change it in the cache.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..builder import Builder
from ..environments import caches
from ..errors import UserError
from ..model import ContainerSpec, PrefixSpec, Recipe, ScriptSpec, with_lock
from ..recipe import check_name
from ..store import Store, kernelspec
from ..store.prune import remove_kernel
from ..store.sharing import INNER
from .permissions import (
    close,
    contact,
    group_number,
    login,
    me,
    my_groups,
    pass_through,
    unreadable,
)
from .portable import lock_text, portable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.model import SiteConfig
    from ..model import Generation
    from ..progress import Progress


@dataclass(frozen=True)
class Words:
    """What the members of the group are told about a shared kernel."""

    contact: str | None = None
    deprecated: str | None = None


@dataclass(frozen=True)
class Sharing:
    """One user's publications in the folder of one group."""

    group: str
    folder: Path
    home: Path
    environ: Mapping[str, str]
    site: SiteConfig
    runtime: Path
    progress: Progress
    test: bool = True

    @property
    def inner_home(self) -> Path:
        """The store in the group's folder that holds this user's versions."""
        return self.folder / f"{INNER}-{me()}"

    @property
    def builder(self) -> Builder:
        """A builder for that store, which uses this user's own package cache."""
        cache = str(caches.base(self.site, self.home, self.environ))
        site = replace(
            self.site, storage=replace(self.site.storage, root=None, package_cache=cache)
        )
        environ = {
            **self.environ,
            "KERNELWRIGHT_LINK_MODE": "copy",
            "UV_LINK_MODE": "copy",
            "KERNELWRIGHT_COMPILE": "now",
        }
        own = self.home / ".condarc"
        if own.is_file():
            environ.setdefault("CONDARC", str(own))
        return Builder(self.inner_home, environ, site, self.runtime, self.progress, test=self.test)

    def publish(self, generation: Generation, name: str, words: Words) -> Path:
        """Publish a copy of `generation` as `name`, or its next version; returns the kernelspec.

        Raises `not-yours` where another member has published under that name.
        """
        check_name(name)
        target = self.folder / name
        before = self._mine(target, name) if os.path.lexists(target) else None
        number = group_number(self.group)
        recipe = replace(portable(generation, self.home, self.progress.note), name=name)
        self._check_paths(recipe, number)
        self._prepare(number)
        lock = lock_text(generation)
        recipe = with_lock(recipe, str(generation.folder / lock[0])) if lock else recipe
        builder = self.builder
        known = [o for o in builder.store.kernels() if o.name == name]
        made = builder.next_generation(known[0], recipe) if known else builder.create(recipe)
        self._open(made, number)
        owned = builder.store.find(name)
        self._announce(
            target, dict(owned.spec), number, version=made.number, words=words, before=before
        )
        return target

    def tell(self, name: str, words: Words) -> Path:
        """Change what members are told about a kernel that is shared already."""
        target = self.folder / name
        spec = self._mine(target, name)
        shared = spec["metadata"]["kernelwright"]["shared"]
        self._announce(
            target,
            spec,
            group_number(self.group),
            version=shared["version"],
            words=words,
            before=spec,
        )
        return target

    def withdraw(self, name: str) -> int:
        """Take a shared kernel back: the name first, then its versions; returns how many still run here."""
        target = self.folder / name
        spec = self._mine(target, name)
        os.unlink(target / "kernel.json")
        shutil.rmtree(target, ignore_errors=True)
        store = self.builder.store
        left = remove_kernel(store, str(spec["metadata"]["kernelwright"]["id"]))
        with contextlib.suppress(UserError):
            store.unpublish(name)
        return left

    def _mine(self, target: Path, name: str) -> dict[str, Any]:
        """The kernel.json of something that this user has shared; raises `not-shared` or `not-yours`."""
        spec = kernelspec.read(target)
        mine = kernelspec.ours(spec)
        if spec is None or mine is None or not isinstance(mine.get("shared"), dict):
            if os.path.lexists(target / "kernel.json"):
                raise UserError(
                    "not-yours",
                    f"`{name}` in `{self.folder}` was not made by `kernelwright share`",
                    hint="choose another name with --as",
                )
            raise UserError(
                "not-shared",
                f"no kernel `{name[:80]}` is shared with the group `{self.group}`",
                context={"folder": str(self.folder)},
                hint="`kernelwright list` shows what is shared with you",
            )
        owner = os.stat(target).st_uid
        if owner != os.getuid() and os.getuid() != 0:
            raise UserError(
                "not-yours",
                f"`{name}` was shared by {login(owner)}",
                hint=f"ask {mine['shared'].get('contact') or login(owner)}, or choose another name with --as",
            )
        return spec

    def _check_paths(self, recipe: Recipe, group: int) -> None:
        """What the recipe only points at must be readable for the group, all the way."""
        spec = recipe.environment
        points: list[tuple[Path, bool]] = []
        if isinstance(spec, PrefixSpec):
            prefix = Path(
                str(self.home) + spec.path[1:] if spec.path.startswith("~") else spec.path
            )
            points = [(prefix, False), (prefix / "bin", True)]
        elif isinstance(spec, ScriptSpec):
            points = [(Path(spec.path), True)]
        elif isinstance(spec, ContainerSpec) and spec.image.startswith(("/", "~")):
            points = [
                (
                    Path(
                        str(self.home) + spec.image[1:]
                        if spec.image.startswith("~")
                        else spec.image
                    ),
                    False,
                )
            ]
        for path, execute in points:
            if reason := unreadable(path, group, execute=execute):
                raise UserError(
                    "group-cannot-read",
                    f"the members of `{self.group}` could not start this kernel: {reason}",
                    hint="put it where the group can read it, or share a conda or venv kernel, of which a copy is made",
                )

    def _prepare(self, group: int) -> None:
        """The folder of our own store: the group may pass through it, nobody else."""
        try:
            self.inner_home.mkdir(mode=0o700)
        except FileExistsError:
            return
        except OSError as error:
            site = self.site.site.support or "the site"
            raise UserError(
                "group-folder-not-writable",
                f"you cannot write to the folder of the group, `{self.folder}`: {error.strerror}",
                hint=f"ask {site}, or send your colleagues the file of `kernelwright export`",
            ) from error
        pass_through(self.inner_home, group)

    def _open(self, made: Generation, group: int) -> None:
        """Let the group read the version, and pass through what lies above it."""
        close(made.folder, group)
        folder = made.folder.parent
        while folder != self.inner_home:
            pass_through(folder, group)
            folder = folder.parent

    def _announce(
        self,
        target: Path,
        spec: dict[str, Any],
        group: int,
        *,
        version: int,
        words: Words,
        before: dict[str, Any] | None,
    ) -> None:
        """Write kernel.json in the group's folder: from now on members see it."""
        old = before["metadata"]["kernelwright"]["shared"] if before else {}
        deprecated = old.get("deprecated") if words.deprecated is None else words.deprecated
        shared = {
            "owner": me(),
            "group": self.group,
            "contact": words.contact or old.get("contact") or contact(),
            "version": version,
            "since": time.time(),
            **({"deprecated": deprecated} if deprecated else {}),
        }
        metadata = dict(spec["metadata"])
        metadata["kernelwright"] = {**metadata["kernelwright"], "shared": shared}
        if not target.is_dir():
            target.mkdir(mode=0o700)
        own = self.builder.store.specs / target.name
        kernelspec.write(target, {**spec, "metadata": metadata}, resources=own)
        for path in target.iterdir():
            os.chown(path, -1, group)
            os.chmod(path, 0o640)
        os.chown(target, -1, group)
        os.chmod(target, 0o750)  # noqa: S103 - the group is meant to read


def folder_of(group: str, site: SiteConfig) -> Path:
    """The folder for the kernels of a group; raises `no-group-folder`."""
    group_number(group)
    named = [
        p.replace("{group}", group)
        for p in site.groups.folders
        if "{group}" in p or os.path.basename(p) == group
    ]
    for folder in named:
        if os.path.isdir(folder):
            return Path(folder)
    missing = (
        f"`{named[0]}` does not exist"
        if named
        else f"{site.site.name} has no folders for the kernels of groups"
    )
    others = [
        g
        for g in my_groups()
        if any(os.path.isdir(p.replace("{group}", g)) for p in site.groups.folders)
    ]
    raise UserError(
        "no-group-folder",
        missing,
        context={"groups with a folder": ", ".join(others) or "none of yours"},
        hint="write one file with `kernelwright export NAME`: your colleagues make the same kernel from it",
    )


def shared_by(home: Path, site: SiteConfig, environ: Mapping[str, str], group: str) -> list[str]:
    """The names that this user has published for a group."""
    inner = folder_of(group, site) / f"{INNER}-{me()}"
    return [owned.name for owned in Store(inner, site, environ).kernels()]
