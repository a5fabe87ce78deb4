"""A kernel whose files were spoilt after it was made: the notebook says it, doctor too, repair mends it."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kernelwright.builder import Builder
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover
from kernelwright.doctor import examine_kernel
from kernelwright.doctor.environment import builder_for
from kernelwright.doctor.repair import repair
from kernelwright.doctor.subject import Around
from kernelwright.environments import intact
from kernelwright.errors import UserError
from kernelwright.progress import Silent
from kernelwright.recipe import load
from unit.building import run_cell


@pytest.fixture
def around(home, runtime):
    """A home with the kernel `demo` in a cache of its own, which a test may spoil."""
    environ = {**os.environ, "UV_CACHE_DIR": str(home / "cache")}
    builder = Builder(home, environ, SiteConfig(), runtime, Silent(), test=False)
    builder.create(load("name: demo\nenvironment:\n  venv: {}\n", source="test"))
    return Around(home, environ, SiteConfig(), runtime)


def builder_of(around):
    return builder_for(around, Silent(), test=False)


def generation(around):
    builder = builder_of(around)
    owned = builder.store.find("demo")
    return builder.store.generation(owned.id, owned.number)


def cell(around, code="print(6 * 7)"):
    """What a notebook shows: the output, and the error of the diagnostic kernel."""
    return run_cell(builder_of(around), "demo", code, patience=120)


def found(around):
    kernel = next(
        k
        for k in discover(home=around.home, environ=around.environ, site=around.site)
        if k.name == "demo"
    )
    return {p.code: p.severity for p in examine_kernel(kernel, around).problems}


def mend(around):
    outcome = repair("demo", around, progress=Silent())
    assert outcome.mended, outcome.left
    assert cell(around).strip() == "42"
    assert set(found(around).values()) <= {"note"}, "nothing is held against a mended kernel"


def test_a_library_that_was_overwritten_in_place(around):
    """The file is shared with uv's cache by a hard link: a build from the cache would be broken as well."""
    library = next(
        p for p in Path(generation(around).made.prefix).rglob("_zmq*.so") if not p.is_symlink()
    )
    with open(library, "r+b") as file:
        file.truncate(100)
    assert "is damaged" in cell(around)
    assert found(around)["environment-damaged"] == "error"
    mend(around)
    assert generation(around).number == 2, "the damaged one stays, with what %pip brought"


def test_repair_keeps_what_was_installed_by_hand(around, tmp_path):
    """An environment that cannot start any more is replaced, never overwritten: `%pip` put things there."""
    for _ in range(2):  # more generations than are kept by default
        builder = builder_of(around)
        builder.next_generation(builder.store.find("demo"), generation(around).recipe)
    before = generation(around)
    old = Path(before.made.prefix)
    packages = next(old.glob("lib/python3*/site-packages"))
    (packages / "mine.py").write_text("WORK = 'of weeks'\n")
    by_hand = packages / "seaborn-0.13.2.dist-info"
    by_hand.mkdir()
    (by_hand / "METADATA").write_text("Metadata-Version: 2.1\nName: seaborn\nVersion: 0.13.2\n")
    for path in packages.glob("ipykernel*"):
        path.rename(tmp_path / path.name)
    kept = {p.number for p in builder.store.generations(before.kernel_id)}
    said = []
    notes = Silent()
    notes.note = said.append
    outcome = repair("demo", around, progress=notes)
    assert outcome.mended, outcome.left
    assert f"{old} stays as it is" in outcome.steps[0].text
    assert "kernelwright add demo seaborn==0.13.2" in " ".join(said)
    assert (packages / "mine.py").read_text() == "WORK = 'of weeks'\n"
    after = generation(around)
    assert {p.number for p in builder.store.generations(before.kernel_id)} == kept | {after.number}
    assert after.recipe == before.recipe, "the lock of the repair is not the kernel's recipe"
    assert cell(around).strip() == "42"


def test_an_environment_that_was_purged_is_made_again_in_its_place(around):
    before = generation(around)
    shutil.rmtree(before.made.prefix)
    mend(around)
    assert generation(around).number == before.number


def test_a_dependency_that_was_removed(around):
    folder = next(Path(generation(around).made.prefix).glob("lib/python3*/site-packages/tornado"))
    folder.rename(folder.with_name("elsewhere"))
    assert intact.damaged(Path(generation(around).made.prefix)).keys() == {"tornado"}
    assert "No module named 'tornado'" in cell(around)
    mend(around)


@pytest.mark.parametrize("name", ["start.sh", "watch.sh", "entry.py"])
def test_a_start_file_that_is_empty_or_gone(around, name):
    path = generation(around).folder / name
    path.write_text("") if name.endswith(".sh") else path.unlink()
    assert f"{name}`" in cell(around)
    assert found(around)["launch-script-missing"] == "error"
    mend(around)


def test_a_closed_launch_script_and_a_closed_environment(alice, runtime):
    command = runtime / "bin/kernelwright"
    made = alice.run([command, "create", "venv", "demo", "--no-test"])
    assert made.ok, made.stderr
    folder = next((alice.home / ".local/share/kernelwright/kernels").glob("*/1"))
    (folder / "launch.sh").chmod(0)
    (folder / "env").chmod(0)
    told = alice.run([command, "doctor", "demo"])
    assert "script-not-executable" in told.stdout and "environment-closed" in told.stdout
    assert "check-failed" not in told.stdout
    mended = alice.run([command, "repair", "demo"])
    assert "Traceback" not in mended.stderr, mended.stderr
    mended = alice.run([command, "repair", "demo"])
    assert mended.ok, mended.stdout + mended.stderr
    assert alice.run([command, "test", "demo"]).ok


def test_a_program_that_is_no_python(around):
    recipe = load("name: ls\nenvironment:\n  venv: {python: /bin/ls}\n", source="test")
    builder = Builder(around.home, around.environ, around.site, around.runtime, Silent())
    with pytest.raises(UserError) as caught:
        replace(builder, test=False).create(recipe)
    assert caught.value.code == "python-not-found"
