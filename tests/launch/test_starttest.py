"""The start test: real starts, bounded, with a reason and with nothing left."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from launch.kit import PYTHON, generation, gone, script, wait_for

from kernelwright.launch.starttest import start_test
from kernelwright.model import Modules, VenvSpec


@pytest.fixture
def test(tmp_path, env):
    def run(argv, *, timeout=90.0, **options):
        log = tmp_path / "test.log"
        result = start_test(
            [str(a) for a in argv], env=env, cwd=tmp_path, timeout=timeout, log=log, **options
        )
        return result, log.read_text()

    return run


def test_a_kernel_that_works(test, tmp_path, runtime):
    folder = generation(tmp_path / "g" / "1", runtime=runtime)
    result, _ = test([folder / "launch.sh", "--local", "{connection_file}"])
    assert result.ok, result
    assert result.output == "42\n"
    assert result.reply["implementation"] == "ipython"
    assert 0 < result.seconds < 90


def test_an_argv_that_is_not_ours(test):
    result, _ = test([sys.executable, *PYTHON])
    assert result.ok, result
    result, _ = test(
        [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"], language="bash"
    )
    assert result.ok, result
    result, _ = test(["/nowhere/program", "{connection_file}"])
    assert not result.ok
    assert "/nowhere/program" in result.problem.evidence


def test_the_reason_comes_from_launch_and_never_opens_the_diagnostic_kernel(
    test, tmp_path, runtime
):
    folder = generation(
        tmp_path / "g" / "1",
        runtime=runtime,
        modules=Modules(load=("nosuch",)),
        environment=VenvSpec(),
        name="mine",
    )
    result, log = test([folder / "launch.sh", "{connection_file}"], new=True)
    assert not result.ok
    assert result.problem.code in {"module-missing", "modules-unavailable"}
    assert "kernelwright edit" not in result.problem.hint, (
        "there is no kernel yet that could be edited"
    )
    result, log = test([folder / "launch.sh", "{connection_file}"])
    assert "mine" in result.problem.hint or result.problem.code == "modules-unavailable"
    assert log


def test_a_wrong_answer_is_a_failure(test):
    result, _ = test(
        [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"], language="python"
    )
    assert not result.ok
    assert "print(6 * 7)" in result.problem.evidence


def test_time_is_bounded_and_nothing_is_left(test, tmp_path, runtime):
    pid = tmp_path / "pid"
    silent = script(tmp_path / "k", f"#!/bin/bash\necho $$ > {pid}\nexec sleep 600\n")
    folder = generation(tmp_path / "g" / "1", (str(silent), "{connection_file}"), runtime=runtime)
    begun = time.monotonic()
    result, _ = test([folder / "launch.sh", "{connection_file}"], timeout=2.0)
    assert not result.ok
    assert result.problem.code == "kernel-silent"
    assert time.monotonic() - begun < 60
    wait_for(lambda: gone(int(pid.read_text())), "the program's end")
    assert not list(
        Path(os.environ.get("TMPDIR", "/tmp")).glob(f"kernelwright-test-{os.getpid()}*")
    )


def test_the_command_opens_the_kernels_shell(alice, runtime):
    python = runtime / "venv/bin/python"
    call = runtime / "bin/kernelwright"
    made = alice.run(
        [call, "create", "prefix", "mine", runtime / "venv", "--env", "KW_SEEN=a b", "--no-test"],
        timeout=240,
    )
    assert made.ok, made
    seen = alice.run(
        [
            call,
            "shell",
            "mine",
            "--",
            "sh",
            "-c",
            'echo "$KW_SEEN $PYTHONNOUSERSITE"; command -v python; exit 5',
        ]
    )
    assert (seen.status, seen.stdout) == (5, f"a b 1\n{python}\n"), seen
    assert alice.run([call, "shell", "nosuch"]).status == 1
    spec = alice.home / ".local/share/jupyter/kernels/byhand/kernel.json"
    spec.parent.mkdir()
    spec.write_text(
        '{"argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "x", "language": "python"}'
    )
    assert "kernelwright adopt byhand" in alice.run([call, "shell", "byhand"]).stderr
    interactive = alice.run([call, "shell", "mine"], stdin="echo $KW_SEEN\nexit 6\n")
    assert (interactive.status, interactive.stdout) == (6, "a b\n"), interactive
