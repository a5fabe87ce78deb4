"""The shell half: shellcheck, what stays in the job script, and odd moments in a job without any Jupyter."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from portal import jobscript

from .ood import LOGIN, ROOT, stage, wait_for

TEMPLATE = ROOT / "template"
SCRIPTS = ["before.sh", "script.sh", "after.sh", "clean.sh"]


@pytest.fixture
def staged(tmp_path):
    """A staged root whose runtime is a stand-in that we write ourselves."""
    runtime = tmp_path / "run time's"
    (runtime / "bin").mkdir(parents=True)

    def write(body):
        program = runtime / "bin/kernelwright"
        program.write_text(f"#!/bin/bash\n{body}\n")
        program.chmod(0o755)
        return stage({}, tmp_path / "staged", runtime=runtime)

    return write


def job(root, header="", set_host="host=127.0.0.1", timeout=60):
    script = root / "job.sh"
    script.write_text(jobscript.render({"header": header, "set_host": set_host}, root))
    environ = {**LOGIN, "TMPDIR": str(root)}
    return subprocess.run(
        ["bash", str(script)],
        env=environ,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


PREPARED = """
case $2 in
prepare)
    dir=$5
    echo Abcdefgh1 >"$dir/password"; echo "$9" >"$dir/port"; mkdir -p "$dir/runtime"
    printf 'kw_modules=()\\nkw_modules_use=()\\nkw_command=(%s)\\n' "$KW_TEST_SERVER" >"$dir/server.sh" ;;
esac
echo "called: $*" >>"$KW_TEST_CALLS"
"""


def test_every_script_is_clean_for_shellcheck(staged):
    root = staged("exit 0")
    done = subprocess.run(
        ["shellcheck", "-s", "bash", "-x", "-e", "SC1091", *SCRIPTS], cwd=root, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", sorted(TEMPLATE.iterdir()), ids=lambda p: p.name)
def test_the_first_comment_says_who_runs_it(path):
    first = " ".join(path.read_text().splitlines()[:3])
    assert "as the user" in first and ("compute node" in first or "web node" in first)
    assert (
        ("sourced" in first.lower())
        or ("executed" in first.lower())
        or path.name == "request.json.erb"
    )


def test_only_script_sh_is_executable():
    modes = {path.name: os.access(path, os.X_OK) for path in TEMPLATE.iterdir()}
    if os.getuid() == 0:
        modes = {path.name: bool(path.stat().st_mode & 0o100) for path in TEMPLATE.iterdir()}
    assert [name for name, executable in modes.items() if executable] == ["script.sh"]


@pytest.mark.parametrize("name", ["before.sh.erb", "after.sh", "clean.sh"])
def test_sourced_files_leave_the_shell_as_it_is(name):
    import re

    text = re.sub(r"(?m)#.*$", "", (TEMPLATE / name).read_text())
    assert not re.search(r"(?m)^\s*(set\s+[-+]|exit\b|cd\s|shopt\b)", text)


def test_a_failing_prepare_ends_the_job(staged):
    done = job(staged("echo why it failed >&2; exit 1"))
    assert done.returncode == 1
    assert "why it failed" in done.stderr
    assert "Cleaning up" in done.stdout and "Script starting" not in done.stdout


def test_a_kernel_that_was_only_made_ends_the_job_well(staged):
    root = staged("[ $2 = prepare ] && exit 3; exit 0")
    done = job(root)
    assert done.returncode == 0 and not (root / "connection.yml").exists()


def test_a_runtime_that_is_gone_is_said_on_the_card(staged, valid):
    root = staged("exit 0")
    (root.parent / "run time's/bin/kernelwright").unlink()
    done = job(root)
    assert done.returncode == 1
    assert (
        valid("report", json.loads((root / "report.json").read_text()))["code"]
        == "runtime-unreachable"
    )


def test_a_server_that_dies_at_once_ends_the_job_within_two_seconds(staged, tmp_path):
    root = staged(PREPARED)
    calls = tmp_path / "calls"
    begun = time.monotonic()
    done = job(root, f"export KW_TEST_CALLS={calls} KW_TEST_SERVER=false")
    # two seconds are promised; the rest is for a machine that does many things at once
    assert time.monotonic() - begun < 15
    assert done.returncode == 1 and not (root / "connection.yml").exists()
    words = [line.split() for line in calls.read_text().splitlines()]
    assert [w[2] for w in words if w[2] != "index"] == ["prepare", "ended", "ended", "clean"]
    ended = next(w for w in words if w[2] == "ended")
    assert ended[ended.index("--status") + 1] == "1" and "--asked" not in ended


def test_a_server_that_never_answers_is_given_up(staged, tmp_path):
    root = staged(PREPARED)
    done = job(
        root,
        f"export KERNELWRIGHT_PATIENCE=1 KW_TEST_CALLS={tmp_path / 'calls'} KW_TEST_SERVER='sleep 600'",
    )
    assert done.returncode == 1
    assert "server-slow" in done.stderr


def test_told_to_end_while_preparing(staged, tmp_path):
    """scancel while a kernel is being made: prepare is told, and the job cleans up."""
    root = staged(f"""
