"""Kernels that open their ports and then answer nobody, and kernels that only seem to."""

from __future__ import annotations

import contextlib
import sys
import time
from queue import Empty

import pytest
from launch.kit import PYTHON, script, wait_for

from kernelwright.model import ScriptSpec

LIMIT = {"KERNELWRIGHT_START_LIMIT": "1"}
HEAD = f"#!{sys.executable}\nimport json, socket, sys, time\nfacts = json.load(open(sys.argv[1]))\n"
SOCKETS = """
import zmq
context, kept = zmq.Context(), []
for name, kind in {"shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER, "iopub": zmq.PUB, "hb": zmq.REP}.items():
    kept.append(context.socket(kind))
    kept[-1].bind(f"tcp://127.0.0.1:{facts[name + '_port']}")
"""
PORT = """
listening = socket.create_server(("127.0.0.1", facts["shell_port"]))
"""
IPYKERNEL = f'#!/bin/bash\nexec {sys.executable} -m ipykernel_launcher -f "$1"\n'


def hangs_with_sockets(tmp):
    return HEAD + SOCKETS + "time.sleep(600)\n"


def hangs_with_a_port(tmp):
    return HEAD + PORT + "time.sleep(600)\n"


def spins_for_ever(tmp):
    return HEAD + SOCKETS + "while True: pass\n"


def hangs_in_a_child(tmp):
    """As a helper script that does not exec: the group's leader only waits."""
    inner = script(tmp / "inner", HEAD + SOCKETS + "time.sleep(600)\n")
    return f'#!/bin/bash\n{inner} "$1"\nexit 0\n'


def ipykernel_whose_startup_hangs(tmp):
    folder = tmp / "home/.ipython/profile_default/startup"
    folder.mkdir(parents=True)
    (folder / "00-mine.py").write_text("import time; time.sleep(600)\n")
    return IPYKERNEL


@pytest.mark.parametrize(
    "program",
    [hangs_with_sockets, hangs_with_a_port, spins_for_ever, hangs_in_a_child, ipykernel_whose_startup_hangs],
    ids=lambda program: program.__name__,
)  # fmt: skip
def test_one_that_never_answers_is_explained(make, tmp_path, program):
    path = str(script(tmp_path / "k", program(tmp_path)))
    with make((path, "{connection_file}"), environment=ScriptSpec(path), env=LIMIT) as kernel:
        assert kernel.info["implementation"] == "kernelwright-diagnostic", kernel.said()
        status, text = kernel.run("1 + 1")
        assert status == "error"
        assert "did not answer within" in text
        assert "kernel-silent" in (kernel.starts / "kernel-0123.problem").read_text()


SLEEPERS = {
    "python": ("python", IPYKERNEL, "import time; time.sleep(6); print(6 * 7)"),
    "r": ("r", None, "Sys.sleep(6); cat(6 * 7)"),
}


@pytest.mark.parametrize("page", ["open", "closed", "loaded again"])
@pytest.mark.parametrize("language", SLEEPERS)
def test_one_that_is_busy_with_its_first_cell_is_let_be(make, tmp_path, language, page):
    """Also when nobody has it open: the server's own eye on iopub is all that is left then."""
    language, text, cell = SLEEPERS[language]
    argv = ("R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}")
    if text is not None:
        argv = (str(script(tmp_path / "k", text)), "{connection_file}")
    with make(argv, language=language, env=LIMIT) as kernel:
        for _ in range(
            2
        ):  # a Jupyter server asks more than once before a page can run its first cell
            kernel.client.kernel_info()
            kernel.client.get_shell_msg(timeout=60)
        asked = kernel.client.execute(cell)
        watcher = kernel.manager.client()
        watcher.start_channels(shell=False, stdin=False, hb=False, control=False)
        time.sleep(0.5)
        if page != "open":
            kernel.client.shell_channel.stop()
            kernel.client.control_channel.stop()
        if page == "loaded again":
            fresh = kernel.manager.client()
            fresh.start_channels(iopub=False, hb=False)
            fresh.kernel_info()
        assert "42" in output(kernel.client if page == "open" else watcher, asked), kernel.said()
        assert not list(kernel.starts.glob("*.problem"))
        watcher.stop_channels()
        if page == "loaded again":
            fresh.stop_channels()


def output(client, asked, patience=60):
    text, deadline = "", time.monotonic() + patience
    while "42" not in text and time.monotonic() < deadline:
        with contextlib.suppress(Empty):
            message = client.get_iopub_msg(timeout=0.2)
            if message["parent_header"].get("msg_id") == asked and message["msg_type"] == "stream":
                text += message["content"]["text"]
    return text


def test_one_that_nobody_has_asked_is_asked_by_us(make, tmp_path):
    """A kernel that was started over REST and is opened later."""
    path = str(script(tmp_path / "k", IPYKERNEL))
    kernel = make((path, "{connection_file}"), environment=ScriptSpec(path), env=LIMIT)
    try:
        kernel.manager.start_kernel(env=kernel.env, cwd=str(kernel.cwd))
        time.sleep(5)
        kernel.connect()
        assert kernel.run("print(6 * 7)") == ("ok", "42\n")
    finally:
        kernel.__exit__()


def test_a_python_kernel_of_ours_starts_no_second_python(make):
    with make((sys.executable, *PYTHON), env=LIMIT) as kernel:
        time.sleep(4)
        code = "import subprocess, os; print(subprocess.run(['pgrep', '-c', '-P', str(os.getppid()), 'python'], capture_output=True, text=True).stdout)"
        assert kernel.run(code)[1].strip() == "1"


def test_one_that_ends_behind_an_open_port_is_explained_at_once(make, tmp_path):
    """The ports are open before the start-up files run; Jupyter starts the kernel again, and that start says why."""
    path = str(
        script(
            tmp_path / "k",
            HEAD
            + SOCKETS
            + "time.sleep(1)\nimport os\nos.write(2, b'the licence server said no')\nos._exit(1)\n",
        )
    )
    kernel = make((path, "{connection_file}"), environment=ScriptSpec(path))
    try:
        kernel.manager.start_kernel(env=kernel.env, cwd=str(kernel.cwd))
        wait_for(lambda: not kernel.manager.is_alive(), "its end")
        kernel.restart()
        assert kernel.info["implementation"] == "kernelwright-diagnostic", kernel.said()
        assert "the licence server said no" in kernel.run("1 + 1")[1]
    finally:
        kernel.__exit__()


def test_waiting_for_a_port_takes_no_processor(make, tmp_path):
    """Also where the kernel has closed the pipe on which ours could tell."""
    text = f"#!/bin/bash\nfor fd in {{3..255}}; do exec {{fd}}>&-; done\nexec {sys.executable} -c \\\n'import sys, time; sys.argv.pop(0); time.sleep(3); exec(open(sys.argv[0]).read())' {tmp_path / 'inner'} \"$1\"\n"
    (tmp_path / "inner").write_text(HEAD.partition("\n")[2] + SOCKETS + "time.sleep(600)\n")
    path = str(script(tmp_path / "k", text))
    kernel = make((path, "{connection_file}"), environment=ScriptSpec(path))
    try:
        kernel.manager.start_kernel(env=kernel.env, cwd=str(kernel.cwd))
        time.sleep(5)
        pid = kernel.manager.provisioner.process.pid
        with open(f"/proc/{pid}/stat") as file:
            field = file.read().rpartition(")")[2].split()
        assert int(field[11]) + int(field[12]) < 50, "half a second in five"
    finally:
        kernel.manager.shutdown_kernel(now=True)
        kernel.manager.cleanup_resources()
