"""Requests, prepared sessions, and whole sessions of an unprivileged user on the real templates."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from kernelwright.catalog.document import document
from kernelwright.config.model import SiteConfig
from kernelwright.session.session import Session

from . import ood

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


@pytest.fixture
def central(tmp_path):
    """A site with two central kernels; the second is its default."""
    one = ood.central_kernel(tmp_path / "shared/py", "Python of the site")
    two = ood.central_kernel(tmp_path / "shared/ml", "ML")
    return SiteConfig(
        kernels=(
            {"name": "py", "label": "Python 3.12 (site)", "path": str(one)},
            {"name": "ml", "label": "ML stack", "path": str(two), "default": True},
        )
    )


@pytest.fixture
def place():
    """A folder that every user can enter; pytest's own are private, and made so again by each other run."""
    folder = Path(tempfile.mkdtemp(prefix="kernelwright-session-", dir="/var/tmp"))
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start(alice, runtime, place):
    """Start a session of alice's with these answers; all of them are ended after the test."""
    running = []

    def go(
        answers=None, *, site=None, wait=True, home=None, root=None, before_serving="", **options
    ):
        catalog = write_catalog(place / f"catalog-{len(running)}.json", site) if site else None
        where = root or alice.home / f"ondemand/output/{len(running)}"
        ood.stage(answers or {}, where, runtime=runtime, catalog=catalog)
        script = (where / "script.sh").read_text()
        assert script.count("\nkw_status=0\n") == 1
        (where / "script.sh").write_text(
            script.replace("\nkw_status=0\n", f"\n{before_serving}\nkw_status=0\n")
        )
        os.system(f"chown -R {alice.uid}:{alice.gid} '{alice.home}'")
        environ = {"KERNELWRIGHT_CATALOG": str(catalog)} if catalog else {}
        session = ood.Session(
            where,
            home=home or alice.home,
            user=alice,
            environ=environ | options.pop("environ", {}),
            wait=False,
            **options,
        )
        running.append(session)
        if wait:
            session.wait_running()
        return session

    yield go
    for session in running:
        session.stop()


@pytest.fixture
def real_runtime(tmp_path):
    """A runtime whose interpreter is this one: what a build needs of it."""
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "venv").symlink_to(sys.prefix)
    return folder
