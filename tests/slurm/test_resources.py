"""Jobs that Slurm itself ends or cuts: for a job of higher priority, and for want of memory."""

import ast
import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from slurm.conftest import make_bench, new_cluster

# more memory than asked for ends the job; a job in `urgent` takes the place of one in another partition
STRICT = """\
DefMemPerCPU=1024
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
PartitionName=urgent Nodes=n1,n2 PriorityTier=10 MaxTime=60 DefaultTime=10 State=UP
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=1
"""
# control groups are the machine's, and named by job ids: these are no other cluster's
BY_CGROUP = f"TaskPlugin=task/cgroup\nFirstJobId={random.randrange(10_000, 60_000_000)}\n"
CGROUP = "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nConstrainRAMSpace=yes\n"


GREEDY = "import time; x = b'x' * (500 << 20); time.sleep(600)"
HUNGRY = """\
#!/bin/sh
if [ "$1" = --local ]; then exec {python} -c "x = b'x' * (500 << 20)"; fi
exec {runtime}/venv/bin/python -I -m kernelwright.slurm.broker {folder} "$1"
"""


@pytest.fixture(scope="module")
def strict_cluster():
    yield from new_cluster(settings=STRICT)


@pytest.fixture
def strict(strict_cluster, home, runtime, tmp_path, monkeypatch):
    """Kernels and notebooks on a cluster that ends jobs."""
    yield from make_bench(strict_cluster, home, runtime, tmp_path, monkeypatch)
    strict_cluster.run("scancel", "--user=root")
    strict_cluster.wait_no_jobs()


@pytest.fixture(scope="module")
def limited_cluster():
    if not os.access("/sys/fs/cgroup/memory/cgroup.procs", os.W_OK):
        pytest.skip("NOT TESTED: there are no control groups v1 of memory that can be written")
    yield from new_cluster(settings=BY_CGROUP, cgroup=CGROUP)
    for folder in Path("/sys/fs/cgroup/memory").glob("slurm_n[12]"):  # killed daemons leave them
        with contextlib.suppress(OSError):  # another run's
            folder.rmdir()


@pytest.fixture
def limited(limited_cluster, home, runtime, tmp_path, monkeypatch):
    """Kernels and notebooks on a cluster that puts each job into a control group with its memory."""
    yield from make_bench(limited_cluster, home, runtime, tmp_path, monkeypatch)
    limited_cluster.wait_no_jobs()


def assert_restart_submits(notebook, job):
    """Only the restart that somebody asks for brings another job."""
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=90)
    assert notebook.ready() != job


@pytest.mark.parametrize("mode", ["CANCEL", "REQUEUE"])
def test_a_preempted_job_is_submitted_again_by_restart_alone(strict, mode):
    strict.cluster.run("scontrol", "update", "PartitionName=debug", f"PreemptMode={mode}")
    assert f"PreemptMode={mode}" in strict.cluster.run("scontrol", "show", "partition", "debug")
    strict.kernel()
    notebook = strict.start()
    job = notebook.ready()
    cell = notebook.send("print('up', flush=True); import time; time.sleep(600)")
    notebook.wait(lambda m: m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == cell)
    strict.cluster.run(
        "sbatch",
        "-p",
        "urgent",
        "-w",
        "n1",
        "--exclusive",
        "--output=/dev/null",
        "--wrap",
        "sleep 600",
    )
    error = notebook.reply(cell)
    assert error["ename"] == "SlurmJobEnded"
    assert (
        f"Slurm job {job} on node n1 is over: a job with a higher priority took its place (PREEMPTED)"
        == error["evalue"]
    )
    assert "Kernel > Restart submits a new job" in "\n".join(error["traceback"])
    time.sleep(4)  # longer than a restarter of Jupyter takes to start a dead kernel again
    assert notebook.manager.is_alive()
    assert notebook.run("1")["evalue"] == error["evalue"]
    assert not strict.cluster.jobs()
    assert_restart_submits(notebook, job)


def test_a_job_that_uses_more_memory_than_it_asked_for(strict):
    """Slurm's own polling kills the whole job and calls it FAILED; its log says why."""
    strict.kernel(slurm={"mem": "300M"})
    notebook = strict.start()
    job = notebook.ready()
    error = notebook.reply(notebook.send(GREEDY))
    assert error["ename"] == "SlurmJobEnded"
    assert (
        f"Slurm job {job} on node n1 is over: it used more memory than it had asked for (FAILED"
        in error["evalue"]
    )
    text = "\n".join(error["traceback"])
    assert "ask for more `mem` with `kernelwright edit`" in text
    assert "exceeded memory limit" in text
    assert notebook.manager.is_alive()
    assert_restart_submits(notebook, job)


def test_a_kernel_that_its_control_group_kills_starts_again_in_the_same_job(limited):
    limited.kernel(slurm={"mem": "300M"})
    notebook = limited.start()
    job = notebook.ready()
    error = notebook.reply(notebook.send(GREEDY))
    assert error["ename"] == "KernelDied"
    assert "killed because the job's memory was used up" in error["evalue"]
    assert notebook.ready() == job
    ask = "import json, os; print(json.load(open(os.environ['KERNELWRIGHT_JOB_STATE']))['memory'])"
    memory = ast.literal_eval(notebook.text_of(ask))
    assert memory["limit"] == 300 << 20
    assert memory["peak"] > 250 << 20
    error = notebook.reply(notebook.send("import os; os.kill(os.getpid(), 9)"))
    assert "killed by signal 9" in error["evalue"], (
        "an old kill for memory is not this one's reason"
    )


def test_a_kernel_that_needs_too_much_memory_to_start(limited):
    limited.kernel(slurm={"mem": "300M"}, launch=HUNGRY)
    error = limited.start().run("1")
    assert error["ename"] == "SlurmJobEnded"
    assert "it used more memory than it had asked for (OUT_OF_MEMORY)" in error["evalue"]
    assert "ask for more `mem` with `kernelwright edit`" in "\n".join(error["traceback"])
