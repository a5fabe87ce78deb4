"""Kernels that fail to start, each for real: the notebook opens on the diagnostic kernel and says why."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch.failing import CASES, ENTRY
from launch.kit import script, wait_for

BASH = (sys.executable, "-m", "bash_kernel", "-f", "{connection_file}")


@pytest.mark.parametrize(("setup", "expected"), CASES.items(), ids=[c.__name__ for c in CASES])
def test_the_notebook_says_why(make, tmp_path, setup, expected):
    argv, recipe = setup(tmp_path)
    code, *words = expected
    with make(argv, **recipe) as kernel:
        assert kernel.info["implementation"] == "kernelwright-diagnostic", kernel.said()
        status, text = kernel.run("1 + 1")
        assert status == "error", "a notebook that is run by a program must not pass"
        for word in words:
            assert word in text, f"{text}\n{kernel.said()}"
        assert code in (kernel.starts / "kernel-0123.problem").read_text()
        assert kernel.run("%log")[0] == "ok"


def test_it_stands_for_other_languages_and_ends_like_a_kernel(make):
    with make(("/nowhere/R", "{connection_file}"), language="r") as kernel:
        assert kernel.info["language_info"]["name"] == "R"
        assert kernel.info["banner"].startswith("The kernel “Try” could not start")
        assert kernel.run("")[0] == "ok"
        process = kernel.manager.provisioner.process
        kernel.manager.shutdown_kernel()
        assert process.wait(60) is not None


def test_fix_runs_the_repair_and_a_restart_brings_the_kernel(make, tmp_path):
    runtime = tmp_path / "runtime"
    (runtime / "bin").mkdir(parents=True)
    (runtime / "venv").symlink_to(Path(sys.prefix))
    python = tmp_path / "env/bin/python"
    script(
        runtime / "bin/kernelwright",
        f'#!/bin/bash\necho "called: $*"; echo working >&2; mkdir -p "{python.parent}"; printf "#!/bin/bash\\nexec {sys.executable} \\"\\$@\\"" > "{python}"; chmod +x "{python}"\n',
    )
    with make((str(python), *ENTRY), runtime=runtime) as kernel:
        status, text = kernel.run("%fix")
        assert status == "ok"
        assert "called: repair try" in text
        assert "Restart the kernel" in text
        kernel.restart()
        assert kernel.info["implementation"] == "ipython"
        assert kernel.run("6 * 7")[1] == "42"


def test_words_of_programs_stay_words(make, tmp_path):
    said = "<script>alert(1)</script> \x1b[31mred\x1b[0m \x07"
    argv = (
        str(script(tmp_path / "k", f"#!/bin/bash\nprintf '%s\\n' '{said}' >&2\nexit 3\n")),
        "{connection_file}",
    )
    with make(argv, display_name="<b>x</b>") as kernel:
        messages = []
        kernel.client.execute_interactive("1", output_hook=messages.append, timeout=60)
        page = next(
            m["content"]["data"]["text/html"] for m in messages if m["msg_type"] == "display_data"
        )
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert "<b>x" not in page
        assert "\x1b" not in page and "\x07" not in page


# --- ends ----------------------------------------------------------------------------------------


def test_a_killed_kernel_explains_itself_once_at_its_next_start(make):
    with make() as kernel:
        kernel.end("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        kernel.restart()
        text = kernel.run("print('here')")[1]
        assert "this kernel ended before: the kernel was killed from outside (SIGKILL)" in text
        assert text.endswith("here\n") or text.startswith("here\n")
        assert "ended before" not in kernel.run("1")[1]
        kernel.restart()
        assert "ended before" not in kernel.run("1")[1], "a restart by the person is no death"


def test_a_kernel_that_cannot_speak_is_explained_in_its_place(make):
    with make(BASH, language="bash") as kernel:
        kernel.end("kill -SEGV $PPID")
        kernel.restart()
        assert kernel.info["implementation"] == "kernelwright-diagnostic"
        status, text = kernel.run("echo x")
        assert status == "error"
        assert "has ended. Restart it to go on" in text
        assert "segmentation fault" in text
        kernel.restart()
        assert kernel.run("echo $((6 * 7))")[1].strip() == "42"


def test_leaving_by_oneself_is_not_a_failure(make):
    with make() as kernel:
        kernel.end("exit()")
        kernel.restart()
        assert kernel.run("1")[1] == "1"


def test_the_time_limit_of_the_session(make):
    with make(
        environ={"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": str(int(time.time()) + 60)}
    ) as kernel:
        os.kill(kernel.manager.provisioner.process.pid, signal.SIGTERM)
        wait_for(lambda: not kernel.manager.is_alive(), "the kernel's end")
        kernel.restart()
        assert (
            "this kernel ended before: the kernel was ended by the time limit of job 7"
            in kernel.run("1")[1]
        )


def test_memory_that_is_used_up(make):
    """With a real limit where a memory cgroup can be made."""
    folder = own_cgroup()
    limit = folder / ("memory.max" if (folder / "memory.max").exists() else "memory.limit_in_bytes")
    try:
        limit.write_text(str(400 << 20))
        kernel = make()
        launch = kernel.folder / "launch.sh"
        first, rest = launch.read_text().split("\n", 1)
        launch.write_text(f"{first}\necho $$ > {folder}/cgroup.procs\n{rest}")
        with kernel:
            kernel.end("x = bytearray(800 << 20)")
            kernel.restart()
            text = kernel.run("1")[1]
            assert "killed because the memory of 400.0 MiB was used up" in text, kernel.said()
            peak = re.search(r"it had used (\d+\.\d) MiB at its peak", text)
            assert peak and 300 < float(peak[1]) <= 400, text
            assert "ask for more memory" in text
    finally:
        wait_for(lambda: not (folder / "cgroup.procs").read_text().split(), "an empty cgroup")
        folder.rmdir()


def own_cgroup():
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        base = Path("/sys/fs/cgroup" + path if not names else "/sys/fs/cgroup/memory" + path)
        if "memory" in names.split(",") or (not names and (base / "memory.max").exists()):
            folder = base / f"kernelwright-test-{os.getpid()}"
            try:
                folder.mkdir(exist_ok=True)
                return with_a_process(folder)
            except OSError as error:
                pytest.skip(f"NOT TESTED: no cgroup of our own: {error}")
    pytest.skip("NOT TESTED: there is no memory cgroup")


def with_a_process(folder):
    """The folder, if a process can really be put into it and its memory limited."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            (folder / "cgroup.procs").write_text(str(process.pid))
            next(
                p for p in (folder / "memory.max", folder / "memory.limit_in_bytes") if p.exists()
            ).write_text(str(1 << 30))
        finally:
            process.kill()
    return folder


def test_a_program_that_runs_the_notebook_says_why(make):
    """nbconvert and nbclient show the traceback alone."""
    with make(("/nowhere/bin/python", *ENTRY)) as kernel:
        seen = []
        kernel.client.execute_interactive("1", timeout=120, output_hook=seen.append)
    error = next(m["content"] for m in seen if m["msg_type"] == "error")
    text = "\n".join(error["traceback"])
    assert "`/nowhere/bin/python` does not exist" in text
    assert "`kernelwright repair try`" in text
