"""The page on Slurm kernels, run as it is written: each of its MPI examples as a cell, on two nodes."""

import re
import subprocess
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def cells():
    """The indented blocks of the section on MPI, in their order."""
    text = (ROOT / "docs/users/slurm.md").read_text()
    section = text.partition("\n## MPI\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?m)(?:^    .*\n(?:\n(?=    ))?)+", section)
    return [textwrap.dedent(block).strip() for block in blocks]


def test_the_examples_are_found():
    found = cells()
    assert found[0] == "!srun hostname"
    assert found[1].startswith("%%writefile pi.py") and len(found) == 8, found


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_every_example_of_the_page(bench, monkeypatch, tmp_path, uv_cache):
    environ = {**bench.environ, "UV_CACHE_DIR": str(uv_cache)}
    setting = "partition=debug,ntasks=4,extra=--ntasks-per-node=2"
    words = ["create", "venv", "mpi", "mpi4py", "mpich", "ipyparallel", "--slurm", setting]
    done = subprocess.run([bench.runtime / "bin/kernelwright", *words], env=environ, capture_output=True, text=True, timeout=600)  # fmt: skip
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("JUPYTER_PATH", str(bench.home / ".local/share/jupyter"))
    work = bench.home / "work"
    work.mkdir()
    notebook = bench.start(name="mpi")
    notebook.ready()
    notebook.text_of(f"%cd -q {work}")
    hosts, written, hydra, srun, begun, engines, shared, ended = (
        notebook.text_of(cell, 240) for cell in cells()
    )
    assert len(hosts.split()) == len(shared.split()) == 4
    assert "pi.py" in written
    assert hydra.strip() == srun.strip() == "pi is about 3.141593 by 4 tasks"
    assert engines.strip() == "pi is about 3.141593 by 4 engines"
    del begun, ended
