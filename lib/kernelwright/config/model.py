"""The site's settings with their defaults (docs/reference/site-config.md, etc/site.example.yaml).

One frozen class a section of the file. Readers take a `SiteConfig` as a parameter; only
`config.load` makes one from files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model import Bind


@dataclass(frozen=True)
class Site:
    name: str = "this site"
    support: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class JupyterConfig:
    modules: tuple[str, ...] = ()
    command: str | None = None  # None: the runtime's own JupyterLab
    interfaces: tuple[str, ...] = ("lab", "notebook")


@dataclass(frozen=True)
class Storage:
    root: str | None = None  # None: beside the kernels in HOME; {user} and {home} are filled in
    package_cache: str | None = None
    images: str | None = None
    image_cache: str | None = None
    central: str | None = None  # where `site build` makes central kernels; None: RUNTIME/site


@dataclass(frozen=True)
class Build:
    partition: str | None = None
    time: str = "00:30:00"
    cores: int = 4


@dataclass(frozen=True)
class Network:
    compute_nodes: bool = True
    proxy: str | None = None


@dataclass(frozen=True)
class Python:
    interpreters: tuple[str, ...] = ()
    download: bool = False
    index: str | None = None


@dataclass(frozen=True)
class ModuleConfig:
    init: str | None = None
    use: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conda:
    channels: tuple[str, ...] = ("conda-forge",)
    channel_alias: str | None = None
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    channel_priority: str = "strict"
    allow_channels: tuple[str, ...] = ()  # empty: all are allowed; shell patterns
    deny_channels: tuple[str, ...] = ()
    auth_file: str | None = None
    virtual_packages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by partition


RUNTIMES = ("apptainer", "singularity")  # the container runtimes that kernels can start in


@dataclass(frozen=True)
class ContainerRuntime:
    module: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class Containers:
    runtimes: Mapping[str, ContainerRuntime] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    environment: tuple[str, ...] = ()  # further variable names that go into the container
    allow: tuple[str, ...] = ()  # empty: every image; shell patterns such as docker://*
    signed: bool = False


@dataclass(frozen=True)
class SlurmConfig:
    submit: str = "local"  # local | HOST to ssh to | none
    ports: str | None = None  # "50000-50100": where the broker listens
    network: str | None = None  # CIDR of the address that agents dial back to
    defaults: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)  # part_keys.LIMITS; idle in minutes
    partitions: tuple[str, ...] = ()  # empty: all
    lease: int = 120  # seconds an allocation lives without its broker


@dataclass(frozen=True)
class Groups:
    folders: tuple[str, ...] = ()  # "/projects/{group}/kernels"
    trusted_owners: tuple[str, ...] = ("root",)


@dataclass(frozen=True)
class Policy:
    kinds: tuple[str, ...] = ("conda", "venv", "container", "script", "prefix")
    max_size: str | None = None


@dataclass(frozen=True)
class Form:
    """What the OOD form offers: default kind of package list, bounds of the resource fields."""

    packages: str = "venv"  # venv | conda: what a plain list of packages becomes
    hours: int = 4
    max_hours: int = 12
    cores: int = 1
    max_cores: int = 64
    memory_gb: int = 0  # 0: the partition's default
    max_memory_gb: int = 512
    max_gpus: int = 0  # 0 hides the field
    partitions: tuple[Mapping[str, Any], ...] = ()  # {name, label, gpus, max_hours}
    accounts: tuple[str, ...] = ()
    slurm_options: bool = False  # whether the Advanced part takes extra sbatch options
    file_picker: bool = True


@dataclass(frozen=True)
class SiteConfig:
    """Everything a site may say; `kernels` and `templates` are validated entries as plain data."""

    site: Site = Site()
    runtime: str | None = None
    clusters: tuple[str, ...] = ()
    jupyter: JupyterConfig = JupyterConfig()
    storage: Storage = Storage()
    build: Build = Build()
    network: Network = Network()
    command: str | None = "kernelwright"
    python: Python = Python()
    modules: ModuleConfig = ModuleConfig()
    conda: Conda = Conda()
    containers: Containers = Containers()
    slurm: SlurmConfig = SlurmConfig()
    groups: Groups = Groups()
    policy: Policy = Policy()
    form: Form = Form()
    usage_log: str | None = None
    kernels: tuple[Mapping[str, Any], ...] = ()
    templates: tuple[Mapping[str, Any], ...] = ()
