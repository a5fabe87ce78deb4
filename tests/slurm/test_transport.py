"""Kernels that do not open the socket files they are asked for: 127.0.0.1, or the names they use instead."""

import json

import pytest

from kernelwright.slurm.jobstate import JobState
from kernelwright.slurm.transport import Habits
from slurm.notebook import LAUNCH

NORMAL = 'exec {python} -m ipykernel_launcher -f "$2"'
ASKED = 'grep -q \'"transport": "ipc"\' "$2"'
KINDS = {
    "refuses": f"if {ASKED}; then echo this kernel knows no ipc >&2; exit 3; fi; {NORMAL}",
    "ignores": f"if {ASKED}; then exec sleep 600; fi; {NORMAL}",
    # as older kernels for Julia do
    "colons": """exec {python} -c 'import re, zmq; bind = zmq.Socket.bind
zmq.Socket.bind = lambda self, where: bind(self, re.sub("-([1-5])$", r":\\1", where))
from ipykernel.kernelapp import launch_new_instance; launch_new_instance()' -f "$2\"""",
}
CONNECTION = "print(open(get_ipython().config.IPKernelApp.connection_file).read())"


def launcher(bench, start):
    """A launch.sh that does not tell what it starts: a program of which nothing is known."""
    assert NORMAL in LAUNCH
    program = bench.folder / "program"
    program.write_text("#!/bin/sh\n" + start.format(python=bench.runtime / "venv/bin/python"))
    program.chmod(0o755)
    return LAUNCH.replace(NORMAL, f'exec {program} --local "$2"')


def play(bench, kind, transport, language="forth"):
    """A cell, an interrupt, a restart in the same job and the end, on the transport that is left."""
    bench.kernel(launch=launcher(bench, KINDS[kind]), language=language)
    notebook = bench.start()
    first = notebook.send("1")
    assert notebook.reply(first)["status"] == "ok"
    job = notebook.ready()
    told = [line for line in notebook.lines(first) if "other users of node" in line]
    assert len(told) == (transport == "tcp")
    connection = json.loads(notebook.text_of(CONNECTION))
    assert connection["transport"] == transport
    assert transport == "ipc" or connection["ip"] == "127.0.0.1"
    cell = notebook.send("import time; print('up', flush=True); time.sleep(600)")
    notebook.wait(lambda m: m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == cell)
    notebook.manager.interrupt_kernel()
    assert notebook.reply(cell)["ename"] == "KeyboardInterrupt"
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=90)
    assert notebook.ready() == job
    assert json.loads(notebook.text_of(CONNECTION))["transport"] == transport
    notebook.shutdown()
    bench.cluster.wait_no_jobs()
    return notebook


def test_a_kernel_that_refuses_socket_files(bench):
    play(bench, "refuses", "tcp")


def test_a_kernel_that_names_its_socket_files_otherwise(bench):
    play(bench, "colons", "ipc")


@pytest.mark.soak
def test_a_kernel_that_opens_nothing(bench):
    """Twenty seconds, where it is a language whose kernels mostly do that."""
    play(bench, "ignores", "tcp", language="java")


def test_a_kernel_that_knows_socket_files_is_never_given_ports(bench):
    """Whatever it says when it ends too early."""
    once = bench.folder / "once"
    failing = f"if ! [ -e {once} ]; then touch {once}; echo bad ipc address >&2; exit 3; fi; "
    bench.kernel(launch=LAUNCH.replace(NORMAL, failing + NORMAL))
    notebook = bench.start()
    assert json.loads(notebook.text_of(CONNECTION))["transport"] == "ipc"
    assert once.exists()


def test_an_unknown_kernel_that_ends_for_another_reason_is_not_given_ports(bench):
    once = bench.folder / "once"
    failing = f"if ! [ -e {once} ]; then touch {once}; echo module not found >&2; exit 3; fi; "
    bench.kernel(launch=launcher(bench, failing + NORMAL), language="forth")
    notebook = bench.start()
    assert json.loads(notebook.text_of(CONNECTION))["transport"] == "ipc"
    assert once.exists()


def test_a_success_with_socket_files_is_remembered(bench):
    bench.kernel(launch=launcher(bench, NORMAL), language="forth")
    assert not Habits(bench.generation, bench.jobs_folder).knows_ipc
    bench.start().ready()
    habits = Habits(bench.generation, bench.jobs_folder)
    assert habits.knows_ipc
    assert not habits.is_told
    assert not habits.complains("knows no ipc")
    assert not habits.is_too_late(1e6)


@pytest.mark.soak
def test_a_slow_kernel_is_waited_for(bench):
    bench.kernel(launch=LAUNCH.replace(NORMAL, f"sleep 25; {NORMAL}"))
    assert json.loads(bench.start().text_of(CONNECTION))["transport"] == "ipc"


def test_launch_sh_waits_longer_in_a_job_unless_told_otherwise(tmp_path):
    """No front end gives up there after a minute: the broker answers."""
    state = JobState(tmp_path, {})
    name = "KERNELWRIGHT_START_LIMIT"
    assert int(state.kernel_environment({})[name]) >= 300
    assert state.kernel_environment({name: "50"})[name] == "50"
