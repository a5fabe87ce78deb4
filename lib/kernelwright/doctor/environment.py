"""The environment of one of our kernels, made again: in its place where that is empty, else beside it.

What people have put into an environment is theirs: nothing is removed here, also no older generation.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import environments
from ..builder import Builder
from ..changes import by_hand
from ..environments.base import Place
from ..launch.render import render, write
from ..model import Generation, with_lock
from ..store import Store, lock, write_json
from ..store.atomic import make_folder
from .steps import Step

if TYPE_CHECKING:
    from ..model import Made, Recipe
    from ..progress import Progress
    from .subject import Around, Subject


def again(one: Subject, recipe: Recipe, made: Made, progress: Progress) -> Step:
    """The step that brings back an environment which is missing or cannot be used."""
    lock_file = _lock(_folder(one), made)
    source = " from its lock" if lock_file else ""
    if made.prefix and _has_content(Path(made.prefix)):
        text = f"build the environment of `{recipe.name}`{source}, as the next generation; {made.prefix} stays as it is"
        return Step("environment", text, lambda: _beside(one, recipe, made, lock_file, progress))
    text = f"make the environment of `{recipe.name}` again{source}: {made.prefix or recipe.kind}"
    return Step("environment", text, lambda: _in_place(one, recipe, made, lock_file, progress))


def _folder(one: Subject) -> Path:
    assert one.generation is not None  # noqa: S101 - repairs are planned for published generations alone
    return one.generation


def _has_content(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def _beside(
    one: Subject, recipe: Recipe, made: Made, lock_file: str | None, progress: Progress
) -> None:
    """The next generation; what people had put into the old environment is named, for it stays there."""
    folder = _folder(one)
    old = Generation(folder.parent.name, int(folder.name), folder, recipe, made, 0.0, complete=True)
    rows = by_hand(old)
    next_generation(one, recipe, progress, lock_file)
    if rows:
        names = " ".join(f"{row['name']}=={row['new']}" for row in rows[:20])
        progress.note(
            f"installed by hand before, and not in the new environment: `kernelwright add {recipe.name} {names}` adds it"
        )


def builder_for(around: Around, progress: Progress, *, test: bool = True) -> Builder:
    """The builder of this home."""
    return Builder(around.home, around.environ, around.site, around.runtime, progress, test=test)


def next_generation(
    one: Subject, recipe: Recipe, progress: Progress, lock_file: str | None = None
) -> None:
    """Build the next generation; all earlier ones stay."""
    builder = builder_for(one.around, progress)
    owned = builder.store.find(recipe.name)
    exact = with_lock(recipe, lock_file) if lock_file else None
    builder.next_generation(owned, recipe, exact=exact, prune=False)


def _lock(folder: Path, made: Made) -> str | None:
    path = folder / made.lock if made.lock else None
    return str(path) if path is not None and path.is_file() else None


def _in_place(
    one: Subject, recipe: Recipe, made: Made, lock_file: str | None, progress: Progress
) -> None:
    """Make the same generation again in its own place, which a scratch purge has left empty, and start it once."""
    folder = _folder(one)
    around = one.around
    store = Store(around.home, around.site, around.environ)
    kernel_id, number = folder.parent.name, folder.name
    prefix = Path(made.prefix) if made.prefix else store.environments() / kernel_id / number / "env"
    environ = {**around.environ, **recipe.build_env}
    with lock(
        store.lock_path(recipe.name),
        command=f"kernelwright repair {recipe.name}",
        wait=600,
        on_wait=progress.note,
    ):
        make_folder(prefix.parent)
        place = Place(prefix, folder, around.home, environ, around.site, around.runtime)
        again = environments.kind(recipe.kind).make(with_lock(recipe, lock_file), place, progress)
        write_json(
            folder / "made.json", {k: getattr(again, k) for k in type(again).__dataclass_fields__}
        )
        write(folder, launch_files(one, folder, recipe, again))
        _start(one, recipe, folder, progress)


def _start(one: Subject, recipe: Recipe, folder: Path, progress: Progress) -> None:
    from ..launch.starttest import failure, start_test

    progress.phase("test", "starting the kernel once")
    mode = recipe.interrupt_mode or "signal"
    argv = [str(folder / "launch.sh"), "--local", "{connection_file}"]
    result = start_test(
        argv,
        env=dict(one.around.environ),
        cwd=one.around.home,
        timeout=60,
        interrupt_mode=mode,
        log=folder / "test.log",
        language=recipe.language,
    )
    if not result.ok:
        raise failure(result, "the kernel did not start")


def launch_files(one: Subject, folder: Path, recipe: Recipe, made: Made) -> dict[str, str]:
    """The launch files of a generation as they should be, by their names."""
    command = environments.kind(recipe.kind).command(recipe, made)
    around = one.around
    return render(
        recipe, command, generation=folder, runtime=around.runtime, made=made, site=around.site
    )
