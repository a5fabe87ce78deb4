"""Restart keeps the allocation: the same job, a fresh kernel, no second wait in the queue."""

import json
import time
from pathlib import Path

import pytest

from slurm.notebook import LAUNCH, is_idle


def restart_series(bench, times):
    bench.kernel()
    notebook = bench.start()
    job = notebook.ready()
    for number in range(times):
        notebook.run("kept = 1")
        notebook.manager.restart_kernel(now=bool(number % 2))  # by message, by SIGKILL, ...
        notebook.client.wait_for_ready(timeout=90)
        assert notebook.text_of("print('kept' in globals())") == "False\n"
        assert notebook.ready() == job
    assert [j for j, _ in bench.cluster.jobs()] == [job]
    return notebook, job


def test_restarts_keep_the_job(bench):
    notebook, job = restart_series(bench, 3)
    begun = time.monotonic()
    while time.monotonic() - begun < 11:  # longer than the grace of the dead brokers' reapers
        assert notebook.text_of("print(1)") == "1\n"
        time.sleep(0.5)
    assert notebook.ready() == job
    notebook.shutdown()
    bench.cluster.wait_no_jobs()


@pytest.mark.soak
def test_twenty_restarts_keep_the_job(bench):
    restart_series(bench, 20)


@pytest.mark.parametrize("now", [False, True], ids=["message", "sigkill"])
def test_restart_while_pending_keeps_the_place(bench, now):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    notebook.wait_line(notebook.send("1"), "PENDING")
    ((job, _),) = bench.cluster.jobs()
    notebook.manager.restart_kernel(now=now)
    notebook.client.wait_for_ready(timeout=90)
    cell = notebook.send("print('x')")
    notebook.wait_line(cell, f"Slurm job {job} PENDING")
    bench.cluster.open_partition()
    assert notebook.reply(cell)["status"] == "ok"
    assert [j for j, _ in bench.cluster.jobs()] == [job]


@pytest.mark.parametrize(
    ("first", "line", "then"),
    [
        ({"partition": "apart", "time": "UNLIMITED"}, "choose a shorter `time`", {"time": "5"}),
        ({"partition": "closed"}, "the partition is closed", {"partition": "debug"}),
    ],
    ids=["it would never start", "other settings"],
)
def test_restart_while_pending_asks_anew_where_the_settings_are_others(bench, first, line, then):
    """The remedy that the cell names: change the settings, restart the kernel."""
    bench.kernel(slurm=first)
    notebook = bench.start()
    job = notebook.wait_line(notebook.send("1"), line).split()[2]
    settings = bench.generation.parent / "launcher.json"
    settings.write_text(json.dumps({"slurm": {"partition": "debug", **then}}))
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=90)
    cell = notebook.send("print('ran')")
    notebook.wait(lambda m: is_idle(m, cell))
    assert notebook.reply(cell)["status"] == "ok"
    assert notebook.ready() != job
    queue = lambda: bench.cluster.run("squeue", "-h", "-o", "%i").split()  # noqa: E731
    bench.cluster.wait(lambda: job not in queue(), 20, "the first job to be gone")
    notebook.shutdown()
    bench.cluster.wait_no_jobs(20)


def test_a_restart_overtakes_the_request_to_cancel(bench):
    """The broker was killed before it heard: the next one's kernel has not asked for its end."""
    bench.kernel()
    notebook = bench.start()
    job = notebook.ready()
    path = "json.load(open(os.environ['KERNELWRIGHT_JOB_STATE']))['cancel_file']"
    cancel_file = Path(notebook.text_of(f"import json, os; print({path})").strip())
    notebook.kill_broker()
    cancel_file.touch()
    notebook.manager.restart_kernel(now=True)
    notebook.client.wait_for_ready(timeout=90)
    assert notebook.ready() == job
    assert not cancel_file.exists()
    time.sleep(3)  # the agent looks every second
    assert notebook.ready() == job


@pytest.mark.parametrize("how", ["death", "message", "sigkill"])
def test_a_kernel_that_starts_again_in_its_job_speaks_of_no_wait(bench, how):
    again = bench.folder / "again"
    slow = f"if [ -e {again} ]; then sleep 2; fi; touch {again}; exec {{python}}"
    bench.kernel(launch=LAUNCH.replace("exec {python}", slow))
    notebook = bench.start()
    first = notebook.send("1")
    assert " after " in notebook.wait_line(first, "on node n1")
    job = notebook.ready()
    if how == "death":
        notebook.run("import os; os._exit(1)")
    else:
        notebook.manager.restart_kernel(now=how == "sigkill")
        notebook.client.wait_for_ready(timeout=90)  # the broker's answer: the kernel still starts
    cell = notebook.send("1")
    notebook.wait_line(cell, f"started again in Slurm job {job} on node n1")
    notebook.wait(lambda m: is_idle(m, cell))
    assert not any(" after " in line for line in notebook.lines(cell))
