"""Real builds: venv and prefix kernels from recipe to a cell that runs, and what faults leave behind."""

import json
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kernelwright.builder import Builder
from kernelwright.changes import packages, planned, with_packages
from kernelwright.config.model import SiteConfig
from kernelwright.errors import UserError
from kernelwright.progress import Silent
from kernelwright.recipe import load
from unit.building import names, run_cell, venv

ROOT = Path(__file__).resolve().parents[2]


def test_a_venv_kernel_from_recipe_to_a_cell(builder, home):
    generation = builder.create(venv())
    spec = json.loads((home / ".local/share/jupyter/kernels/demo/kernel.json").read_text())
    assert spec["argv"] == [str(generation.folder / "launch.sh"), "{connection_file}"]
    prefix = Path(generation.made.prefix)
    assert (
        subprocess.run(
            [prefix / "bin/python", "-c", "import six, ipykernel, pip"], timeout=60
        ).returncode
        == 0
    )
    lock = (generation.folder / "requirements.lock").read_text()
    assert "six==" in lock and "--hash=sha256:" in lock and generation.made.facts["unhashed"] == []
    assert (home / ".local/share/jupyter/kernels/demo/logo-svg.svg").exists()
    assert run_cell(builder, "demo", "import sys; print(sys.prefix)").strip() == str(prefix)


def test_the_same_request_builds_once(builder):
    first = builder.create(venv())
    again = builder.create(venv(), reuse=True)
    assert (again.kernel_id, again.number) == (first.kernel_id, first.number)
    with pytest.raises(UserError) as caught:
        builder.create(venv(requirements="[attrs]"), reuse=True)
    assert caught.value.code == "kernel-exists"


def test_two_at_once_build_one(builder):
    made, notes = [], []

    class Notes(Silent):
        def note(self, text):
            notes.append(text)

    def work():
        made.append(replace(builder, progress=Notes()).create(venv(), reuse=True))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(g.kernel_id, g.number) for g in made} == {(made[0].kernel_id, 1)}
    assert len(builder.store.kernels()) == 1
    assert any("who makes this kernel now" in n for n in notes)


def test_update_rollback_and_difference(builder):
    from kernelwright.changes import difference, drift, with_packages

    first = builder.create(venv())
    owned = builder.store.find("demo")
    chosen = []
    recipe = with_packages(first.recipe, ("attrs==23.2.0",))
    second = builder.next_generation(owned, recipe, chosen.append)
    assert chosen[0]["attrs"].version == "23.2.0"
    assert [(r["change"], r["name"], r["new"]) for r in difference(first, second)] == [
        ("added", "attrs", "23.2.0")
    ]
    assert builder.store.find("demo").number == 2
    builder.switch(owned, 1)
    assert builder.store.find("demo").number == 1
    assert Path(first.made.prefix).is_dir() and Path(second.made.prefix).is_dir()
    subprocess.run(
        [
            builder.runtime / "venv/bin/uv",
            "pip",
            "install",
            "-q",
            "--python",
            f"{second.made.prefix}/bin/python",
            "iniconfig",
        ],
        check=True,
        timeout=120,
        env={**os.environ, "UV_CACHE_DIR": builder.environ["UV_CACHE_DIR"]},
    )
    assert [(r["change"], r["name"]) for r in drift(second)] == [("added", "iniconfig")]
    third = builder.next_generation(builder.store.find("demo"), first.recipe)
    assert difference(first, third) == [], "what was used until now stays, whatever its number"
    assert [g.number for g in builder.store.generations(owned.id)] == [1, 2, 3]


def test_settings_change_without_a_build(builder):
    first = builder.create(venv())
    owned = builder.store.find("demo")
    second = builder.rerender(owned, replace(first.recipe, env={"GREETING": "hello $(id)"}))
    assert second.made.prefix == first.made.prefix
    assert (
        run_cell(builder, "demo", "import os; print(os.environ['GREETING'])").strip()
        == "hello $(id)"
    )


