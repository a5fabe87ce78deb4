"""A group's folder, a site file that names it, and `kernelwright` as each of three real users."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conda.channel import build
from tests.conda.server import ChannelServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def channel_server():
    server = ChannelServer(build(ROOT / ".cache/conda-channel"))
    yield server
    server.close()


@dataclass
class Lab:
    """A cluster's shared part: projects folder, site file, package caches."""

    base: Path
    group: str
    server: ChannelServer
    runtime: Path

    @property
    def folder(self):
        return self.base / f"projects/{self.group}/kernels"

    def settings(self, **more):
        data = {
            "site": {"name": "Testsite", "support": "help@example.org"},
            "conda": {"channels": [self.server.url]},
            "groups": {
                "folders": [f"{self.base}/projects/{{group}}/kernels"],
                "trusted_owners": ["root", "@members"],
            },
        }
        for key, value in more.items():
            data[key] = {**data.get(key, {}), **value}
        file = self.base / "site.yaml"
        file.write_text(yaml.safe_dump(data))
        file.chmod(0o644)
        return file

    def run(self, user, *words, ok=True, env=None):
        """Run kernelwright as `user`; the parsed document of --json calls, else the result."""
        environ = {
            "KERNELWRIGHT_SITE_CONFIG": str(self.base / "site.yaml"),
            "KERNELWRIGHT_COMPILE": "never",
            "UV_DEFAULT_INDEX": self.server.index,
            **(env or {}),
        }
        assert user.uid != 0
        done = user.run([self.runtime / "bin/kernelwright", *words], env=environ, timeout=300)
        if ok:
            assert done.ok, done.stderr + done.stdout
        return json.loads(done.stdout) if "--json" in words else done


@pytest.fixture
def shared_lab(lab, runtime, channel_server):
    """The lab of alice and bob, with a folder that its members may publish in."""
    base = Path(tempfile.mkdtemp(prefix="kw-lab-", dir="/tmp"))
    base.chmod(0o755)
    channel_server.calm()
    made = Lab(base, lab, channel_server, runtime)
    made.folder.mkdir(parents=True)
    subprocess.run(["chgrp", "-R", lab, made.folder.parent], check=True)
    made.folder.parent.chmod(0o2750)
    made.folder.chmod(0o2770)
    made.settings()
    yield made
    channel_server.calm()
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(autouse=True)
def _umask():
    """The usual one, whatever the person's shell has."""
    old = os.umask(0o022)
    yield
    os.umask(old)
