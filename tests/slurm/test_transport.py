"""Kernels that do not open the socket files they are asked for: 127.0.0.1, or the names they use instead."""

import json

import pytest

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


def play(bench, kind, transport):
    """A cell, an interrupt, a restart in the same job and the end, on the transport that is left."""
    assert NORMAL in LAUNCH
    bench.kernel(launch=LAUNCH.replace(NORMAL, KINDS[kind]))
    notebook = bench.start()
    job = notebook.ready()
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
    """It is given 20 s, which a kernel may need that reads much before it opens its sockets."""
    play(bench, "ignores", "tcp")
