"""`make install`: whole or not at all, twice, as an upgrade under a running kernel, by anybody."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tree(folder):
    """A copy of what an installation needs, so that a test may change it."""
    for name in ("lib/kernelwright", "scripts", "bin"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "Makefile", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def install(source, prefix, **env):
    return subprocess.run(
        [source / "scripts/install.sh", prefix],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "JUPYTER": "0", **env},
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("install")
    source = tree(folder / "source")
    answer = install(source, folder / "prefix")
    assert answer.returncode == 0, answer.stderr
    return source, folder / "prefix"


def test_the_layout_that_kernels_rely_on(installed):
    _, prefix = installed
    version = subprocess.run(
        [prefix / "bin/kernelwright", "--version"], capture_output=True, text=True, timeout=60
    ).stdout.split()[1]
    assert os.readlink(prefix / "current") == f"versions/{version}"
    assert os.readlink(prefix / "venv") == "current/venv"
    python = prefix / "venv/bin/python"
    code = "import ipykernel, argon2, uv, rattler, zmq, jupyter_client; from kernelwright.paths import runtime_folder; print(runtime_folder({}))"
    assert subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, timeout=60
    ).stdout.strip() == str(prefix)
    assert (
        subprocess.run(
            [python, "-I", "-c", "import jupyterlab"], capture_output=True, timeout=60
        ).returncode
        == 1
    )


def test_the_same_content_again_is_nothing_to_do(installed):
    source, prefix = installed
    before = os.listdir(prefix / "versions")
    assert install(source, prefix).returncode == 0
    assert os.listdir(prefix / "versions") == before


def test_an_upgrade_leaves_what_runs(installed):
    source, prefix = installed
    old = os.readlink(prefix / "current")
    child = subprocess.Popen(
        [
            prefix / "venv/bin/python",
            "-I",
            "-c",
            "import sys; input(); import kernelwright.doctor, kernelwright.slurm.broker; print('fine')",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    init = source / "lib/kernelwright/__init__.py"
    init.write_text(init.read_text().replace('__version__ = "', '__version__ = "9.'))
    assert install(source, prefix).returncode == 0
    assert os.readlink(prefix / "current") != old
    assert subprocess.run(
        [prefix / "bin/kernelwright", "--version"], capture_output=True, text=True, timeout=60
    ).stdout.startswith("kernelwright 9.")
    out, err = child.communicate("\n", timeout=60)
    assert out.strip() == "fine", err
    assert (prefix / old / "complete").exists()


def test_a_killed_installation_is_made_anew(installed, tmp_path):
    source, _ = installed
    prefix = tmp_path / "p"
    version = next(
        line.split('"')[1]
        for line in (source / "lib/kernelwright/__init__.py").read_text().splitlines()
        if line.startswith("__version__")
    )
    (prefix / "versions" / version / "venv").mkdir(
        parents=True
    )  # what a kill leaves: no `complete`
    assert install(source, prefix).returncode == 0
    assert (prefix / "versions" / version / "complete").exists()


def test_a_prefix_that_cannot_be_written_is_said(alice, tmp_path):
    source = tree(alice.home / "source")
    subprocess.run(["chown", "-R", f"{alice.uid}:{alice.gid}", source], check=True)
    answer = alice.run(["sh", source / "scripts/install.sh", "/usr/kernelwright"])
    assert answer.status == 1 and "cannot be written" in answer.stderr


def test_an_ordinary_user_installs_into_the_home(alice):
    source = tree(alice.home / "source")
    subprocess.run(["chown", "-R", f"{alice.uid}:{alice.gid}", source], check=True)
    answer = alice.run(
        ["make", "-C", source, "install", f"PREFIX={alice.home}/apps/kernelwright", "JUPYTER=0"],
        timeout=600,
    )
    assert answer.status == 0, answer.stderr
    assert (
        alice.run([alice.home / "apps/kernelwright/bin/kernelwright", "list", "--json"]).status == 0
    )


def test_a_prefix_with_spaces_is_refused(tmp_path):
    answer = install(ROOT, tmp_path / "a b")
    assert answer.returncode == 1 and "space" in answer.stderr


def test_a_bundle_needs_neither_network_nor_a_python(tmp_path):
    source = tree(tmp_path / "source")
    made = subprocess.run(
        ["make", "-C", source, "bundle", "JUPYTER=0"],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "JUPYTER": "0"},
    )
    assert made.returncode == 0, made.stderr
    bundle = next((source / "dist").glob("*.tar"))
    prefix = tmp_path / "prefix"
    words = [
        "unshare",
        "--net",
        "env",
        "-i",
        "PATH=/usr/bin:/bin",
        "PYTHON=/bin/false",
        "JUPYTER=0",
        f"BUNDLE={bundle}",
        source / "scripts/install.sh",
        prefix,
    ]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0, answer.stderr
    code = "import sys, ssl, sqlite3, ctypes, zmq, rattler, ipykernel; print(sys.base_prefix)"
    out = subprocess.run(
        [prefix / "venv/bin/python", "-I", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert out.stdout.strip().startswith(str(prefix)), out.stderr
