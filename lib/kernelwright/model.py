"""The values that every room speaks: recipe, environment, launcher, generation, kernel.

All are frozen; a change is a new value (`dataclasses.replace`). Nothing here reads, writes or runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .errors import Problem

# --- the recipe: what a kernel is made from (docs/reference/recipe.md) -------------------------


@dataclass(frozen=True)
class CondaSpec:
    """A conda prefix of our own, solved and installed without any conda."""

    channels: tuple[str, ...] = ()
    channels_append: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None
    lock: str | None = None
    kind = "conda"


@dataclass(frozen=True)
class VenvSpec:
    """A virtual environment made by uv over an interpreter that is already there."""

    requirements: tuple[str, ...] = ()
    file: str | None = None
    python: str | None = None
    lock: str | None = None
    kind = "venv"


@dataclass(frozen=True)
class Bind:
    """A folder of the node that a container sees; `~` and `${NAME}` are resolved at launch."""

    source: str
    target: str | None = None
    mode: Literal["ro", "rw"] = "rw"
    required: bool = True


@dataclass(frozen=True)
class ContainerSpec:
    """An image and what it may see."""

    image: str
    gpu: Literal["auto", "none", "nvidia", "rocm"] = "auto"
    bind: tuple[Bind, ...] = ()
    runtime: str | None = None
    kind = "container"


@dataclass(frozen=True)
class ScriptSpec:
    """The user's own start script; it gets the kernel's command as its arguments."""

    path: str
    kind = "script"


@dataclass(frozen=True)
class PrefixSpec:
    """An environment that exists already, whoever made it."""

    path: str
    kind = "prefix"


EnvironmentSpec = CondaSpec | VenvSpec | ContainerSpec | ScriptSpec | PrefixSpec


@dataclass(frozen=True)
class Modules:
    """Environment modules around the kernel: `module use`, then `module load` in this order."""

    use: tuple[str, ...] = ()
    load: tuple[str, ...] = ()
    purge: bool = False


@dataclass(frozen=True)
class Isolation:
    """True lets the variable or folder of the surrounding session through to the kernel."""

    user_site: bool = False
    pythonpath: bool = False
    ld_library_path: bool = False


@dataclass(frozen=True)
class SlurmSettings:
    """The allocation of a Slurm kernel; never part of a generation, `edit` changes it in place."""

    partition: str | None = None
    ntasks: int | None = None
    cpus_per_task: int | None = None
    nodes: int | str | None = None  # 2, or a range such as 1-2
    time: str | None = None
    gres: str | None = None
    account: str | None = None
    qos: str | None = None
    reservation: str | None = None
    constraint: str | None = None
    mem: str | None = None
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One kernel, described; stored beside each generation as recipe.yml."""

    name: str
    environment: EnvironmentSpec
    display_name: str | None = None
    language: str = "python"
    description: str | None = None
    modules: Modules = Modules()
    env: Mapping[str, str] = field(default_factory=dict)
    build_env: Mapping[str, str] = field(default_factory=dict)
    isolation: Isolation = Isolation()
    command: tuple[str, ...] = ()
    interrupt_mode: Literal["message", "signal"] | None = None
    slurm: SlurmSettings | None = None

    @property
    def title(self) -> str:
        """What Jupyter shows: the display name, else the kernel name."""
        return self.display_name or self.name

    @property
    def kind(self) -> str:
        """The environment kind: conda, venv, container, script or prefix."""
        return self.environment.kind


def with_lock(recipe: Recipe, lock: str | None) -> Recipe:
    """`recipe` built from an exact lock, or (None) solved anew; unchanged for kinds without locks."""
    spec = recipe.environment
    if isinstance(spec, CondaSpec | VenvSpec):
        return replace(recipe, environment=replace(spec, lock=lock))
    return recipe


# --- what building an environment leaves behind ------------------------------------------------


@dataclass(frozen=True)
class Made:
    """What a kind built or found; stored as made.json in the generation and read at every launch.

    `interpreter` is absolute and runs the kernel (None where the image or script decides).
    `facts` holds what `show`, `doctor` and `export` want to know of this build: strings, numbers,
    lists and mappings only (image digest, package count, unhashed requirements and so on).
    """

    kind: str
    language: str = "python"
    prefix: str | None = None
    interpreter: str | None = None
    lock: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """How a kernel of this environment is started; rendered into launch.sh.

    `argv` may hold `{connection_file}` once, as an element of its own or inside one. `template` names
    launch/templates/TEMPLATE.sh.j2 (`prefix`, `script` or `container`); `values` are the names that
    only this template reads. `hooks` are files that are sourced before the start (conda's activate.d), `path`
    is put before PATH, `env` is set as it is, without any substitution.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    template: str = "prefix"
    values: Mapping[str, Any] = field(default_factory=dict)
    interrupt_mode: Literal["message", "signal"] = "signal"


@dataclass(frozen=True)
class Generation:
    """One immutable build of a kernel, as it lies in the store."""

    kernel_id: str
    number: int
    folder: Path
    recipe: Recipe
    made: Made
    created: float
    complete: bool
    facts: Mapping[str, Any] = field(default_factory=dict)


# --- what discovery sees -----------------------------------------------------------------------

Origin = Literal["user", "group", "site", "conda", "legacy", "jupyter"]
State = Literal["ok", "warning", "broken", "shadowed", "untrusted", "unavailable"]


@dataclass(frozen=True)
class Kernel:
    """One row of `kernelwright list`: a kernelspec, or an environment that could become one."""

    name: str
    display_name: str
    language: str
    origin: Origin
    kind: str
    launcher: str
    path: str
    owned: bool
    visible: bool
    state: State = "ok"
    problems: tuple[Problem, ...] = ()
    spec: Mapping[str, Any] = field(
        default_factory=dict
    )  # empty where the index spared the reading
    group: str | None = None
    stamp: tuple[int, int] | None = None  # st_mtime_ns and st_size of kernel.json
    watch: str | None = None  # the program whose absence breaks the kernel
    loads: bool = True  # whether Jupyter can read its kernel.json
