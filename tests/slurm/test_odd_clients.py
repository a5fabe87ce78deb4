"""Slurm's clients as sites have them: away for a moment, wrapped, chatty, slow."""

import shutil
import time

import pytest

from slurm.notebook import is_idle

CLIENTS = ("sbatch", "squeue", "scancel", "scontrol", "sacct", "sinfo")


class Bin:
    """A folder with the clients, which is all of PATH; some may be other programs."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        for name in CLIENTS:
            (folder / name).symlink_to(shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin"))

    def wrap(self, name, script):
        """`script` in place of a client; in it `real` is the client itself."""
        real = (self.folder / name).readlink()
        (self.folder / name).unlink()
        (self.folder / name).write_text(f"#!/bin/sh\nreal={real}\n{script}\n")
        (self.folder / name).chmod(0o755)

    def away(self):
        for name in CLIENTS:
            (self.folder / name).rename(self.folder / f".{name}")

    def back(self):
        for name in CLIENTS:
            (self.folder / f".{name}").rename(self.folder / name)


@pytest.fixture
def clients(tmp_path):
    return Bin(tmp_path / "bin")


def start(bench, clients, **slurm):
    bench.kernel(slurm=slurm)
    return bench.start({"PATH": str(clients.folder)})


def test_clients_that_cannot_be_run_while_pending(bench, clients):
    notebook = start(bench, clients, partition="closed")
    cell = notebook.send("print('ran')")
    notebook.wait_line(cell, "PENDING")
    ((job, _),) = bench.cluster.jobs()
    clients.away()
    notebook.wait_line(cell, "Slurm does not answer at the moment; the job keeps its place")
    clients.back()
    bench.cluster.open_partition()
    notebook.wait(lambda m: is_idle(m, cell))
    assert notebook.ready() == job


def test_clients_that_cannot_be_run_while_running(bench, clients):
    notebook = start(bench, clients)
    job = notebook.ready()
    clients.away()
    broker = notebook.pid
    assert notebook.text_of("kept = 1; import time; time.sleep(8); print('through')") == "through\n"
    clients.back()
    assert notebook.text_of("print(kept)") == "1\n"
    assert (notebook.pid, notebook.ready()) == (broker, job)


@pytest.mark.parametrize(
    "script",
    ['echo "--> Verifying submit host ... OK"; exec $real "$@"', '$real "$@" >&2'],
    ids=["says more", "hides the id"],
)
def test_a_wrapped_sbatch(bench, clients, script):
    clients.wrap("sbatch", script)
    notebook = start(bench, clients, partition="closed")
    cell = notebook.send("print('ran')")
    notebook.wait_line(cell, "PENDING")
    ((job, _),) = bench.cluster.jobs()
    assert any(f"Slurm job {job} PENDING" in line for line in notebook.lines(cell))
    notebook.shutdown()
    bench.cluster.wait_no_jobs(20)


SLOW = """
case "$*" in *test-only*) exec $real "$@";; esac
script=$(/bin/cat)
/bin/sleep {seconds}
printf '%s\\n' "$script" | $real "$@"
: >> {folder}/submitted
"""


SLOW_ANSWER = """
case "$*" in *test-only*) exec $real "$@";; esac
id=$($real "$@")
/bin/sleep 6
echo "$id"
: >> {folder}/answered
"""


def slow_sbatch(clients, seconds):
    clients.wrap("sbatch", SLOW.format(seconds=seconds, folder=clients.folder))
    return clients.folder / "submitted"


def test_shutdown_while_a_slow_sbatch_is_under_way(bench, clients):
    submitted = slow_sbatch(clients, 12)
    notebook = start(bench, clients, partition="closed")
    notebook.send("1")
    time.sleep(1)
    notebook.shutdown()
    assert not submitted.exists()
    bench.cluster.wait(submitted.exists, 30, "sbatch to end")
    bench.cluster.wait_no_jobs(20)


def test_restart_while_a_slow_sbatch_is_under_way(bench, clients):
    """Both submissions come through: the job whose agent has the keys is the one that stays."""
    slow_sbatch(clients, 10)
    notebook = start(bench, clients)
    notebook.send("1")
    time.sleep(1)
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=90)
    cell = notebook.send(
        "import os, time; print(os.environ['SLURM_JOB_ID'], flush=True); time.sleep(20)"
    )
    notebook.wait(lambda m: is_idle(m, cell))
    assert notebook.reply(cell)["status"] == "ok", notebook.errors(cell)
    job = notebook.ready()
    bench.cluster.wait(lambda: len(bench.cluster.jobs()) == 1, 20, "one job to be left")
    assert bench.cluster.jobs() == [(job, "RUNNING")]
    assert any(f"Slurm job {job} on node" in line for line in notebook.lines(cell))
    notebook.shutdown()
    bench.cluster.wait_no_jobs(20)


def test_an_agent_that_is_faster_than_sbatchs_answer(bench, clients):
    """The late answer does not make a running job a waiting one, which a restart could give up."""
    clients.wrap("sbatch", SLOW_ANSWER.format(folder=clients.folder))
    notebook = start(bench, clients)
    job = notebook.ready()
    bench.cluster.wait((clients.folder / "answered").exists, 30, "sbatch to answer")
    time.sleep(1)
    (bench.generation.parent / "launcher.json").write_text('{"slurm": {"partition": "long"}}')
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=90)
    assert notebook.ready() == job
