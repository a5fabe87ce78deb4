"""What killed builds leave behind goes; what lives, is young or can still be repaired stays."""

import json
import os
import socket

import pytest

from kernelwright.config.model import SiteConfig
from kernelwright.model import Made
from kernelwright.recipe import load
from kernelwright.store import Store
from kernelwright.store.lock import process_start
from kernelwright.store.prune import remove_abandoned, unreferenced


@pytest.fixture
def store(home):
    return Store(home, SiteConfig())


RECIPE = load("name: demo\nenvironment:\n  venv: {requirements: [six]}\n", source="test")


def draft(store, builder=None):
    """A build that has begun, by a process that is gone unless told otherwise."""
    made = store.new_generation(None, RECIPE)
    (made.prefix / "bin").mkdir(parents=True)
    words = builder or f"4194300 1 {socket.gethostname()}"
    (made.folder / "building").write_text(words)
    return made


def test_a_killed_build_of_a_new_kernel_is_swept(store):
    gone = draft(store)
    lives = draft(store, f"{os.getpid()} {process_start(os.getpid())} {socket.gethostname()}")
    young = draft(store)
    (young.folder / "building").unlink()
    remove_abandoned(store)
    assert not gone.folder.parent.exists()
    assert lives.prefix.exists() and young.prefix.exists()


def test_a_kernel_whose_kernel_json_is_broken_is_kept_for_repair(store):
    made = draft(store)
    store.finish(made, RECIPE, Made("venv", prefix=str(made.prefix)), {})
    assert unreferenced(store) == [made.folder.parent]
    broken = store.specs / "demo/kernel.json"
    broken.parent.mkdir(parents=True)
    broken.write_text(json.dumps({"argv": ["x"]})[:7])
    assert unreferenced(store) == []


def test_a_closed_storage_root_is_no_traceback(alice, runtime):
    root = alice.home / "scratch"
    (root / "kw").mkdir(parents=True)
    config = alice.home / "site.yaml"
    config.write_text(f"storage: {{root: '{root}/kw'}}\n")
    os.chown(root, alice.uid, alice.gid)
    root.chmod(0)
    for words in (["storage"], ["create", "venv", "demo", "--no-test"], ["storage", "--clean"]):
        told = alice.run(
            [runtime / "bin/kernelwright", *words], env={"KERNELWRIGHT_SITE_CONFIG": str(config)}
        )
        assert "Traceback" not in told.stderr, told.stderr
    assert not (alice.home / ".local/share/jupyter/kernels/demo").exists()
