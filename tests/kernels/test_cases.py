"""Every failure mode: what doctor says, what Jupyter does, what repair and adopt make of it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from kernels import runner

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/expected.json"))
KEYS = {
    "why",
    "mode",
    "kernel",
    "environ",
    "doctor",
    "words",
    "state",
    "jupyter",
    "repair",
    "adopt",
    "adopted",
    "patience",
}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of an environment with ipykernel, installed once."""
    folder = tmp_path_factory.mktemp("template")
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            "/usr/bin/python3",
            "--target",
            folder,
            "ipykernel",
        ],
        check=True,
        timeout=600,
    )
    return folder


@pytest.fixture
def lab(tmp_path: Path, template: Path) -> runner.Lab:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (runtime / "venv").symlink_to(sys.prefix)
    return runner.make_lab(tmp_path, template, runtime)


@pytest.fixture(autouse=True)
def _quiet():
    for name in ("traitlets",):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    yield
    logging.getLogger("traitlets").setLevel(logging.NOTSET)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_case(case: Path, lab: runner.Lab) -> None:
    expected = json.loads((case / "expected.json").read_text())
    assert set(expected) <= KEYS
    name = expected.get("kernel", case.name)
    runner.set_up(case, lab, expected)
    _doctor(expected, name, lab)
    if "jupyter" in expected:
        assert (
            runner.start(lab, name, expected.get("patience", runner.LIMIT)) == expected["jupyter"]
        )
    if "repair" in expected:
        _repair(expected, name, lab)
    if "adopted" in expected:
        _adopt(expected, name, lab)


def _doctor(expected: dict, name: str, lab: runner.Lab) -> None:
    done = lab.run("doctor", name, "--json")
    answer = json.loads(done.stdout)
    rows = [row for row in answer["kernels"] if row["origin"] in {"user", "legacy"}] or answer[
        "kernels"
    ]
    problems = [p for row in rows for p in row["problems"] if p["severity"] != "note"]
    codes = {p["code"] for p in problems}
    assert "check-failed" not in {p["code"] for row in answer["kernels"] for p in row["problems"]}
    assert set(expected["doctor"]) <= codes if expected["doctor"] else not codes, problems
    if "state" in expected:
        assert expected["state"] in {row["state"] for row in rows}
        broken = {"broken", "untrusted"} & {row["state"] for row in answer["kernels"]}
        assert done.returncode == (1 if broken else 0)
    words = " ".join(
        f"{p['message']} {p['hint']} {p['evidence']}" for row in rows for p in row["problems"]
    )
    assert expected.get("words", "") in words


def _repair(expected: dict, name: str, lab: runner.Lab) -> None:
    before = {p: p.read_bytes() for p in lab.home.rglob("kernel.json")}
    dry = lab.run("repair", name, "--dry-run", "--json")
    assert {p: p.read_bytes() for p in lab.home.rglob("kernel.json")} == before
    done = lab.run("repair", name, "--json")
    wanted = expected["repair"]
    if wanted.startswith("refuses:"):
        assert json.loads(done.stdout)["error"]["code"] == wanted.split(":")[1]
        assert done.returncode == 1
        return
    answer = json.loads(done.stdout)
    if wanted == "cannot":
        assert done.returncode == 1
        return
    assert done.returncode == 0, done.stdout + done.stderr
    assert answer["steps"]
    assert len(json.loads(dry.stdout)["steps"]) == len(answer["steps"])
    assert all(Path(path).exists() for path in answer["backups"])
    assert runner.start(lab, name) == wanted


def _adopt(expected: dict, name: str, lab: runner.Lab) -> None:
    words = [word.replace("@HOME@", str(lab.home)) for word in expected.get("adopt", [])]
    before = {p: p.read_bytes() for p in lab.home.rglob("kernel.json")}
    dry = lab.run("adopt", name, "--dry-run", *words, "--json")
    assert {p: p.read_bytes() for p in lab.home.rglob("kernel.json")} == before
    done = lab.run("adopt", name, *words, "--json")
    wanted = expected["adopted"]
    if wanted.startswith("refuses:"):
        assert json.loads(done.stdout)["error"]["code"] == wanted.split(":")[1], done.stdout
        assert {p: p.read_bytes() for p in lab.kernels.rglob("kernel.json")} == {
            p: b for p, b in before.items() if lab.kernels in p.parents
        }
        return
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(Path(path).exists() for path in json.loads(done.stdout)["kernels"][0]["backups"])
    assert runner.start(lab, name) == wanted
