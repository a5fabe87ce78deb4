"""Sites for the tests: files in a fresh conf.d, a runtime folder beside it, and the command itself."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernelwright.cli import main
from kernelwright.config.load import load

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Answer:
    """How one call of the command went."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class SiteFolder:
    """A site's configuration folder, and a runtime folder that a catalog can be written to."""

    def __init__(self, base: Path, capsys) -> None:
        self.base = base
        self.conf = base / "site/conf.d"
        self.runtime = base / "runtime"
        self.conf.mkdir(parents=True)
        (self.runtime / "bin").mkdir(parents=True)
        (self.runtime / "bin/kernelwright").write_text("#!/bin/sh\n")
        self.capsys = capsys

    def write(self, text: str, name: str = "10-site.yaml") -> Path:
        path = self.conf / name
        path.write_text(
            textwrap.dedent(text)
            .replace("RUNTIME", str(self.runtime))
            .replace("BASE", str(self.base)),
            encoding="utf-8",
        )
        return path

    def load(self):
        return load(str(self.conf))

    def kernel(self, name: str, **spec) -> Path:
        """A kernelspec folder whose kernel is this interpreter's ipykernel."""
        folder = self.base / "kernels" / name
        folder.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (folder / "kernel.json").write_text(
            json.dumps({"argv": argv, "display_name": name.title(), "language": "python"} | spec)
        )
        return folder

    @property
    def catalog(self):
        return json.loads((self.conf.parent / "catalog.json").read_text())

    def run(self, *words) -> Answer:
        self.capsys.readouterr()
        status = main(["site", *map(str, words)])
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return Answer(status, said.out, said.err)


@pytest.fixture
def folder(tmp_path, home, monkeypatch, capsys):
    made = SiteFolder(tmp_path, capsys)
    monkeypatch.setenv("KERNELWRIGHT_SITE_CONFIG", str(made.conf))
    monkeypatch.setenv("KERNELWRIGHT_RUNTIME", str(made.runtime))
    return made


@pytest.fixture
def shared(runtime):
    """A folder that every user reaches, with a runtime of its own that has the installed one's programs.

    The catalog of this runtime may be written: the installed one serves other tests at the same time.
    """
    base = Path(tempfile.mkdtemp(prefix="site-", dir=runtime.parent))
    base.chmod(0o755)
    own = base / "runtime"
    (own / "bin").mkdir(parents=True)
    shutil.copy(runtime / "bin/kernelwright", own / "bin/kernelwright")
    for name in ("current", "venv"):
        (own / name).symlink_to((runtime / name).resolve())
    yield base
    shutil.rmtree(base)
