"""Records whose session is gone: Slurm is asked, and the next start tells."""

from __future__ import annotations

import os
import subprocess

import pytest
from launch.kit import script, wait_for

from kernelwright.launch import leftovers


def record(kernel, key, **values):
    kernel.starts.mkdir(exist_ok=True)
    lines = {"pid": "1", "host": "node7", "started": "1700000000", "job": ""} | values
    (kernel.starts / f"{key}.start").write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
    (kernel.starts / f"{key}.log").write_text("old words\n")


def slurm(tmp_path, state, *, status=0):
    """An scontrol that forgot the job and an sacct that knows it, as after MinJobAge."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    script(
        folder / "scontrol",
        "#!/bin/bash\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n",
    )
    script(
        folder / "sacct",
        f"#!/bin/bash\necho asked >> {folder}/asked\necho '{state}'; exit {status}\n",
    )
    return folder


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("NODE_FAIL", "the node node7 of job 77 failed"),
        ("TIMEOUT", "the time limit of job 77 was reached"),
        ("OUT_OF_MEMORY", "job 77 used up its memory"),
        ("CANCELLED by 1000", None),
    ],
)
def test_a_job_that_has_ended_is_told_once(make, tmp_path, env, state, words):
    folder = slurm(tmp_path, state)
    kernel = make(environ={"PATH": f"{folder}:{env['PATH']}", "SLURM_JOB_ID": "99"})
    record(kernel, "kernel-old", job="77")
    with kernel:
        wait_for(lambda: not (kernel.starts / "kernel-old.start").exists(), "the settled record")
        text = kernel.run("1")[1]
        assert (words in text) if words else ("ended before" not in text), text
        assert sorted(p.name for p in kernel.starts.iterdir()) == [
            "kernel-0123.log",
            "kernel-0123.start",
        ]


def test_a_job_that_still_runs_is_asked_for_once(make, tmp_path, env):
    folder = slurm(tmp_path, "RUNNING")
    kernel = make(environ={"PATH": f"{folder}:{env['PATH']}", "SLURM_JOB_ID": "99"})
    record(kernel, "kernel-other", job="77")
    with kernel:
        wait_for(
            lambda: "alive_for=99" in (kernel.starts / "kernel-other.start").read_text(), "the note"
        )
        assert "ended before" not in kernel.run("1")[1]
        kernel.restart()
        assert kernel.run("1")[1] == "1"
    assert (folder / "asked").read_text() == "asked\n"


def test_a_dead_process_of_this_host_is_swept(make):
    process = subprocess.Popen(["true"])
    process.wait()
    kernel = make()
    record(kernel, "kernel-dead", pid=str(process.pid), host=os.uname().nodename)
    record(kernel, "kernel-live", pid=str(os.getpid()), host=os.uname().nodename)
    record(kernel, "kernel-far", pid=str(process.pid), host="elsewhere")
    with kernel:
        wait_for(lambda: not (kernel.starts / "kernel-dead.start").exists(), "the sweep")
        assert (kernel.starts / "kernel-live.start").exists()
        assert (kernel.starts / "kernel-far.start").exists()


def test_slurm_that_cannot_be_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(slurm(tmp_path, "", status=1)))
    assert leftovers.job_state("77") == "GONE"
    monkeypatch.setenv("PATH", "/nowhere")
    assert leftovers.job_state("77") == ""
