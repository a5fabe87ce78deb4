"""Files are old or new, never half: two writers, a killed writer, a full disk."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kernelwright.errors import UserError
from kernelwright.store import write_json, write_text


def race(folder, reads):
    """Two writers, one reader; returns what the reader saw that was not whole."""
    path = folder / "kernel.json"
    documents = [{"n": n, "fill": "x" * size} for n, size in ((0, 10), (1, 50_000))]
    write_json(path, documents[0])
    stop = threading.Event()

    def write(document):
        while not stop.is_set():
            write_json(path, document)

    writers = [threading.Thread(target=write, args=(d,)) for d in documents]
    for writer in writers:
        writer.start()
    bad = []
    try:
        for _ in range(reads):
            try:
                with open(path) as stream:
                    if json.load(stream) not in documents:
                        bad.append("other")
            except (OSError, ValueError) as error:
                bad.append(repr(error))
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    return bad


def test_readers_never_see_half_a_file(tmp_path):
    assert race(tmp_path, 20_000) == []


@pytest.mark.soak
def test_readers_never_see_half_a_file_in_300_000_reads(tmp_path):
    assert race(tmp_path, 300_000) == []


WRITER = """
import sys
from pathlib import Path
from kernelwright.store.atomic import write_json
write_json(Path(sys.argv[1]), {"new": "x" * 20000})
"""


MUTATING = "openat,write,fchmod,fsync,rename,renameat,renameat2,close"


@pytest.mark.parametrize("call", ["write", "fchmod", "fsync", "rename"])
@pytest.mark.parametrize("when", [1, 2, 3])
def test_a_writer_killed_at_any_system_call_leaves_old_or_new(tmp_path, call, when):
    path = tmp_path / "kernel.json"
    path.write_text('{"old": 1}')
    env = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2] / "lib"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        str(tmp_path),
        "-e",
        f"inject={call}:signal=KILL:when={when}",
    ]
    subprocess.run([*words, sys.executable, "-c", WRITER, path], env=env, timeout=120)
    assert json.loads(path.read_text()) in ({"old": 1}, {"new": "x" * 20000})


@pytest.fixture
def tiny(tmp_path):
    """A file system of 64 kB."""
    if os.getuid() != 0:
        pytest.skip("needs root to mount a small file system")
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs", folder],
        check=True,
        timeout=30,
    )
    yield folder
    subprocess.run(["umount", "-l", folder], check=True, timeout=30)


def test_a_full_disk_leaves_the_old_file_and_says_so(tiny):
    path = tiny / "kernel.json"
    write_text(path, "old")
    with pytest.raises(UserError) as caught:
        write_text(path, "x" * 200_000)
    assert caught.value.code == "disk-full"
    assert path.read_text() == "old"
    assert os.listdir(tiny) == ["kernel.json"]


def test_a_read_only_folder_is_a_clear_error(alice, runtime):
    code = (
        "import os, sys; from pathlib import Path; from kernelwright.store import write_text\n"
        "assert os.getuid() != 0\n"
        "os.mkdir('ro'); os.chmod('ro', 0o555)\n"
        "from kernelwright.errors import UserError\n"
        "try: write_text(Path('ro/x'), 'y')\n"
        "except UserError as e: print(e.code)"
    )
    assert (
        alice.run([runtime / "venv/bin/python", "-I", "-c", code]).stdout.strip() == "not-writable"
    )
