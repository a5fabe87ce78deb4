"""kill -9 of every process in every state: the cell is told, and no job is left after the lease."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


LEASE = 12  # a busy machine may be late by seconds
MATRIX = [
    (who, state)
    for who in ("server", "broker", "agent", "kernel", "slurmd", "broker-and-reaper")
    for state in ("pending", "running")
    if not (state == "pending" and who in {"agent", "kernel"})  # there is none yet
]
SEEDED = random.Random(20261).sample(MATRIX, 3) + [("agent", "running"), ("kernel", "running")]

SERVER = """
import os, sys, time
from jupyter_client import KernelManager
manager = KernelManager(kernel_name="demo")
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=90)
if sys.argv[1] == "running":
    client.execute("import time; print('up'); time.sleep(600)")
    while (m := client.get_iopub_msg(timeout=90))["msg_type"] != "stream":
        assert m["msg_type"] != "error", m["content"]
else:
    client.execute("1")
    while client.get_iopub_msg(timeout=90)["msg_type"] != "display_data":
        pass
print(manager.provisioner.process.pid, flush=True)
time.sleep(600)
"""


def processes(part, *, cmdline_only=True):
    """(pid, parent) of the processes whose command line holds `part`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if part in (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(
                errors="replace"
            ):
                found.append(
                    (
                        int(folder.name),
                        int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1]),
                    )
                )
        except OSError:
            continue
    return found


@pytest.fixture
def server(bench):
    """A process that plays the Jupyter server; returns (its Popen, the broker's pid)."""
    started = []

    def start(state):
        bench.kernel(slurm={"partition": "closed" if state == "pending" else "debug"})
        bench.site(lease=LEASE)
        child = subprocess.Popen(
            [sys.executable, "-c", SERVER, state],
            env=bench.environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        line = child.stdout.readline()
        assert line.strip().isdigit(), line
        return child, int(line)

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()


def kill(bench, server_process, broker, who):
    folder = str(bench.generation)
    if who == "server":
        os.kill(server_process.pid, signal.SIGKILL)
    elif who == "broker":
        os.kill(broker, signal.SIGKILL)
    elif who == "broker-and-reaper":
        for pid, _ in processes(f"kernelwright.slurm.broker {folder}"):
            os.kill(pid, signal.SIGKILL)
    elif who == "agent":
        ((pid, _),) = processes(f"kernelwright.slurm.agent {bench.jobs_folder}")
        os.kill(pid, signal.SIGKILL)
    elif who == "kernel":
        ((agent, _),) = processes(f"kernelwright.slurm.agent {bench.jobs_folder}")
        for pid, parent in processes("ipykernel_launcher"):
            if parent == agent:
                os.kill(pid, signal.SIGKILL)
    elif who == "slurmd":
        for name in bench.cluster.nodes:
            os.killpg(bench.cluster.daemons[name].pid, signal.SIGKILL)
            bench.cluster.daemons.pop(name).wait()


def play(bench, server, who, state):
    process, broker = server(state)
    assert len(bench.cluster.jobs()) == 1
    kill(bench, process, broker, who)
    if who == "slurmd":  # killing slurmd leaves its jobs alive by design; they end with the server
        for name in bench.cluster.nodes:
            bench.cluster._start_node(name)
    if who in {"agent", "kernel", "slurmd"}:
        time.sleep(0.5)
        process.terminate()  # what the user does next: the session ends
        process.kill()
    if (
        who == "broker-and-reaper" and state == "pending"
    ):  # nobody is left to cancel it: it ends when it starts
        bench.cluster.open_partition()
    seconds = bench.cluster.wait_no_jobs(90)
    deadline = time.monotonic() + 60
    while processes(str(bench.jobs_folder)) or processes(f"slurm.broker {bench.generation}"):
        assert time.monotonic() < deadline, "a process of the kernel is left"
        time.sleep(0.2)
    return seconds


@pytest.mark.parametrize(("who", "state"), SEEDED, ids=lambda v: v)
def test_no_job_is_left(bench, server, who, state):
    play(bench, server, who, state)


@pytest.mark.soak
@pytest.mark.parametrize(("who", "state"), MATRIX, ids=lambda v: v)
def test_no_job_is_left_whole_matrix(bench, server, who, state):
    play(bench, server, who, state)


def test_a_broker_killed_while_it_submits_leaves_nothing(bench):
    bench.site(lease=4)
    bench.kernel(slurm={"partition": "closed"})
    for delay in random.Random(7).sample([0.1, 0.15, 0.2, 0.25, 0.3, 0.4], 3):
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; from jupyter_client import KernelManager as K; m = K(kernel_name='demo');"
                " m.start_kernel(); print(m.provisioner.process.pid, flush=True); sys.stdin.read()",
            ],
            env=bench.environ,
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )
        broker = int(process.stdout.readline())
        time.sleep(delay)
        os.kill(broker, signal.SIGKILL)
        process.kill()
        process.communicate()
    deadline = time.monotonic() + 60
    while processes(f"slurm.broker {bench.generation}"):  # the reapers are at work
        assert time.monotonic() < deadline
        time.sleep(0.2)
    bench.cluster.wait_no_jobs(60)
    assert not list(bench.jobs_folder.glob("*/owner-*"))


def test_a_killed_kernel_starts_again_in_the_same_job(bench):
    bench.kernel()
    notebook = bench.start()
    job = notebook.ready()
    cell = notebook.send("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    reply = notebook.reply(cell)
    assert reply["ename"] == "KernelDied"
    assert "killed by signal 9" in reply["evalue"]
    assert notebook.ready() == job
    assert notebook.run("exit()")["status"] in {"ok", "error"}
    assert notebook.ready() == job
