"""Recipe -> environment -> launch script -> start test -> published generation.

The one place where environment, launch and store meet. Everything happens under the kernel's lock; until
the last step nothing is visible, and a failure at any moment leaves the kernel as it was.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import environments, node
from .environments.base import Place, tell_nobody
from .errors import UserError
from .paths import expand_user
from .recipe import recipe_hash, to_mapping
from .store import Draft, Owned, Store, kernelspec, lock, write_json
from .store.atomic import sweep
from .store.naming import check_unchanged, with_settings_of
from .store.prune import remove_abandoned, remove_stale

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .config.model import SiteConfig
    from .environments.base import Choice, Chosen
    from .model import Command, Generation, Made, Recipe
    from .progress import Progress

LOCK_WAIT = 3600.0  # seconds that a second session waits for the build of the first


@dataclass(frozen=True)
class Builder:
    """What a build needs to know of its surroundings."""

    home: Path
    environ: Mapping[str, str]
    site: SiteConfig
    runtime: Path
    progress: Progress
    test: bool = True
    test_timeout: float = 60.0

    @property
    def store(self) -> Store:
        """The kernels of this home."""
        return Store(self.home, self.site, self.environ)

    def create(
        self, recipe: Recipe, *, replace: bool = False, force: bool = False, reuse: bool = False
    ) -> Generation:
        """Build `recipe` and publish it under its name.

        With `reuse` a kernel that was built from the same recipe is returned as it is: the same
        request builds once, also when two sessions ask at the same time. Raises `kernel-exists`.
        """
        self.check_policy(recipe)
        with self._locked(recipe.name, f"create {recipe.name}"):
            existing = self._existing(recipe.name, replace=replace or reuse, force=force)
            digest = self.hash(recipe)
            if existing and reuse:
                if self.fits(existing, recipe, digest):
                    return self.reuse(existing, recipe)
                if not replace:
                    raise _exists(recipe.name)
            generation = self._build(recipe, existing.id if existing else None)
            self._publish(generation, digest, force=force)
            remove_stale(self.store, generation.kernel_id)
            return generation

    def next_generation(
        self,
        owned: Owned,
        recipe: Recipe,
        chosen: Chosen = tell_nobody,
        *,
        exact: Recipe | None = None,
        prune: bool = True,
    ) -> Generation:
        """Build another generation of a kernel and switch to it; the old one stays for `rollback`.

        `chosen` is told the packages before they are fetched. `exact` is built in place of `recipe`: the
        same with a lock. With `prune` generations that are older still go.
        """
        self.check_policy(recipe)
        with self._locked(owned.name, f"update {owned.name}"):
            check_unchanged(self.store, owned)
            generation = self._build(recipe, owned.id, chosen, exact)
            self._publish(generation, self.hash(recipe))
            if prune:
                remove_stale(self.store, owned.id, spare=owned.number)
            return generation

    def rerender(self, owned: Owned, recipe: Recipe) -> Generation:
        """New settings over the environment that is there: no build, only a start test."""
        old = self.store.generation(owned.id, owned.number)
        with self._locked(owned.name, f"edit {owned.name}"):
            check_unchanged(self.store, owned)
            with self._draft(owned.id, recipe) as draft:
                for name in ("requirements.lock", "conda.lock"):
                    with contextlib.suppress(FileNotFoundError):
                        shutil.copyfile(old.folder / name, draft.folder / name)
                generation = self._complete(draft, recipe, old.made)
            self._publish(generation, self.hash(recipe))
            return generation

    def switch(self, owned: Owned, number: int) -> Generation:
        """Publish another generation that was built before: `rollback`."""
        with self._locked(owned.name, f"rollback {owned.name}"):
            generation = with_settings_of(self.store, owned, number)
            self._publish(generation, self.hash(generation.recipe))
            return generation

    def place_for(self, owned: Owned, generation: Generation) -> Place:
        """Where a solve for the next generation may keep its notes, beside those of the last build."""
        folder = self.store.data / "kernels" / owned.id / "plan"
        folder.mkdir(parents=True, exist_ok=True)
        prefix = Path(generation.made.prefix or folder)
        return Place(prefix, folder, self.home, self.environ, self.site, self.runtime)

    def hash(self, recipe: Recipe) -> str:
        """The hash by which this request is found again, contents of named files included."""
        contents = []
        for key in ("file", "lock"):
            path = expand_user(getattr(recipe.environment, key, None) or "", self.home)
            with contextlib.suppress(OSError):
                if os.path.isfile(path):  # a device or a FIFO would never end
                    contents.append(Path(path).read_bytes())
        return recipe_hash(recipe, files=tuple(contents))

    def _locked(self, name: str, command: str) -> contextlib.AbstractContextManager[None]:
        return lock(
            self.store.lock_path(name),
            command=f"kernelwright {command}",
            wait=LOCK_WAIT,
            on_wait=lambda who: self.progress.note(f"waiting for {who}, who makes this kernel now"),
        )

    def _existing(self, name: str, *, replace: bool, force: bool) -> Owned | None:
        """The kernel that has this name now, when it may be replaced; raises where it may not."""
        try:
            owned = self.store.find(name)
        except UserError as error:
            if error.code == "not-owned" and not force:
                raise kernelspec.not_owned(name, self.store.specs / name) from error
            return None
        if not replace:
            raise _exists(name)
        return owned if owned.name == name else None

    def fits(self, owned: Owned, recipe: Recipe, digest: str) -> bool:
        """Whether a kernel was built from `recipe`, by the same launcher, and is whole.

        `session prepare` asks before it builds.
        """
        if owned.recipe_hash != digest:
            return False
        try:
            generation = self.store.generation(owned.id, owned.number)
        except UserError:
            return False
        if (generation.recipe.slurm is None) != (recipe.slurm is None):
            return False  # the start script differs
        problems = environments.kind(generation.made.kind).check(generation.recipe, generation.made)
        return not any(p.severity == "error" for p in problems)

    def reuse(self, owned: Owned, recipe: Recipe) -> Generation:
        """Use a kernel that fits as it was built; launcher settings that `recipe` names are its new ones."""
        wanted = to_mapping(recipe).get("launcher", {}).get("slurm")
        if wanted:
            own = self.store.launcher(owned.id).get("slurm")
            kept = own if isinstance(own, dict) else {}
            self.store.set_launcher(owned.id, {"slurm": {**kept, **wanted}})
        return self.store.generation(owned.id, owned.number)

    def check_policy(self, recipe: Recipe) -> None:
        """Raise the first thing that this site does not let people make."""
        from .config.policy import check_recipe

        for problem in check_recipe(recipe, self.site):
            if problem.severity == "error":
                raise UserError(problem.code, problem.message, hint=problem.hint)

    def _build(
        self,
        recipe: Recipe,
        kernel_id: str | None,
        chosen: Chosen = tell_nobody,
        exact: Recipe | None = None,
    ) -> Generation:
        sweep(self.store.specs)
        remove_abandoned(self.store)
        environ = {**self.environ, **recipe.build_env}

        def tell(choices: Mapping[str, Choice]) -> None:
            from .launch.render import load_aside

            chosen(choices)
            load_aside()  # while the packages are fetched and linked

        with self._draft(kernel_id, recipe) as draft:
            place = Place(
                draft.prefix, draft.folder, self.home, environ, self.site, self.runtime, tell
            )
            made = environments.kind(recipe.kind).make(exact or recipe, place, self.progress)
            return self._complete(draft, recipe, made)

    @contextlib.contextmanager
    def _draft(self, kernel_id: str | None, recipe: Recipe) -> Iterator[Draft]:
        """A generation to build; whatever goes wrong takes it away and keeps its logs."""
        draft = self.store.new_generation(kernel_id, recipe)
        try:
            yield draft
        except BaseException as error:
            kept = self.store.discard(draft, log_name=recipe.name)
            if isinstance(error, UserError) and kept:
                error.context.setdefault("log", str(kept))
            raise

    def _complete(self, draft: Draft, recipe: Recipe, made: Made) -> Generation:
        from .launch.render import render, write

        self.progress.phase("launch", "writing the start script")
        command = environments.kind(recipe.kind).command(recipe, made)
        files = render(
            recipe,
            command,
            generation=draft.folder,
            runtime=self.runtime,
            made=made,
            site=self.site,
        )
        write(draft.folder, files)
        write_json(
            draft.folder / "command.json",
            {"interrupt_mode": recipe.interrupt_mode or command.interrupt_mode},
        )
        if self.test:
            self._start_test(draft, recipe, command)
        return self.store.finish(draft, recipe, made, node.facts(self.environ))

    def _start_test(self, draft: Draft, recipe: Recipe, command: Command) -> None:
        from .launch.starttest import failure, start_test

        self.progress.phase("test", "starting the kernel once")
        result = start_test(
            [str(draft.folder / "launch.sh"), "--local", "{connection_file}"],
            env=dict(self.environ),
            cwd=self.home,
            timeout=self.test_timeout,
            interrupt_mode=recipe.interrupt_mode or command.interrupt_mode,
            log=draft.folder / "test.log",
            language=recipe.language,
            new=True,
        )
        if not result.ok:
            error = failure(result, "the new kernel did not start")
            error.hint = error.hint or "use --no-test to publish it all the same"
            raise error
        write_json(draft.folder / "kernel_info.json", result.reply)

    def _publish(self, generation: Generation, digest: str, *, force: bool = False) -> None:
        recipe = generation.recipe
        self.progress.phase("publish", "making it visible to Jupyter")
        settings = to_mapping(recipe).get("launcher") or {}
        self.store.set_launcher(generation.kernel_id, settings)
        spec = kernelspec.kernel_json(
            generation,
            recipe_hash=digest,
            runtime=self.runtime,
            interrupt_mode=self._interrupts(generation),
        )
        spec = kernelspec.with_kept(spec, self.store.kept(generation.kernel_id))
        logos = kernelspec.logos(self.runtime, recipe.language)
        moved = self.store.publish(recipe.name, spec, force=force, resources=logos)
        if moved:
            self.progress.note(f"the kernel that was there is now in {moved}")

    def _interrupts(self, generation: Generation) -> str:
        from .store.atomic import read_json

        stored = read_json(generation.folder / "command.json")
        mode = stored.get("interrupt_mode") if isinstance(stored, dict) else None
        return mode if mode in {"message", "signal"} else "signal"


def _exists(name: str) -> UserError:
    return UserError(
        "kernel-exists",
        f"you have a kernel called `{name}` already",
        hint=f"choose another name, use `kernelwright update {name}` to change it, or --replace to build it anew",
    )
