"""The in-environment entry: old Pythons, homes that are full, injected packages, `%kernelwright`."""

from __future__ import annotations

import ast
import json
import os
import pwd
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from launch.kit import BASIC, LIMIT, PYTHON, Kernel, generation, script

from kernelwright.launch import companion, entry
from kernelwright.model import VenvSpec

SOURCES = (Path(entry.__file__), Path(companion.__file__))
SHARED = Path("/var/tmp/kernelwright-tests")


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.name)
def test_the_files_are_standard_library_for_python_3_6(source):
    text = source.read_text()
    tree = ast.parse(text, feature_version=(3, 6))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module.partition(".")[0])
        assert not isinstance(node, ast.NamedExpr)
    assert imported - set(sys.stdlib_module_names) - {"typing"} <= {"ipykernel", "zmq"}
    python = interpreters().get("3.8")
    if python:  # what feature_version does not see, such as parenthesized `with`
        subprocess.run(
            [python, "-c", "import sys; compile(sys.stdin.read(), 'entry', 'exec')"],
            input=text,
            text=True,
            check=True,
            timeout=60,
        )


def interpreters():
    """Other Pythons of this machine, oldest first: those of PATH and of pyenv."""
    found = {}
    for minor in (8, 9, 10, 12, 13, 14):
        pyenv = sorted(
            Path(pwd.getpwuid(os.getuid()).pw_dir, ".pyenv/versions").glob(
                f"3.{minor}.*/bin/python"
            )
        )
        path = shutil.which(f"python3.{minor}") if not pyenv else str(pyenv[-1])
        if path and "shims" not in path and minor != sys.version_info[1]:
            found[f"3.{minor}"] = path
    return found


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_other_pythons(tmp_path, runtime, env, uv_cache, version):
    python = interpreters().get(version)
    if python is None:
        pytest.skip(f"NOT TESTED: there is no Python {version}")
    own = SHARED / f"entry-{version}-{os.getuid()}"
    if not (own / "ready").exists():
        shutil.rmtree(own, ignore_errors=True)
        call = {"check": True, "timeout": 280, "env": {**os.environ, "UV_CACHE_DIR": str(uv_cache)}}
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "-q", "--python", python, own], **call)
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", own / "bin/python", "ipykernel"], **call
        )
        (own / "ready").touch()
    folder = generation(tmp_path / "g" / "1", (str(own / "bin/python"), *PYTHON), runtime=runtime)
    with Kernel(folder, env) as kernel:
        assert (
            kernel.run("import sys; print('%d.%d' % sys.version_info[:2])")[1] == f"{version}\n"
        ), kernel.said()
        assert "%pip install not-there" in kernel.run("import not_there")[1]
        assert (
            "KeyboardInterrupt"
            in kernel.interrupt(
                "import time\nprint('going', flush=True)\nfor _ in range(6000): time.sleep(.01)"
            )[1]
        )
        assert "usage: kernelwright" in kernel.run("%kernelwright")[1]


@pytest.fixture
def small_home(alice):
    """alice's home on a file system of 256 kB that is full."""
    mounted = subprocess.run(
        [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size=256k,uid={alice.uid},gid={alice.gid}",
            "tmpfs",
            alice.home,
        ],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"NOT TESTED: no mount: {mounted.stderr.decode()}")
    yield alice
    subprocess.run(["umount", "-l", alice.home], check=True)


