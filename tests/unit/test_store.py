"""The store: nothing half is ever seen, nothing foreign is ever lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelwright.errors import UserError
from kernelwright.model import Made
from kernelwright.recipe import load
from kernelwright.store import Store, kernelspec
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


# --- locks -------------------------------------------------------------------------------------