if [ "$2" = prepare ]; then
    trap 'echo told >>{tmp_path}/told; exit 1' TERM
    touch {tmp_path}/preparing
    for _ in $(seq 600); do sleep 0.1; done
fi
[ "$2" = clean ] && touch {tmp_path}/cleaned
exit 0""")
    script = root / "job.sh"
    script.write_text(jobscript.render({}, root))
    with open(tmp_path / "log", "wb") as log:
        child = subprocess.Popen(
            ["bash", str(script)],
            env={**LOGIN, "TMPDIR": str(root)},
            cwd=root,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for((tmp_path / "preparing").exists)
        child.terminate()
        assert child.wait(60) == 1
        assert (tmp_path / "told").read_text() == "told\n"
        assert (tmp_path / "cleaned").exists()
    finally:
        child.kill() if child.poll() is None else None
        child.wait()


MODULES = """
module() {
    case $1 in
    load) if [ "$2" = good/1 ]; then LOADEDMODULES=${LOADEDMODULES:+$LOADEDMODULES:}$2; else return ${KW_TEST_STATUS:-1}; fi ;;
    esac
}
"""


@pytest.mark.parametrize(
    ("modules", "status", "said"),
    [("good/1", 1, None), ("good", 1, "good"), ("good/1 bad/2", 1, "bad/2"), ("bad/2", 0, "bad/2")],
    ids=["loaded", "other-name", "second-fails", "old-tool-returns-0"],
)
def test_a_module_that_is_not_there_is_named(tmp_path, modules, status, said):
    session = tmp_path / "session"
    session.mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kernelwright").write_text('#!/bin/sh\necho "$@" >>"$KW_TEST_CALLS"\n')
    (tmp_path / "bin/kernelwright").chmod(0o755)
    (tmp_path / "init.sh").write_text(MODULES + "echo $unset_name_in_a_start_file\n")
    (session / "server.sh").write_text(
        f"kw_modules_init={tmp_path}/init.sh\nkw_modules_use=(/a)\nkw_modules=({modules})\nkw_command=(echo the server starts)\n"
    )
    environ = {
        **LOGIN,
        "KERNELWRIGHT_RUNTIME": str(tmp_path),
        "KERNELWRIGHT_SESSION": str(session),
        "host": "127.0.0.1",
        "port": "1",
        "KW_TEST_STATUS": str(status),
        "KW_TEST_CALLS": str(tmp_path / "calls"),
    }
    done = subprocess.run(
        ["bash", str(TEMPLATE / "script.sh")],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    started = "the server starts" in done.stdout
    if said is None:
        assert started, done.stderr
    else:
        assert not started and f"modules-not-loaded: the module `{said}`" in done.stderr
        assert f"--root {tmp_path} --status 1" in (tmp_path / "calls").read_text()


def test_the_private_folder_avoids_a_disk_without_room(staged, tmp_path):
    """TMPDIR is gone or cannot be written: the next place is taken, and it is private."""
    root = staged(f'[ "$2" = prepare ] && stat -c "%a %n" "$5" >{tmp_path}/where; exit 3')
    for folder in ("/nonexistent", "/dev/full", "/proc"):
        assert job(root, f"export TMPDIR={folder} SLURM_TMPDIR=''").returncode == 0
        mode, place = (tmp_path / "where").read_text().split()
        assert mode == "700" and Path(place).parent in {Path("/tmp"), root}
