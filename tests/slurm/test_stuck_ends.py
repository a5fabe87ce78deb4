"""Ends that Slurm itself does not finish at once: a long epilog, a requeue, another name."""

import time

import pytest

from slurm.conftest import make_bench, new_cluster
from slurm.notebook import is_idle
from slurm.test_odd_clients import CLIENTS, Bin

EPILOG = 20  # seconds; on a stuck node it is hours


@pytest.fixture(scope="module")
def slow_cluster(tmp_path_factory):
    script = tmp_path_factory.mktemp("epilog", numbered=True) / "epilog.sh"
    script.write_text(f"#!/bin/sh\nsleep {EPILOG}\n")
    script.chmod(0o755)
    yield from new_cluster(settings=f"Epilog={script}")


@pytest.fixture
def slow(slow_cluster, home, runtime, tmp_path, monkeypatch):
    yield from make_bench(slow_cluster, home, runtime, tmp_path, monkeypatch)


@pytest.fixture
def counted(tmp_path):
    """Slurm's clients, each call of which leaves a line in `calls`."""
    made = Bin(tmp_path / "bin")
    log = tmp_path / "calls"
    for name in CLIENTS:
        made.wrap(name, f'echo {name} >> {log}; exec $real "$@"')
    made.calls = lambda: len(log.read_text().splitlines())
    return made


def test_an_epilog_neither_keeps_the_cell_waiting_nor_the_reaper_busy(slow, counted):
    slow.kernel()
    notebook = slow.start({"PATH": f"{counted.folder}:/bin"})
    job = notebook.ready()
    cell = notebook.send("print('up', flush=True); import time; time.sleep(600)")
    notebook.wait(lambda m: m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == cell)
    begun = time.monotonic()
    slow.cluster.run("scancel", job)
    notebook.wait(lambda m: is_idle(m, cell), EPILOG - 4)
    (error,) = notebook.errors(cell)
    assert f"Slurm job {job} on node n1 is over: " in error
    assert not any("still runs" in line for line in notebook.lines(cell))
    assert slow.cluster.jobs() == [(job, "COMPLETING")]
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=90)
    other = notebook.ready()
    before = counted.calls()
    notebook.shutdown()
    slow.cluster.wait(lambda: (other, "COMPLETING") in slow.cluster.jobs(), 10, "the epilog")
    time.sleep(5)
    assert counted.calls() - before <= 6
    assert time.monotonic() - begun < 60
    slow.cluster.wait_no_jobs()


def test_a_job_that_was_requeued_is_over(bench):
    """An administrator's word: the second start would be without the notebook's variables and keys."""
    bench.kernel()
    notebook = bench.start()
    job = notebook.ready()
    cell = notebook.send("print('up', flush=True); import time; time.sleep(600)")
    notebook.wait(lambda m: m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == cell)
    bench.cluster.run("scontrol", "update", f"JobId={job}", "Requeue=1")
    bench.cluster.run("scontrol", "requeue", job)
    notebook.wait(lambda m: is_idle(m, cell), 60)
    (error,) = notebook.errors(cell)
    assert "is over: " in error
    bench.cluster.wait_no_jobs(60)


@pytest.mark.parametrize("partition", ["closed", "debug"])
def test_a_job_with_another_name_is_cancelled_too(bench, partition):
    bench.kernel(slurm={"partition": partition})
    notebook = bench.start()
    if partition == "debug":
        notebook.ready()
    else:
        notebook.wait_line(notebook.send("1"), "PENDING")
    ((job, _),) = bench.cluster.jobs()
    bench.cluster.run("scontrol", "update", f"JobId={job}", "Name=a|b c")
    notebook.shutdown()
    bench.cluster.wait_no_jobs(20)


def test_a_name_with_a_bar_in_it_is_no_reason(bench):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    notebook.wait_line(notebook.send("1"), "PENDING")
    ((job, _),) = bench.cluster.jobs()
    bench.cluster.run("scontrol", "update", f"JobId={job}", "Name=a|Resources")
    time.sleep(3)
    cell = notebook.send("2")
    assert "the partition is closed" in notebook.wait_line(cell, f"Slurm job {job} PENDING")
