"""The lock of a kernel: who holds it, and when it is broken."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kernelwright.errors import UserError
from kernelwright.store import lock


def test_a_lock_says_who_holds_it(tmp_path):
    path = tmp_path / "a.lock"
    with lock(path, command="kernelwright create a"):
        with pytest.raises(UserError) as caught, lock(path, command="other"):
            pass
    assert caught.value.code == "locked"
    assert (
        "kernelwright create a" in caught.value.message and str(os.getpid()) in caught.value.message
    )
    assert not path.exists()


def test_the_lock_of_a_killed_process_is_broken_at_once(tmp_path):
    path = tmp_path / "a.lock"
    code = (
        "import os, sys; from pathlib import Path; from kernelwright.store import lock\n"
        "with lock(Path(sys.argv[1]), command='x'): os.kill(os.getpid(), 9)"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "lib")}
    subprocess.run([sys.executable, "-c", code, path], env=env, timeout=60)
    assert path.exists()
    with lock(path, command="y"):
        assert json.loads(path.read_text())["command"] == "y"


def test_a_reused_pid_does_not_keep_a_lock_alive(tmp_path):
    from kernelwright.store.lock import holder

    path = tmp_path / "a.lock"
    import socket

    path.write_text(json.dumps(holder("old", socket.gethostname()) | {"started": 1}))
    with lock(path, command="y"):
        pass


def test_another_host_is_believed_until_it_is_silent_for_a_minute(tmp_path):
    from kernelwright.store.lock import holder

    path = tmp_path / "a.lock"
    path.write_text(json.dumps(holder("old", "node2") | {"pid": 1, "started": 1, "boot": "other"}))
    with pytest.raises(UserError) as caught, lock(path, command="y", host="node1"):
        pass
    assert "node2" in caught.value.message
    past = path.stat().st_mtime - 61
    os.utime(path, (past, past))
    with lock(path, command="y", host="node1"):
        assert json.loads(path.read_text())["host"] == "node1"


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_lock_that_cannot_be_read_is_broken_only_when_it_is_old(tmp_path, content):
    path = tmp_path / "a.lock"
    path.write_bytes(content)
    with pytest.raises(UserError, match="at work"), lock(path, command="y"):
        pass
    os.utime(path, (1, 1))
    with lock(path, command="y"):
        pass


def test_of_many_who_want_it_one_has_it(tmp_path):
    path, inside, most = tmp_path / "a.lock", [], []

    def work():
        with lock(path, command="w", wait=60):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 8 and max(most) == 1
