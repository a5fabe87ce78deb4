"""A recipe without what belongs to one person: file paths written out, accounts and secrets dropped."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ..model import CondaSpec, ScriptSpec, VenvSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..model import EnvironmentSpec, Generation, Recipe

SECRET = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|PAT|CREDENTIALS?|(API|ACCESS|PRIVATE)_?KEY|AUTH)(_|\d|$)",
    re.IGNORECASE,
)
LOCKS = ("conda.lock", "requirements.lock")


def portable(generation: Generation, home: Path, note: Callable[[str], None]) -> Recipe:
    """The recipe of a generation as others can build it; says what was left out."""
    recipe = generation.recipe
    slurm = recipe.slurm
    if slurm is not None:
        slurm = replace(slurm, account=None, qos=None, reservation=None)
    return replace(
        recipe,
        environment=_environment(recipe, generation, home),
        env=_public(recipe.env, note),
        build_env=_public(recipe.build_env, note),
        slurm=slurm,
    )


def lock_text(generation: Generation) -> tuple[str, str] | None:
    """(name, text) of the generation's lock, for the kinds that have one."""
    for name in dict.fromkeys((generation.made.lock or "", *LOCKS)):
        path = generation.folder / name
        if name and path.is_file():
            return path.name, path.read_text(encoding="utf-8")
    return None


def _environment(recipe: Recipe, generation: Generation, home: Path) -> EnvironmentSpec:
    spec = recipe.environment
    if isinstance(spec, CondaSpec):
        from ..environments.conda.wanted import inlined

        return replace(inlined(recipe, spec, generation.folder), lock=None)
    if isinstance(spec, VenvSpec):
        return replace(
            spec,
            requirements=(*spec.requirements, *_requirements(spec, home)),
            file=None,
            lock=None,
        )
    if isinstance(spec, ScriptSpec) and spec.path.startswith("~"):
        return replace(spec, path=str(home) + spec.path[1:])
    return spec


def _requirements(spec: VenvSpec, home: Path) -> tuple[str, ...]:
    """The lines of a requirements file; the lock that goes along is exact in any case."""
    if spec.file is None or not spec.file.endswith((".txt", ".in")):
        return ()
    path = str(home) + spec.file[1:] if spec.file.startswith("~") else spec.file
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [
                re.sub(r"(^|\s)#.*$", "", line).strip()
                for line in stream.read(1 << 20).splitlines()
            ]
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(line for line in lines if line and not line.startswith("-"))


def _public(values: Mapping[str, str], note: Callable[[str], None]) -> dict[str, str]:
    """Variables without those whose name says that they hold a secret."""
    hidden = [name for name in values if SECRET.search(name)]
    if hidden:
        note(f"left out, because it looks like a secret: {', '.join(hidden)}")
    return {name: value for name, value in values.items() if name not in hidden}
