"""Sessions on real parts: the real templates and JupyterLab, as an unprivileged user."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kernelwright.catalog.document import document
from kernelwright.config.model import SiteConfig
from kernelwright.session.session import Session

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs/reference/schemas"


@pytest.fixture(scope="session")
def valid():
    """`valid("report", document)`: the document keeps its published schema."""

    def check(name, value):
        schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
        errors = [
            f"{list(e.absolute_path)}: {e.message}"
            for e in Draft202012Validator(schema).iter_errors(value)
        ]
        assert not errors, errors
        return value

    return check


@pytest.fixture
def folders(tmp_path, home):
    """The two folders of a session that is prepared within the test's own process."""
    root, private = tmp_path / "staged", tmp_path / "private"
    root.mkdir()
    private.mkdir(mode=0o700)
    return root, private, home


@pytest.fixture
def request_of(folders):
    """Write request.json with these answers and give the Session that `prepare` takes."""
    root, private, home = folders

    def write(site=None, environ=None, runtime=None, **answers):
        place = runtime or fake_runtime(home.parent / "runtime")
        request = {
            "version": 1, "answers": answers, "session": {"id": "1"}, "runtime": str(place), "catalog": {"sha": None},
        }  # fmt: skip
        (root / "request.json").write_text(json.dumps(request))
        around = {"PATH": os.environ["PATH"], "HOME": str(home), "USER": "tester"} | (environ or {})
        return Session(root, private, home, around, site or SiteConfig(), place)

    return write


def fake_runtime(folder):
    """As much of a runtime as `prepare` looks at."""
    for name in ("jupyterlab", "notebook"):
        (folder / "venv/lib/python3.11/site-packages" / name).mkdir(parents=True, exist_ok=True)
    (folder / "venv/bin").mkdir(exist_ok=True)
    return folder


def report_of(session):
    return json.loads((session.root / "report.json").read_text())


def values_of(session):
    return json.loads((session.private / "values.json").read_text())


def specs_of(session):
    """The session's own kernelspecs by name."""
    folder = session.private / "jupyter/kernels"
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/kernel.json")}


def write_catalog(path, site):
    """catalog.json of these settings, as `site compile` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(site, environ={})))
    return path
