"""Why a session is over, in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from kernelwright.errors import Problem
from kernelwright.session import cleaning, ending, job
from kernelwright.session.card import Report, last_lines, read_report, write_report
from kernelwright.session.ending import Ended, reason

from .ood import wait_for


def end(status, *, asked=False, log=(), ran=True, ends_at=None, oom=False):
    return reason(
        Ended(None, None, status, asked=asked), tuple(log), ran=ran, ends_at=ends_at, oom=oom
    ).code


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("session-shut-down", {"status": 0}),
        ("session-cancelled", {"status": 143, "asked": True}),
        ("session-cancelled", {"status": 0, "asked": True, "ends_at": time.time() + 3600}),
        ("session-walltime", {"status": 143, "asked": True, "ends_at": time.time() + 5}),
        (
            "session-walltime",
            {
                "status": 143,
                "asked": True,
                "log": [
                    "slurmstepd-n1: error: *** JOB 2 ON n1 CANCELLED AT 2026-11-29T17:47:59 DUE TO TIME LIMIT ***",
                    "[C] received signal 15",
                ],
            },
        ),
        (
            "session-out-of-memory",
            {
                "status": 137,
                "log": ["slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch."],
            },
        ),
        (
            "session-out-of-memory",
            {
                "status": 137,
                "log": [
                    "slurmstepd-n1: error: StepId=7.batch exceeded memory limit (397639680 > 314572800), being killed"
                ],
            },
        ),
        ("session-out-of-memory", {"status": 137, "oom": True}),
        ("session-shut-down", {"status": 0, "oom": True}),
        ("server-killed", {"status": 137}),
        ("server-killed", {"status": 139}),
        ("server-exit", {"status": 1}),
        ("server-did-not-start", {"status": 1, "ran": False}),
        (
            "server-too-old",
            {
                "status": 1,
                "ran": False,
                "log": ["x", "kernelwright: server-too-old: jupyter_server 1.24.0 is too old", "y"],
            },
        ),
        (
            "modules-not-loaded",
            {
                "status": 1,
                "ran": False,
                "log": ["kernelwright: modules-not-loaded: the module `gcc/99` cannot be loaded"],
            },
        ),
    ],
)
def test_reasons(code, arguments):
    assert end(**arguments) == code


def test_the_first_reason_stays(tmp_path, capsys):
    write_report(tmp_path, Report(state="starting", node="n1"))
    (tmp_path / "output.log").write_text("one\n\x1b[31mred\x1b[0m \x07bell\n")
    ending.ended(Ended(tmp_path, tmp_path, 1), {})
    first = read_report(tmp_path)
    assert (first["state"], first["code"], first["log"]) == (
        "failed",
        "server-did-not-start",
        ["one", "red  bell"],
    )
    assert "server-did-not-start" in capsys.readouterr().out
    ending.ended(Ended(tmp_path, tmp_path, 143, asked=True), {})
    assert read_report(tmp_path)["code"] == "server-did-not-start"


def test_the_walltime_that_prepare_found_counts(tmp_path):
    write_report(tmp_path, Report(state="running", ends_at=time.time() + 10))
    ending.ended(Ended(tmp_path, tmp_path, 143, asked=True), {})
    assert read_report(tmp_path)["code"] == "session-walltime"


def test_an_earlier_problem_is_kept(tmp_path):
    write_report(
        tmp_path, Report(state="running").about(Problem("no-such-kernel", "error", "gone"))
    )
    ending.ended(Ended(tmp_path, tmp_path, 143, asked=True), {})
    found = read_report(tmp_path)
    assert found["code"] == "session-cancelled"
    assert [p["code"] for p in found["problems"]] == ["no-such-kernel"]


def test_running_does_not_overtake_the_end(tmp_path):
    write_report(tmp_path, Report(state="starting"))
    ending.running(tmp_path)
    assert read_report(tmp_path)["state"] == "running"
    write_report(tmp_path, Report(state="failed"))
    ending.running(tmp_path)
    assert read_report(tmp_path)["state"] == "failed"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"problems": [1, {"code": 2}], "log": [1], "state": 5}', "null"]
)
def test_a_spoilt_report_is_written_anew(tmp_path, text, valid):
    (tmp_path / "report.json").write_text(text)
    ending.ended(Ended(tmp_path, tmp_path, 1), {})
    valid("report", json.loads((tmp_path / "report.json").read_text()))


def test_the_end_of_a_long_log(tmp_path):
    (tmp_path / "log").write_bytes(
        b"x" * 500_000 + b"\n" + b"\n".join(b"line %d \xff" % n for n in range(50)) + b"\n"
    )
    lines = last_lines(tmp_path / "log")
    assert len(lines) == 20 and lines[-1] == "line 49 \ufffd"
    assert last_lines(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-02:03:04", 93784.0),
        ("02:03:04", 7384.0),
        ("03:04", 184.0),
        ("UNLIMITED", None),
        ("", None),
        ("INVALID", None),
    ],
)
def test_slurms_times(text, seconds):
    assert job.seconds(text) == seconds


def test_when_the_walltime_ends(tmp_path):
    assert job.ends_at({"SLURM_JOB_END_TIME": "1795971658"}) == 1795971658.0
    assert job.ends_at({}) is None
    assert job.ends_at({"SLURM_JOB_ID": "7"}) is None  # not asked: no process
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 10:00\n")
    squeue.chmod(0o755)
    asked = job.ends_at({"SLURM_JOB_ID": "7", "PATH": f"{tmp_path}:{os.environ['PATH']}"}, ask=True)
    assert abs(asked - time.time() - 600) < 60


def test_oom_kills_of_this_job_only(tmp_path):
    leaf = tmp_path / "system.slice/slurmstepd.scope/job_7/step_batch/user/task_0"
    leaf.mkdir(parents=True)
    (tmp_path / "proc").write_text(
        "0::/system.slice/slurmstepd.scope/job_7/step_batch/user/task_0\n"
    )
    (leaf / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    (leaf.parents[2] / "memory.events").write_text("oom_kill 3\n")
    (leaf.parents[3] / "memory.events").write_text("oom_kill 99\n")
    assert job.oom_kills(tmp_path / "proc", tmp_path) == 3
    assert job.oom_kills(tmp_path / "nothing", tmp_path) == 0


def test_processes_of_a_session_end_and_others_live(tmp_path, monkeypatch):
    """Not those of another session, and not a batch job that was submitted from a notebook."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    sleep = [
        sys.executable,
        "-c",
        "import signal, time, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN) if len(sys.argv) > 1 else None; print(1, flush=True); time.sleep(600)",
    ]
    mine = [
        subprocess.Popen(
            [*sleep, *more],
            env={"KERNELWRIGHT_SESSION": str(private), "SLURM_JOB_ID": "7"},
            start_new_session=True,
            stdout=subprocess.PIPE,
        )
        for more in ([], ["stubborn"])
    ]
    others = [
        subprocess.Popen(
            sleep,
            env={"KERNELWRIGHT_SESSION": mark, "SLURM_JOB_ID": number},
            stdout=subprocess.PIPE,
        )
        for mark, number in ((f"{private}2", "7"), (str(private), "8"))
    ]
    try:
        for child in (*mine, *others):
            child.stdout.readline()
        cleaning.clean(private, grace=0.5)
        for child in mine:
            wait_for(lambda: child.poll() is not None)
        assert [other.poll() for other in others] == [None, None]
        assert not private.exists()
    finally:
        for child in (*mine, *others):
            child.kill()
            child.wait()
            child.stdout.close()


def test_a_folder_that_is_not_ours_is_not_removed(tmp_path):
    from kernelwright.errors import UserError

    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UserError):
        cleaning.clean(tmp_path / "link")
    with pytest.raises(UserError):
        cleaning.clean(tmp_path / "none")
