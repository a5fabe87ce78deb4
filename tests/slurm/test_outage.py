"""slurmctld away: nothing is lost, cells say so, and what was asked for meanwhile still happens."""

import time

import pytest

from slurm.notebook import is_idle


def outage_while_pending(bench, seconds):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    cell = notebook.send("print('later')")
    notebook.wait_line(cell, "PENDING")
    ((job, _),) = bench.cluster.jobs()
    bench.cluster.stop_controller()
    begun = time.monotonic()
    notebook.wait_line(cell, "Slurm does not answer at the moment; the job keeps its place")
    time.sleep(max(0, seconds - (time.monotonic() - begun)))
    bench.cluster.start_controller()
    bench.cluster.open_partition()
    notebook.wait(lambda m: is_idle(m, cell), 240)
    assert notebook.reply(cell)["status"] == "ok"
    assert notebook.ready() == job


def outage_while_running(bench, seconds):
    bench.kernel()
    notebook = bench.start()
    job = notebook.ready()
    bench.cluster.stop_controller()
    assert notebook.text_of(f"import time; time.sleep({seconds}); print('through')") == "through\n"
    begun = time.monotonic()
    notebook.shutdown()  # in the outage: quick, and the job ends although scancel fails
    assert time.monotonic() - begun < 30
    bench.cluster.start_controller()
    bench.cluster.wait(lambda: job not in dict(bench.cluster.jobs()), 120, "the job to be gone")


def test_outage_while_pending(bench):
    outage_while_pending(bench, 8)


def test_outage_while_running(bench):
    outage_while_running(bench, 4)


@pytest.mark.soak
def test_long_outage_while_pending(bench):
    outage_while_pending(bench, 60)


@pytest.mark.soak
def test_long_outage_while_running(bench):
    outage_while_running(bench, 60)


def test_start_during_an_outage(bench):
    bench.kernel()
    bench.cluster.stop_controller()
    notebook = bench.start()
    cell = notebook.send("print('at last')")
    notebook.wait_line(cell, "asking Slurm for a place")
    bench.cluster.start_controller()
    notebook.wait(lambda m: is_idle(m, cell), 240)
    assert notebook.reply(cell)["status"] == "ok"
    assert len(bench.cluster.jobs()) == 1
