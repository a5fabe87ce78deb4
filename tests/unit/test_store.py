"""The store: nothing half is ever seen, nothing foreign is ever lost."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kernelwright.errors import UserError
from kernelwright.model import Made
from kernelwright.recipe import load
from kernelwright.store import Store, kernelspec, lock, write_json, write_text
from kernelwright.store.prune import remove_kernel, remove_stale, unreferenced

RECIPE = load("name: a\nenvironment: {prefix: {path: /usr}}", source="x")


@pytest.fixture
def store(home, site):
    return Store(home, site, dict(os.environ))


def build(store, name="a", kernel_id=None, prefix=None):
    draft = store.new_generation(kernel_id, RECIPE)
    draft.prefix.mkdir(exist_ok=True)
    generation = store.finish(draft, RECIPE, Made("prefix", prefix=str(prefix or draft.prefix)), {})
    spec = kernelspec.kernel_json(
        generation, recipe_hash="h", runtime=Path("/r"), interrupt_mode="signal"
    )
    store.publish(name, spec)
    return generation


def test_a_published_generation_is_found_again(store):
    generation = build(store)
    owned = store.find("a")
    assert (owned.id, owned.number, owned.recipe_hash) == (generation.kernel_id, 1, "h")
    assert store.generation(owned.id, 1).recipe == RECIPE


def test_a_draft_is_nobodys_kernel(store):
    draft = store.new_generation(None, RECIPE)
    assert store.kernels() == []
    assert store.generations(draft.kernel_id) == []
    with pytest.raises(UserError, match="generation 1"):
        store.generation(draft.kernel_id, 1)


def foreign(store, name="a"):
    folder = store.specs / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text('{"argv": ["x"], "display_name": "mine", "language": "x"}')
    return folder


def test_a_foreign_kernel_is_refused_and_with_force_kept_as_backup(store):
    folder = foreign(store)
    with pytest.raises(UserError) as caught:
        build(store)
    assert caught.value.code == "kernel-not-owned"
    assert json.loads((folder / "kernel.json").read_text())["display_name"] == "mine"
    moved = store.unpublish("a", force=True)
    assert not folder.exists()
    assert json.loads((moved / "kernel.json").read_text())["display_name"] == "mine"
    assert not moved.is_relative_to(store.specs)


def test_a_link_to_a_foreign_kernel_is_moved_not_followed(store, tmp_path):
    real = tmp_path / "elsewhere"
    real.mkdir()
    (real / "kernel.json").write_text("{}")
    store.specs.mkdir(parents=True)
    (store.specs / "a").symlink_to(real)
    store.unpublish("a", force=True)
    assert (real / "kernel.json").exists()
    assert not (store.specs / "a").exists()


@pytest.mark.parametrize("name", [".", "..", "../x", ""])
def test_find_never_leaves_the_kernels_folder(store, name):
    foreign(store, "b")
    with pytest.raises(UserError) as caught:
        store.find(name)
    assert caught.value.code in {"no-such-kernel", "not-owned"}


def test_two_generations_stay_and_a_running_one_is_never_removed(store, site):
    first = build(store)
    script = first.folder / "launch.sh"
    script.write_text("#!/bin/sh\necho up\nsleep 60 & wait\n")
    script.chmod(0o755)
    child = subprocess.Popen([script], start_new_session=True, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"up\n"
    try:
        for _ in range(3):
            build(store, kernel_id=first.kernel_id)
        assert remove_stale(store, first.kernel_id) == [2]
        assert [g.number for g in store.generations(first.kernel_id)] == [1, 3, 4]
    finally:
        os.killpg(child.pid, 9)
        child.communicate()
    assert remove_stale(store, first.kernel_id) == [1]
    assert not first.folder.exists()


def test_a_start_record_of_another_node_keeps_a_generation(store):
    first = build(store)
    starts = first.folder / "starts"
    starts.mkdir()
    (starts / "k.start").write_text("pid=1\nhost=othernode\nstarted=9999999999\n")
    for _ in range(2):
        build(store, kernel_id=first.kernel_id)
    assert remove_stale(store, first.kernel_id) == []
    (starts / "k.start").write_text("pid=1\nhost=othernode\nstarted=9999999999\nended=9999999999\n")
    assert remove_stale(store, first.kernel_id) == [1]


def test_an_environment_that_two_generations_share_stays(store):
    first = build(store)
    shared = first.made.prefix
    for _ in range(3):
        build(store, kernel_id=first.kernel_id, prefix=shared)
    remove_stale(store, first.kernel_id)
    assert Path(shared).is_dir()
    assert 1 not in [g.number for g in store.generations(first.kernel_id)]
    remove_kernel(store, first.kernel_id)
    assert not Path(shared).exists()


def test_killed_builds_are_swept(store):
    generation = build(store)
    code = (
        "import sys, os; from pathlib import Path; from kernelwright.store import Store\n"
        "from kernelwright.config.model import SiteConfig; from kernelwright.recipe import load\n"
        "r = load('name: a\\nenvironment: {prefix: {path: /usr}}', source='x')\n"
        f"d = Store(Path({str(store.home)!r}), SiteConfig(), {{}}).new_generation({generation.kernel_id!r}, r)\n"
        "print(d.folder); sys.stdout.flush(); os.kill(os.getpid(), 9)"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "lib")}
    out = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60
    )
    left = Path(out.stdout.strip())
    assert left.is_dir()
    remove_stale(store, generation.kernel_id)
    assert not left.exists()
    assert store.find("a")


def test_unreferenced_kernels_are_found(store):
    generation = build(store)
    assert unreferenced(store) == []
    store.unpublish("a")
    assert [p.name for p in unreferenced(store)] == [generation.kernel_id]


def test_storage_root_of_the_site(home, tmp_path):
    from kernelwright.config.model import SiteConfig, Storage

    site = SiteConfig(storage=Storage(root=str(tmp_path / "scratch/{user}/kw")))
    store = Store(home, site, {})
    draft = store.new_generation(None, RECIPE)
    import pwd

    assert (
        draft.prefix
        == tmp_path
        / "scratch"
        / pwd.getpwuid(os.getuid()).pw_name
        / "kw"
        / draft.kernel_id
        / "1/env"
    )
    assert draft.folder.is_relative_to(home)
    with pytest.raises(UserError) as caught:
        Store(home, SiteConfig(storage=Storage(root="$NOWHERE/x")), {}).environments()
    assert caught.value.code == "unset-variable"


# --- atomic writes -----------------------------------------------------------------------------


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


# --- locks -------------------------------------------------------------------------------------


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
