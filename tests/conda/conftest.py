"""The channel, its server, and `make` for one conda environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from kernelwright.config.model import Conda, SiteConfig
from kernelwright.environments import conda
from kernelwright.environments.base import Place
from kernelwright.model import CondaSpec, Recipe

from .channel import build
from .server import ChannelServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def channel_folder():
    return build(ROOT / ".cache/conda-channel")


@pytest.fixture(scope="session")
def _server(channel_folder):
    server = ChannelServer(channel_folder)
    yield server
    server.close()


@pytest.fixture
def server(_server):
    """The channel's server without faults."""
    _server.calm()
    yield _server
    _server.calm()


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory):
    """A package cache that the tests of a run share, so that only the first one downloads."""
    return tmp_path_factory.mktemp("conda-cache")


@dataclass
class Log:
    """A Progress that keeps what it was told."""

    phases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: list[tuple] = field(default_factory=list)
    on_step: object = None

    def phase(self, name, text):
        self.phases.append(name)

    def advance(self, done, total, unit=""):
        self.steps.append((done, total, unit))
        if self.on_step:
            self.on_step(self)

    def note(self, text):
        self.notes.append(text)


@dataclass
class Workshop:
    """Makes conda environments below a temporary folder over the local channel."""

    server: ChannelServer
    base: Path
    site: SiteConfig
    environ: dict
    count: int = 0

    def place(self, **site):
        self.count += 1
        keep = self.base / f"keep/k/{self.count}"
        keep.mkdir(parents=True)
        return Place(
            self.base / f"envs/{self.count}/env",
            keep,
            self.home,
            self.environ,
            replace(self.site, **site),
            ROOT / ".dev-runtime",
        )

    @property
    def home(self):
        home = self.base / "home"
        home.mkdir(exist_ok=True)
        return home

    def patience(self, seconds):
        """How long to wait for a silent channel; None for the usual."""
        text = f"remote_read_timeout_secs: {seconds}\nremote_max_retries: 1\n" if seconds else ""
        (self.home / ".condarc").write_text(text)

    def recipe(self, *dependencies, language="python", **spec):
        return Recipe("t", CondaSpec(dependencies=dependencies, **spec), language=language)

    def make(self, *dependencies, place=None, log=None, language="python", **spec):
        recipe = self.recipe(*dependencies, language=language, **spec)
        return conda.make(recipe, place or self.place(), log or Log())


@pytest.fixture
def workshop(server, tmp_path, warm_cache):
    """Environments over a shared warm cache."""
    return _workshop(server, tmp_path, warm_cache)


@pytest.fixture
def cold(server, tmp_path):
    """Environments over an empty package cache."""
    return _workshop(server, tmp_path, tmp_path / "cache")


def _workshop(server, base, cache):
    from kernelwright.config.model import Storage

    site = SiteConfig(
        conda=Conda(channels=(server.url,)), storage=Storage(package_cache=str(cache))
    )
    environ = {
        "PATH": os.environ["PATH"],
        "UV_DEFAULT_INDEX": server.index,
        "HOME": str(base / "home"),
        "KERNELWRIGHT_COMPILE": "never",
    }
    return Workshop(server, base, site, environ)


@pytest.fixture
def log():
    return Log()
