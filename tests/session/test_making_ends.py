"""Builds of a session that fail, are told to end, or have no time."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kernelwright.builder import Builder
from kernelwright.config.model import Conda
from kernelwright.errors import UserError
from kernelwright.progress import Silent
from kernelwright.session import making
from kernelwright.session.card import Report
from kernelwright.session.prepare import prepare

from .conftest import report_of, specs_of
from .ood import wait_for
from .preparing import command


def test_a_build_that_cannot_end_in_time_is_not_begun(request_of, home):
    session = request_of(
        kw_kernel="new:packages",
        kw_title="RNA",
        kw_packages="numpy",
        environ={"SLURM_JOB_END_TIME": str(int(time.time()) + 30)},
    )
    prepare(session, host="127.0.0.1", port="5000")
    report = report_of(session)
    assert (report["code"], report["state"]) == ("too-little-time", "starting")
    assert report["ends_at"] is not None
    assert not list((home / ".local/share/kernelwright").rglob("building"))


def test_a_short_time_is_a_warning():
    said = []

    class Progress(Silent):
        def note(self, text):
            said.append(text)

    from kernelwright.model import CondaSpec, Recipe

    making._check_time(Recipe("a", CondaSpec()), time.time() + 400, Progress())
    assert "6 minutes" in said[0]
    making._check_time(Recipe("a", CondaSpec()), None, Progress())
    making._check_time(Recipe("a", CondaSpec()), time.time() + 4000, Progress())
    assert len(said) == 1


def test_a_failing_build_shows_the_end_of_its_log(request_of, real_runtime, monkeypatch, tmp_path):
    log = tmp_path / "logs"
    log.mkdir()
    (log / "pip.log").write_text("".join(f"line {n}\n" for n in range(40)))

    def fail(*_, **__):
        raise UserError(
            "no-solution",
            "the packages do not fit together",
            context={"log": str(log)},
            hint="ask for fewer",
        )

    monkeypatch.setattr(Builder, "create", fail)
    session = request_of(
        runtime=real_runtime, kw_kernel="new:packages", kw_title="RNA", kw_packages="numpy"
    )
    assert prepare(session, host="127.0.0.1", port="5000") is True
    report = report_of(session)
    assert (report["state"], report["code"], report["hint"]) == (
        "starting",
        "no-solution",
        "ask for fewer",
    )
    assert report["log"] == [f"line {n}" for n in range(20, 40)]
    answer = json.loads(Path(specs_of(session)["rna"]["argv"][4]).read_text())
    assert (answer["display_name"], answer["problem"]["code"]) == ("RNA", "no-solution")
    session = request_of(
        runtime=real_runtime,
        kw_kernel="new:packages",
        kw_title="RNA",
        kw_packages="numpy",
        kw_only="1",
    )
    with pytest.raises(UserError):
        prepare(session, host="127.0.0.1", port="5000")
    assert report_of(session)["state"] == "failed"


def test_ended_while_making(request_of, real_runtime, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Builder, "create", interrupt)
    session = request_of(
        runtime=real_runtime, kw_kernel="new:packages", kw_title="RNA", kw_packages="numpy"
    )
    with pytest.raises(KeyboardInterrupt):
        prepare(session, host="127.0.0.1", port="5000")
    assert (report_of(session)["state"], report_of(session)["code"]) == (
        "failed",
        "session-ended-while-preparing",
    )
    assert Report().state == "preparing" and Conda().channels


def test_told_to_end_in_the_middle_of_a_real_build(request_of, home, tmp_path):
    """A package index that never answers; TERM: nothing is left over, and the card says what to do."""
    real = Path(sys.prefix)
    runtime = tmp_path / "real"
    runtime.mkdir()
    (runtime / "venv").symlink_to(real)
    session = request_of(
        runtime=runtime,
        kw_kernel="new:packages",
        kw_title="RNA",
        kw_packages="numpy",
        kw_installer="venv",
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {
            "PATH": os.environ["PATH"], "HOME": str(home), "KERNELWRIGHT_HOME": str(home), "KERNELWRIGHT_RUNTIME": str(runtime),
            "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple", "PIP_CONFIG_FILE": "/dev/null",
        }  # fmt: skip
        words = command(session.root, session.private)
        child = subprocess.Popen(
            words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            silent.settimeout(120)
            silent.accept()[0].close()
            wait_for((session.root / "progress.json").exists)
            child.terminate()
            said = child.communicate(timeout=60)[0].decode()
        finally:
            child.kill()
            child.wait()
    assert child.returncode == 130, said
    assert report_of(session)["code"] == "session-ended-while-preparing"
    assert not (session.root / "progress.json").exists()
    assert not list((home / ".local/share/kernelwright").glob("kernels/*/*"))