def test_a_full_home_stops_no_kernel(runtime, small_home, tmp_path_factory):
    alice = small_home
    python = str(runtime / "venv/bin/python")
    central = alice.home.parent / f"{alice.name}-central"
    folder = generation(central / "1", (python, *PYTHON), runtime=runtime)
    try:
        kernel = Kernel(folder, BASIC | {"HOME": str(alice.home), "TMPDIR": "/tmp"}, user=alice)
        with open(alice.home / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        with kernel:
            assert kernel.info["implementation"] == "ipython"
            assert kernel.run("6 * 7")[1] == "42"
            assert kernel.run("get_ipython().history_manager.hist_file")[1] == "':memory:'"
            assert "/tmp/" in kernel.run("get_ipython().ipython_dir")[1]
        shutil.rmtree(f"/tmp/kernelwright-{alice.uid}", ignore_errors=True)
    finally:
        shutil.rmtree(central)


def test_history_is_kept_on_a_local_home(make):
    with make() as kernel:
        assert kernel.run("print(get_ipython().history_manager.hist_file)")[1].endswith(
            "history.sqlite\n"
        )


@pytest.mark.parametrize(
    ("mounts", "path", "expected"),
    [
        (
            "a / ext4 x 0 0\nb /home nfs4 x 0 0\nc /home/u lustre x 0 0\n",
            "/home/u/.ipython",
            "lustre",
        ),
        ("a / ext4 x 0 0\nb /home nfs4 x 0 0\n", "/home2/u", "ext4"),
        ("", "/x", ""),
    ],
)
def test_file_system_of_a_path(monkeypatch, tmp_path, mounts, path, expected):
    listing = tmp_path / "mounts"
    listing.write_text(mounts)
    real = open
    monkeypatch.setattr(
        "builtins.open",
        lambda name, *a, **k: real(listing if name == "/proc/self/mounts" else name, *a, **k),
    )
    assert entry._file_system(path) == expected


def test_injected_packages_come_last(tmp_path, runtime, env):
    """An environment without ipykernel is given one; a package that it has itself is its own."""
    own = tmp_path / "env"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(own)
    site = next(own.glob("lib/python3*")) / "site-packages"
    (site / "mine.py").write_text("where = 'own'")
    inject = tmp_path / "inject folder"
    inject.mkdir()
    (inject / "mine.py").write_text("where = 'injected'")
    for entry_ in Path(sys.prefix).glob("lib/python3*/site-packages/*"):
        (inject / entry_.name).symlink_to(entry_)
    folder = generation(tmp_path / "g" / "1", runtime=runtime)
    argv = (
        str(own / "bin/python"),
        str(folder / "entry.py"),
        "--inject",
        str(inject),
        "-f",
        "{connection_file}",
    )
    shutil.rmtree(folder)
    folder = generation(tmp_path / "g" / "1", argv, runtime=runtime)
    with Kernel(folder, env) as kernel:
        assert kernel.info["implementation"] == "ipython", kernel.said()
        assert kernel.run("import mine; mine.where")[1] == "'own'"


def test_advice_and_adding(make, tmp_path):
    calls = tmp_path / "calls"
    fake = tmp_path / "runtime/bin/kernelwright"
    fake.parent.mkdir(parents=True)
    script(fake, f'#!/bin/bash\nprintf "<%s>" "$@" > {calls}\necho added; [ "$3" != bad ]\n')
    with make(environment=VenvSpec(), runtime=tmp_path / "runtime") as kernel:
        assert (
            "`%kernelwright add scikit-learn` adds it to this kernel with pip"
            in kernel.run("import sklearn.svm")[1]
        )
        text = kernel.run("%kernelwright add 'scikit-learn>1' seaborn")[1]
        assert calls.read_text() == "<add><try><scikit-learn>1><seaborn>"
        assert "added" in text and "Restart the kernel" in text
        assert "Restart" not in kernel.run("%kernelwright add bad")[1]
        kernel.run("%kernelwright fix")
        assert calls.read_text() == "<repair><try>"
        assert "does not run in a Slurm job" in kernel.run("%kernelwright job")[1]
        assert "kernelwright" not in kernel.run("1 / 0")[1].lower()


def test_a_module_that_lies_in_the_user_site_is_named(make, env):
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    folder = Path(env["HOME"]) / f".local/lib/{version}/site-packages"
    folder.mkdir(parents=True)
    (folder / "leaked_module.py").write_text("")
    with make(environment=VenvSpec()) as kernel:
        text = kernel.run("import leaked_module")[1]
        assert f"({folder} has it for this Python, but this kernel leaves that folder out)" in text


def test_facts_are_beside_the_entry(make):
    facts = json.loads((make(environment=VenvSpec()).folder / "entry.json").read_text())
    assert (facts["name"], facts["kind"], facts["command"]) == ("try", "venv", "kernelwright")
    assert LIMIT
