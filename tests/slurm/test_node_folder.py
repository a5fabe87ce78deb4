"""The agents' folders on a node: kept while their agent lives, swept by the next one when it was killed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kernelwright.slurm.nodefolder import MARK, make_folder, sweep

LIB = Path(__file__).resolve().parents[2] / "lib"
AGENT = """
import sys
from kernelwright.slurm.nodefolder import make_folder
print(make_folder(sys.argv[1]), flush=True)
sys.stdin.read()
"""


def python(code, *argv):
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(LIB)!r})\n{code}", *argv]


@pytest.fixture
def base():
    """A folder with a name that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="kwt-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def other(base):
    """An agent with a folder below `base`: its process and the folder."""
    process = subprocess.Popen(
        python(AGENT, str(base)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_the_folder_of_a_killed_agent_is_swept(other, base):
    process, folder = other
    sweep(base)
    assert folder.parent == base
    assert folder.is_dir()
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    mine = make_folder(str(base))
    assert not folder.exists()
    assert mine.is_dir()


@pytest.mark.skipif(os.getuid() != 0, reason="namespaces of process ids need root")
def test_an_agent_in_other_process_ids_is_not_taken_for_dead(other, base):
    """Jobs may have process ids of their own and a /tmp in common."""
    _, folder = other
    code = "from pathlib import Path\nfrom kernelwright.slurm.nodefolder import sweep\nsweep(Path(sys.argv[1]))"
    apart = ["unshare", "--pid", "--fork", "--mount-proc"]
    subprocess.run([*apart, *python(code, str(base))], check=True, timeout=60)
    assert (folder / MARK).exists()


def test_what_no_agent_of_this_node_left_stays(other, base):
    process, folder = other
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    (folder / MARK).write_text("another-node")
    (base / "kw-bare").mkdir()
    (base / "kw-file").write_text("")
    (base / "kw-link").symlink_to(folder)
    sweep(base)
    assert sorted(p.name for p in base.iterdir()) == sorted(
        ["kw-bare", "kw-file", "kw-link", folder.name]
    )


@pytest.mark.parametrize("wanted", ["/sys", "/nonexistent", "/dev/null", "/dev/full"])
def test_a_tmpdir_that_takes_no_folder_is_not_used(wanted, capsys):
    folder = make_folder(wanted)
    try:
        assert folder.parent == Path("/tmp")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert wanted in capsys.readouterr().out  # the job's log
    finally:
        shutil.rmtree(folder)


def test_a_long_tmpdir_is_not_used(tmp_path):
    """The path of a Unix socket ends at 107 bytes."""
    long = tmp_path / ("x" * 80)
    long.mkdir()
    folder = make_folder(str(long))
    shutil.rmtree(folder)
    assert folder.parent == Path("/tmp")
