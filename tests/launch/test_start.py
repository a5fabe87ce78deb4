"""Real kernels behind launch.sh: signals, restarts, ends, and that nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from launch.kit import BASIC, LIMIT, Kernel, generation, gone, script, wait_for

LOOP = "import time\nprint('going', flush=True)\nfor _ in range(6000): time.sleep(0.01)"
R = ("/usr/bin/R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}")
BASH = (sys.executable, "-m", "bash_kernel", "-f", "{connection_file}")


def test_a_python_kernel_as_an_unprivileged_user(tmp_path, runtime, alice):
    python = str(runtime / "venv/bin/python")
    folder = generation(
        alice.home / "gen" / "1",
        (python, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        runtime=runtime,
        user=alice,
    )
    with Kernel(folder, BASIC | {"HOME": str(alice.home)}, user=alice, cwd=alice.home) as kernel:
        assert kernel.run(
            "import os, sys; print(os.getuid(), os.getppid() == int(os.environ['JPY_PARENT_PID']), sys.path)"
        )[1].startswith(f"{alice.uid} True")
        status, text = kernel.run(
            "print([p for p in __import__('sys').path if 'gen' in p], [k for k in os.environ if 'READY' in k])"
        )
        assert (status, text) == ("ok", "[] []\n")
        results = [kernel.interrupt(LOOP) for _ in range(20)]
        assert [("error", True)] * 20 == [
            (status, "KeyboardInterrupt" in text) for status, text in results
        ]
        assert kernel.run("6 * 7")[1] == "42"
        first = kernel.pid()
        kernel.restart()
        assert gone(first)
        assert kernel.run("6 * 7")[1] == "42"
        last = kernel.pid()
        kernel.manager.shutdown_kernel()
        wait_for(lambda: gone(last), "the kernel's end")
    assert list(kernel.starts.iterdir()) == [], "a kernel that ended well leaves no record"
    assert os.stat(kernel.starts).st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("argv", "language", "cell", "loop"),
    [
        pytest.param(R, "r", "cat(6 * 7)", "cat('going'); flush.console(); Sys.sleep(60)", id="r"),
        pytest.param(BASH, "bash", "echo $((6 * 7))", "echo going; sleep 60", id="bash"),
    ],
)
def test_other_languages(make, argv, language, cell, loop):
    if language == "r" and not shutil.which("R"):
        pytest.skip("NOT TESTED: R is missing")
    with make(argv, language=language) as kernel:
        assert kernel.run(cell)[1].strip() == "42"
        kernel.interrupt(loop, every=3.0)
        assert kernel.run(cell)[1].strip() == "42"
        kernel.restart()
        assert kernel.run(cell)[1].strip() == "42"


def test_a_signal_for_the_shell_alone_arrives_once(make):
    with make() as kernel:
        code = """
        import signal, time
        seen = []
        signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
        print("going", flush=True)
        while not seen: time.sleep(0.01)
        time.sleep(0.5)
        print(len(seen))
        """
        shell = kernel.manager.provisioner.process.pid
        sent = []

        def hear(text):
            if "going" in text and not sent:
                sent.append(os.kill(shell, signal.SIGUSR1))

        assert kernel.run(textwrap.dedent(code), hear)[1] == "going\n1\n"


def test_killing_the_shell_ends_the_kernel_and_what_it_started(make):
    with make() as kernel:
        child = int(
            kernel.run("import subprocess; print(subprocess.Popen(['sleep', '600']).pid)")[1]
        )
        pid = kernel.pid()
        kernel.manager.provisioner.process.kill()
        wait_for(lambda: gone(pid) and gone(child), "the kernel's end")


def test_a_kernel_whose_server_is_gone_ends(make, tmp_path):
    kernel = make()
    server = script(
        tmp_path / "server.py",
        f"""#!{sys.executable}
import os, subprocess, sys, time
env = dict(os.environ, JPY_PARENT_PID=str(os.getpid()))
subprocess.Popen(sys.argv[1:], env=env, start_new_session=True)
time.sleep(600)
""",
    )
    parent = subprocess.Popen(
        [server, kernel.folder / "launch.sh", kernel.manager.connection_file],
        env=kernel.env,
        cwd=tmp_path,
    )
    try:
        kernel.client = kernel.manager.client()
        kernel.client.start_channels()
        kernel.client.wait_for_ready(timeout=LIMIT)
        kernel.client.execute("import os; open('pid', 'w').write(f'{os.getpid()} ')")
        wait_for(
            lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith(" "),
            "the kernel's pid",
        )
    finally:
        parent.kill()
        parent.wait()
        kernel.client.stop_channels()
        kernel.manager.cleanup_resources()
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: gone(pid), "the kernel's end")


def test_output_that_nobody_reads_is_not_dropped(make):
    with make() as kernel:
        text = kernel.run(
            "import sys\nfor i in range(30000): sys.stdout.write(f'{i}\\n'); sys.stdout.flush() if i % 3 == 0 else None"
        )[1]
        assert text == "".join(f"{i}\n" for i in range(30000))


def test_the_log_does_not_grow_for_ever(make, tmp_path):
    noisy = script(tmp_path / "noisy", '#!/bin/bash\nyes words | head -c 3000000 >&2\nexec "$@"\n')
    with make((str(noisy), *BASH), language="bash") as kernel:
        log = kernel.starts / "kernel-0123.log"
        wait_for(lambda: log.stat().st_size < 1 << 20, "the log to be cut")
        assert log.read_text().startswith("(what was written before is dropped)")
        assert kernel.run("echo $((6 * 7))")[1].strip() == "42"


def test_a_kernel_starts_without_the_runtime(make):
    with make(runtime=Path("/nowhere/at all")) as kernel:
        assert kernel.run("6 * 7")[1] == "42"


def test_a_failure_without_the_runtime_is_said_in_the_log(make, capfd):
    kernel = make(("/nowhere/python",), runtime=Path("/nowhere"))
    kernel.manager.start_kernel(env=kernel.env)
    process = kernel.manager.provisioner.process
    assert process.wait(LIMIT) == 127
    kernel.manager.cleanup_resources()
    said = capfd.readouterr().err
    assert "/nowhere/python: No such file" in said
    assert "did not start" in said


def test_a_generation_of_somebody_else_is_recorded_in_the_home(make, runtime, tmp_path, alice):
    python = str(runtime / "venv/bin/python")
    base = alice.home.parent / f"{alice.name}-central"
    folder = generation(
        base / "1", (python, "-m", "ipykernel_launcher", "-f", "{connection_file}"), runtime=runtime
    )
    try:
        with Kernel(
            folder, BASIC | {"HOME": str(alice.home)}, user=alice, cwd=alice.home
        ) as kernel:
            assert kernel.run("6 * 7")[1] == "42"
            status, text = kernel.run("import surely_not_there")
            assert "this kernel is not yours; `kernelwright clone try NEW-NAME`" in text
            assert list((alice.home / ".local/share/kernelwright").glob("starts-*/*.start"))
        assert not (folder / "starts").exists()
    finally:
        shutil.rmtree(base)


def test_the_session_can_ignore_interrupts(make):
    kernel = make()
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a job script's background process
    try:
        kernel.start()
    finally:
        signal.signal(signal.SIGINT, old)
    try:
        assert "KeyboardInterrupt" in kernel.interrupt(LOOP)[1]
    finally:
        kernel.__exit__()