def test_a_kernel_that_does_not_start_is_not_published(builder, home, tmp_path):
    broken = tmp_path / "ipykernel"
    (broken / "ipykernel").mkdir(parents=True)
    (broken / "ipykernel/__init__.py").write_text("raise ImportError('no such luck')\n")
    (broken / "pyproject.toml").write_text(
        '[project]\nname = "ipykernel"\nversion = "99"\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    with pytest.raises(UserError) as caught:
        builder.create(venv(requirements=f'["ipykernel @ file://{broken}"]'))
    assert "no such luck" in caught.value.context["evidence"]
    assert names(home) == []
    log = Path(caught.value.context["log"])
    assert log.is_dir() and any(log.iterdir())
    assert not any((home / ".local/share/kernelwright/kernels").iterdir())


def test_pip_conf_is_passed_on(home, tmp_path):
    from kernelwright.environments.pip_settings import uv_environment

    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://mirror.example.org/simple\nextra_index_url =\n  https://a/x\n  https://b/y\n"
    )
    env = uv_environment(
        home, {"XDG_CONFIG_DIRS": str(tmp_path)}, cache=tmp_path, index="https://site/simple"
    )
    assert env["UV_DEFAULT_INDEX"] == "https://mirror.example.org/simple"
    assert env["UV_INDEX"] == "https://a/x https://b/y"
    assert (
        uv_environment(home, {"PIP_INDEX_URL": "https://env/simple"}, cache=tmp_path, index=None)[
            "UV_DEFAULT_INDEX"
        ]
        == "https://env/simple"
    )
    assert (
        uv_environment(
            home, {"PIP_CONFIG_FILE": os.devnull}, cache=tmp_path, index="https://site/simple"
        )["UV_DEFAULT_INDEX"]
        == "https://site/simple"
    )


# --- other languages ----------------------------------------------------------------------------


# --- kills and full disks -----------------------------------------------------------------------


def test_a_home_with_spaces(tmp_path, runtime, uv_cache):
    home = tmp_path / "ho me's"
    home.mkdir()
    builder = Builder(
        home, {**os.environ, "UV_CACHE_DIR": str(uv_cache)}, SiteConfig(), runtime, Silent()
    )
    builder.create(venv())
    assert "42" in run_cell(builder, "demo", "print(42)")


def test_an_unprivileged_user_makes_and_runs_a_kernel(alice, runtime):
    answer = alice.run(
        [runtime / "bin/kernelwright", "create", "venv", "Mein Kern", "six", "--json"], timeout=300
    )
    assert answer.status == 0, answer.stderr
    prefix = json.loads(answer.stdout)["kernel"]["prefix"]
    assert os.stat(prefix).st_uid == alice.uid
    tested = alice.run([runtime / "bin/kernelwright", "test", "mein-kern", "--json"], timeout=120)
    assert json.loads(tested.stdout)["ok"] is True
    index = alice.home / ".local/share/kernelwright/index.json"
    assert index.stat().st_mode & 0o777 == 0o600
    assert "mein-kern" in index.read_text()


def project(folder, name):
    """A package of its own that can be installed from its folder."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1"\n'
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    (folder / f"{name}.py").write_text("answer = 42\n")


def test_a_requirements_file_with_paths_of_its_own(builder, tmp_path):
    folder = tmp_path / "my work"
    project(folder / "one part", "onepart")
    project(folder / "other", "otherpart")
    file = folder / "requirements.txt"
    file.write_bytes("\ufeff-r more.txt\r\n./one part\r\n".encode())
    (folder / "more.txt").write_text("-e ./other\n")
    recipe = load(f"name: demo\nenvironment:\n  venv: {{file: '{file}'}}\n", source="test")
    generation = replace(builder, test=False).create(recipe)
    unhashed = generation.made.facts["unhashed"]
    assert sorted(unhashed) == [str(folder / "one part"), str(folder / "other")]
    code = "import onepart, otherpart; print(onepart.answer, otherpart.__file__)"
    python = generation.made.interpreter
    said = subprocess.run([python, "-c", code], timeout=60, capture_output=True, text=True).stdout
    assert said.split(maxsplit=1) == ["42", f"{folder}/other/otherpart.py\n"]

    from kernelwright.clone import clone_recipe

    around = {"home": builder.home, "environ": builder.environ, "site": builder.site}
    copy = replace(builder, test=False).create(clone_recipe("demo", "copy", None, **around))
    assert sorted(copy.made.facts["unhashed"]) == sorted(unhashed), "paths mean the same from there"

    file.unlink()
    owned = builder.store.find("demo")
    recipe = with_packages(generation.recipe, ("six",))
    assert [r["name"] for r in planned(builder, owned, recipe)] == ["six"]
    later = replace(builder, test=False).next_generation(owned, recipe)
    assert {"onepart", "otherpart", "six"} <= packages(later).keys(), "the file is gone"
