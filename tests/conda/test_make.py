"""Environments from the local channel: what is made, locked, refused and found again."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from conda.asking import code_of, python
from kernelwright.config.model import Policy
from kernelwright.environments import conda
from kernelwright.environments.conda import bytecode

from .conftest import Log


def test_python_and_ipykernel_are_added(workshop, log):
    made = workshop.make("greetings", log=log)
    assert python(made, "import greetings, ipykernel; print(greetings.VERSION)") == "1.1"
    assert log.phases[0] == "solve"
    assert any(
        note.startswith("3") and "packages; needs about" in note and "left" in note
        for note in log.notes
    )


def test_progress_counts_bytes_and_packages(cold, log):
    cold.make("greetings", log=log)
    assert log.phases == ["solve", "download", "link"]
    downloads = [(done, total) for done, total, unit in log.steps if unit == "bytes"]
    assert downloads[-1][0] == downloads[-1][1] > 1_000_000
    assert [step for step in log.steps if step[2] == "packages"][-1][:2] == (31, 31)


def test_hooks_variables_and_post_link(workshop):
    place = workshop.place()
    made = workshop.make("activator", "postlinker", place=place, variables={"LICENCE": "yes"})
    assert (place.prefix / "share/postlinker.txt").read_text() == "linked by postlinker 1.0\n"
    start = conda.command(workshop.recipe(), made)
    assert start.hooks == (str(place.prefix / "etc/conda/activate.d/activator.sh"),)
    assert start.env["LICENCE"] == "yes"
    assert start.env["CONDA_PREFIX"] == str(place.prefix)


def test_another_language_by_its_own_kernelspec(workshop):
    recipe = workshop.recipe("bash_kernel", language="bash")
    place = workshop.place()
    made = conda.make(recipe, place, Log())
    assert conda.command(recipe, made).argv[:3] == (
        str(place.prefix / "bin/python"),
        "-m",
        "bash_kernel",
    )


def test_r_needs_no_python(workshop):
    recipe = workshop.recipe(language="r")
    place = workshop.place()
    made = conda.make(recipe, place, Log())
    assert made.interpreter is None
    assert conda.command(recipe, made).argv[0] == str(place.prefix / "bin/R")
    assert not (place.prefix / "bin/python").exists()


def test_a_language_that_nothing_brings(workshop):
    code, error = code_of(workshop.make, "activator", language="bash")
    assert code == "language-not-found"
    assert "bash_kernel" in error.hint


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ("greetingz", "conda-package-not-found", "did you mean `greetings`"),
        ("greetings=3", "conda-version-not-found", "another version"),
        ("greetings=1.0=h1234_0", "conda-version-not-found", "another platform"),
        ("no such name", "conda-spec-invalid", "one a line"),
        ("=1.0", "conda-spec-invalid", "one a line"),
        ("a;b", "conda-spec-invalid", "one a line"),
        ("a" * 5000, "conda-spec-invalid", "one a line"),
    ],
)
def test_specs_that_cannot_be_met(workshop, spec, code, words):
    found, error = code_of(workshop.make, spec)
    assert found == code
    assert words in error.hint


def test_a_conflict_is_shortened_to_its_lines(workshop):
    code, error = code_of(workshop.make, "wants-one", "wants-two")
    assert code == "conda-unsolvable"
    assert "core-of-two 1.*" in error.context["reason"]
    assert "no viable options" not in error.context["reason"]
    assert "`wants-one`" in error.hint
    code, error = code_of(workshop.make, "wants-one", "core-of-two=2")
    assert code == "conda-unsolvable"
    assert "no `core-of-two` fits `1.*`" in error.hint


def test_virtual_packages_of_the_partition_decide(workshop, monkeypatch):
    monkeypatch.delenv("CONDA_OVERRIDE_CUDA", raising=False)
    table = {"gpu": {"__cuda": "12.4"}}
    site = replace(workshop.site.conda, virtual_packages=table)
    plain = workshop.place(conda=site)
    workshop.make("gpulib", place=plain)
    assert (plain.prefix / "share/gpulib.txt").read_text() == "cpu\n"
    workshop.environ["KERNELWRIGHT_PARTITION"] = "gpu"
    gpu = workshop.place(conda=site)
    made = workshop.make("gpulib", place=gpu)
    assert (gpu.prefix / "share/gpulib.txt").read_text() == "cuda\n"
    assert made.facts["virtual_packages"]["__cuda"] == "12.4"


@pytest.mark.parametrize("name", ["with space", "x" * 220])
def test_prefixes_that_cannot_work_are_refused_first(workshop, name):
    place = replace(workshop.place(), prefix=workshop.base / name)
    assert code_of(workshop.make, place=place)[0] == "prefix-unsuitable"
    assert not place.prefix.exists()


def test_too_little_room_is_said_before_the_first_byte(cold, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "lfs").write_text('#!/bin/sh\necho "  $5  900000 0 901000 - 10 0 1000000 -"\n')
    (tools / "lfs").chmod(0o755)
    cold.environ["PATH"] = f"{tools}:{cold.environ['PATH']}"
    code, error = code_of(cold.make, "bulky")
    assert code == "not-enough-space"
    assert "needs about" in error.message
    assert "1 MB left" in error.message
    assert not list((Path(cold.site.storage.package_cache) / "conda").glob("pkgs/*"))


def test_a_limit_on_files_counts_too(cold, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "quota").write_text(
        '#!/bin/sh\necho "$(df --output=source $HOME | tail -1) 5 0 0 0 995 1000 1000 0"\n'
    )
    (tools / "quota").chmod(0o755)
    cold.environ["PATH"] = f"{tools}:{cold.environ['PATH']}"
    code, error = code_of(cold.make, "bulky")
    assert (code, "5 files left" in error.message) == ("not-enough-space", True)


def test_the_site_may_limit_the_size(cold):
    assert (
        code_of(cold.make, "bulky", place=cold.place(policy=Policy(max_size="1M")))[0]
        == "environment-too-large"
    )


def test_compiling_does_not_hold_the_build_up(workshop):
    made = workshop.make("greetings")
    bytecode.compile_files(
        Path(made.prefix), {"KERNELWRIGHT_COMPILE": "now", "PATH": os.environ["PATH"]}
    )
    assert list(Path(made.prefix).glob("lib/python3*/site-packages/__pycache__/greetings.*.pyc"))


def test_files_are_linked_from_the_cache(workshop):
    made = workshop.make("greetings")
    assert os.stat(next(Path(made.prefix).glob("lib/python3*/os.py"))).st_nlink > 1


def test_a_plan_solves_and_downloads_nothing(cold):
    place = cold.place()
    found = conda.solve_only(cold.recipe("greetings=1.0"), place)
    assert found["greetings"].version == "1.0"
    assert found["greetings"].size > 100
    assert not [r for r in cold.server.requests if r.endswith(".conda")]
    assert not place.prefix.exists()


def test_what_is_chosen_is_told_before_it_is_fetched(cold):
    seen = []

    def chosen(choices):
        seen.append(
            (choices["greetings"], [r for r in cold.server.requests if r.endswith(".conda")])
        )

    place = replace(cold.place(), chosen=chosen)
    cold.make("greetings=1.0", place=place)
    assert [(c.version, fetched) for c, fetched in seen] == [("1.0", [])]
    assert conda.locked((place.keep / "conda.lock").read_text())["greetings"] == seen[0][0]


def test_only_the_engine_knows_rattler():
    folder = Path(conda.__file__).parents[2]
    naming = {
        str(p.relative_to(folder))
        for p in folder.rglob("*.py")
        if re.search(r"^\s*(import|from) rattler", p.read_text(), re.M)
    }
    assert naming == {"environments/conda/engine.py"}
