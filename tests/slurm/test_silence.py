"""A kernel that hangs after it has opened its sockets, in a job: the cell says so; a busy one is let be."""

import subprocess
import sys

import pytest

HUNG = f"""#!{sys.executable}
import json, sys, time, zmq
facts = json.load(open(sys.argv[-1]))
context, kept = zmq.Context(), []
for name, kind in {{"shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER, "iopub": zmq.PUB, "hb": zmq.REP}}.items():
    kept.append(context.socket(kind))
    kept[-1].bind(f"ipc://{{facts['ip']}}-{{facts[name + '_port']}}")
time.sleep(600)
"""
BUSY = '#!/bin/bash\nexec {python} -m ipykernel_launcher "$@"\n'


@pytest.fixture
def start(bench, monkeypatch, tmp_path):
    """`start(text)`: a notebook on a kernel whose start script is `text`, in a job."""

    def made(text):
        path = tmp_path / "start-kernel"
        path.write_text(text)
        path.chmod(0o755)
        words = ["create", "script", "own", path, "--slurm", "partition=debug", "--no-test"]
        done = subprocess.run(
            [bench.runtime / "bin/kernelwright", *words, "--env", "KERNELWRIGHT_START_LIMIT=2"],
            env=bench.environ,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        monkeypatch.setenv("JUPYTER_PATH", str(bench.home / ".local/share/jupyter"))
        return bench.start(name="own")

    return made


def test_a_kernel_that_hangs_in_its_job_is_explained(start):
    reply = start(HUNG).run("1 + 1", seconds=90)
    assert reply["status"] == "error"
    assert "did not answer within" in " ".join([reply["evalue"], *reply["traceback"]])


def test_a_kernel_that_is_busy_in_its_job_is_let_be(start, bench):
    notebook = start(BUSY.format(python=bench.runtime / "venv/bin/python"))
    assert notebook.text_of("import time; time.sleep(8); print(6 * 7)").strip() == "42"
