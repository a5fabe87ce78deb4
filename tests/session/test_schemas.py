"""The published schemas hold for what Python and Ruby really write."""

from __future__ import annotations

import json
import time

import pytest
from jsonschema import Draft202012Validator

from kernelwright.catalog.document import document
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover, write_index
from kernelwright.errors import Problem
from kernelwright.model import Generation, Made, PrefixSpec, Recipe
from kernelwright.session.card import CardProgress, Report, write_report
from kernelwright.store import kernelspec

from .conftest import SCHEMAS
from .ood import central_kernel, stage


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.schema.json")), ids=lambda p: p.name)
def test_each_schema_is_one(path):
    Draft202012Validator.check_schema(json.loads(path.read_text()))


def test_the_index(home, valid):
    central_kernel(home / ".local/share/jupyter/kernels/mine", "Mine")
    (home / ".local/share/jupyter/kernels/broken").mkdir()
    (home / ".local/share/jupyter/kernels/broken/kernel.json").write_text("{")
    write_index(home, discover(home=home, environ={}, site=SiteConfig()), "node1")
    index = json.loads((home / ".local/share/kernelwright/index.json").read_text())
    assert "user:mine" in [k["value"] for k in valid("index", index)["kernels"]]


def test_the_catalog(valid, tmp_path):
    one = central_kernel(tmp_path / "py", "Python")
    valid(
        "catalog",
        document(SiteConfig(kernels=({"name": "py", "label": "P", "path": str(one)},)), environ={}),
    )


def test_the_request_that_ruby_writes(tmp_path, valid):
    root = stage({"kw_kernel": "site:py", "kw_only": "0"}, tmp_path / "s", runtime="/opt/kw")
    found = valid("request", json.loads((root / "request.json").read_text()))
    assert found["answers"]["kw_kernel"] == "site:py"
    assert found["runtime"] == "/opt/kw"


def test_the_metadata_of_our_kernels(tmp_path, valid):
    generation = Generation(
        "0a1b", 3, tmp_path, Recipe("a", PrefixSpec("/x")), Made("prefix"), time.time(), True
    )
    spec = kernelspec.kernel_json(
        generation, recipe_hash="ff", runtime=tmp_path, interrupt_mode="signal"
    )
    valid("metadata", spec["metadata"]["kernelwright"])


def test_a_report(tmp_path, valid):
    report = Report(node="n1", problems=(Problem("a-b", "warning", "text", "hint"),), ends_at=1.0)
    write_report(tmp_path, report.about(Problem("c-d", "error", "why", evidence="one\ntwo")))
    found = valid("report", json.loads((tmp_path / "report.json").read_text()))
    assert found["log"] == ["one", "two"]


def test_progress_in_steps_at_most_twice_a_second(tmp_path, valid):
    path = tmp_path / "progress.json"
    said = []
    progress = CardProgress(tmp_path, "RNA", 99.0, say=said.append)
    progress.advance(1, 2)  # before any phase: nothing
    assert not path.exists()
    progress.phase("link", "making an empty environment")
    writes = {path.stat().st_mtime_ns}
    assert valid("progress", json.loads(path.read_text()))["step"] == 1
    begun = time.monotonic()
    progress.phase("download", "downloading")
    for number in range(2000):
        progress.advance(number, 2000, "bytes")
        writes.add(path.stat().st_mtime_ns)
    allowed = 2 + (time.monotonic() - begun) / 0.5
    assert len(writes) <= allowed
    deadline = time.monotonic() + 30
    while json.loads(path.read_text())["done"] != 1999 and time.monotonic() < deadline:
        time.sleep(0.05)  # the last word comes by the timer, without any further call
    last = valid("progress", json.loads(path.read_text()))
    assert (last["step"], last["done"], last["total"], last["unit"], last["kernel"]) == (
        2,
        1999,
        2000,
        "bytes",
        "RNA",
    )
    progress.phase("solve", "again")
    assert progress._state["step"] == 2  # steps never go back
    progress.close()
    assert not path.exists()
    assert said[:2] == ["step 1 of 4: making an empty environment", "step 2 of 4: downloading"]


def test_a_card_that_cannot_be_written_stops_nothing(tmp_path):
    write_report(tmp_path / "gone", Report())
    progress = CardProgress(tmp_path / "gone", say=lambda _: None)
    progress.phase("solve", "x")
    progress.close()
