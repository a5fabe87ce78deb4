"""New kernels from the form: from answers to a recipe, found again, shared by two sessions, within the walltime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kernelwright.builder import Builder
from kernelwright.config.model import Form, Policy, SiteConfig
from kernelwright.errors import UserError
from kernelwright.progress import Silent
from kernelwright.session import recipes
from kernelwright.session.card import read_report
from kernelwright.session.prepare import prepare
from kernelwright.session.request import Request

from .conftest import report_of, specs_of, values_of, write_catalog
from .preparing import command

CONDA = SiteConfig(form=Form(packages="conda"))


def recipe(home, site=None, value="new:packages", **answers):
    return recipes.recipe(Request(answers), value, site=site or SiteConfig(), home=home, environ={})


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("numpy\npandas>=2", "venv", {"requirements": ("numpy", "pandas>=2"), "python": None}),
        ("numpy pandas, scipy", "venv", {"requirements": ("numpy", "pandas", "scipy")}),
        ("pip install 'numpy<2' six", "venv", {"requirements": ("numpy<2", "six")}),
        ("python=3.11\nnumpy=1.26", "venv", {"requirements": ("numpy==1.26.*",), "python": "3.11"}),
        ("python==3.11.9\nsix", "venv", {"requirements": ("six",), "python": "3.11.9"}),
        ("python=3.11.*\nsix", "venv", {"requirements": ("six",), "python": "3.11"}),
        ("python >=3.10, <3.13\nsix", "venv", {"requirements": ("six",), "python": ">=3.10,<3.13"}),
        ("python~=3.11.2\nsix", "venv", {"requirements": ("six",), "python": "~=3.11.2"}),
        ("python\nnumpy 1.26.4", "venv", {"requirements": ("numpy==1.26.4",), "python": None}),
        ("conda install -c bioconda samtools=1.20", "conda", {"dependencies": ("samtools=1.20",), "channels": ("bioconda",)}),
        ("mamba create -n x python=3.12 numpy\npip install six", "conda", {"dependencies": ("python=3.12", "numpy"), "pip": ("six",)}),
        ("conda-forge::xtensor", "conda", {"dependencies": ("conda-forge::xtensor",)}),
        ("# a comment\n\n  numpy  ", "venv", {"requirements": ("numpy",)}),
        ("git+https://example.org/a/b@v1", "venv", {"requirements": ("git+https://example.org/a/b@v1",)}),
    ],
)  # fmt: skip
def test_lists_of_packages(home, text, kind, expected):
    made = recipe(home, kw_packages=text, kw_title="RNA analysis")
    assert (made.name, made.title, made.kind) == ("rna-analysis", "RNA analysis", kind)
    assert {k: getattr(made.environment, k) for k in expected} == expected


def test_who_decides_between_pip_and_conda(home):
    assert recipe(home, CONDA, kw_packages="numpy").kind == "conda"
    assert recipe(home, CONDA, kw_packages="numpy", kw_installer="venv").kind == "venv"
    assert recipe(home, kw_packages="numpy", kw_installer="conda").kind == "conda"
    only_pip = replace(CONDA, policy=Policy(kinds=("venv",)))
    assert recipe(home, only_pip, kw_packages="numpy").kind == "venv"


def test_without_a_name_the_packages_give_one(home):
    assert recipe(home, kw_packages="Pillow>=10\nnumpy").name == "pillow"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("environment.yml", "dependencies: [numpy]", "conda"),
        ("requirements.txt", "numpy", "venv"),
        ("pyproject.toml", "[project]\nname='x'\nversion='1'", "venv"),
        (
            "export.yml",
            "version: 1\nname: old\nlanguage: python\nenvironment: {prefix: {path: /opt/x}}\n",
            "prefix",
        ),
        ("packages.txt", "@EXPLICIT\nhttps://example.org/a.conda", "conda"),
    ],
)
def test_files(home, name, text, kind):
    (home / name).write_text(text)
    for said in (name, f"~/{name}", str(home / name)):
        made = recipe(home, value="new:file", kw_file=said, kw_title="Mine")
        assert (made.kind, made.name, made.title) == (kind, "mine", "Mine")


@pytest.mark.parametrize(
    "case", ["missing", "folder", "fifo", "huge", "picture", "empty", "device"]
)
def test_files_that_are_none(home, case):
    path = home / {"picture": "a.png"}.get(case, "a.yml")
    {
        "missing": lambda: None,
        "folder": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "huge": lambda: path.write_bytes(b" " * (2 << 20)),
        "picture": lambda: path.write_bytes(b"\x89PNG"),
        "empty": lambda: None,
        "device": lambda: None,
    }[case]()
    said = {"empty": "", "device": "/dev/zero"}.get(case, str(path))
    with pytest.raises(UserError) as caught:
        recipe(home, value="new:file", kw_file=said)
    assert caught.value.code == "bad-answer"


def test_images(home):
    made = recipe(home, value="new:container", kw_image="docker://rocker/r-ver:4.4", kw_title="")
    assert (made.environment.image, made.name) == ("docker://rocker/r-ver:4.4", "r-ver")
    assert (
        recipe(home, value="new:container", kw_image="~/tools/tool.sif").environment.image
        == f"{home}/tools/tool.sif"
    )


def test_a_name_without_any_letter(home):
    with pytest.raises(UserError) as caught:
        recipe(home, kw_packages="numpy", kw_title="日本語")
    assert caught.value.code == "bad-answer"


# --- built, found again, shared ----------------------------------------------------------------------


@pytest.fixture
def template(tmp_path):
    """A site whose template makes a kernel of an environment that is there: a real build of a second."""
    entry = {
        "name": "mine", "label": "Mine",
        "parameters": {"env": {"type": "text", "label": "Folder", "example": sys.prefix}},
        "recipe": {"environment": {"prefix": {"path": "{{ env }}"}}},
    }  # fmt: skip
    catalog = write_catalog(tmp_path / "catalog.json", SiteConfig(templates=(entry,)))
    field = json.loads(catalog.read_text())["templates"][0]["parameters"][0]["id"]
    return (
        SiteConfig(templates=(entry,)),
        catalog,
        {"kw_kernel": "template:mine", "kw_title": "RNA", field: sys.prefix},
    )


def test_relaunch_finds_it_also_after_a_rename_and_rebuilds_what_is_broken(
    request_of, template, real_runtime, home
):
    site, _, answers = template
    session = request_of(site, runtime=real_runtime, **answers)
    prepare(session, host="127.0.0.1", port="5000")
    assert report_of(session)["kernel"] == {
        "name": "rna",
        "label": "RNA",
        "origin": "user",
        "made": True,
    }, report_of(session)
    assert "rna" in specs_of(session)
    builder = Builder(home, session.environ, site, real_runtime, Silent())
    owned = builder.store.find("rna")
    os.rename(owned.folder, owned.folder.with_name("rna-old"))
    prepare(session, host="127.0.0.1", port="5000")
    assert values_of(session)["default_kernel_name"] == "rna-old"
    assert report_of(session)["kernel"]["made"] is False
    os.rename(owned.folder.with_name("rna-old"), owned.folder)
    generation = builder.store.generation(owned.id)
    (generation.folder / "complete").unlink()
    prepare(session, host="127.0.0.1", port="5000")
    assert report_of(session)["kernel"]["made"] is True
    assert builder.store.find("rna").id == owned.id


def test_another_kernel_of_that_name_is_left_alone(request_of, template, real_runtime, home):
    site, _, answers = template
    session = request_of(site, runtime=real_runtime, **answers)
    prepare(session, host="127.0.0.1", port="5000")
    before = Path(home / ".local/share/jupyter/kernels/rna/kernel.json").read_text()
    other = request_of(
        SiteConfig(policy=Policy(kinds=("venv",))), runtime=real_runtime, kw_kernel="new:packages", kw_title="RNA", kw_packages="six",
    )  # fmt: skip
    prepare(other, host="127.0.0.1", port="5000")
    assert report_of(other)["code"] == "kernel-exists"
    assert "failed.rna" in specs_of(other)
    assert Path(home / ".local/share/jupyter/kernels/rna/kernel.json").read_text() == before


def test_two_sessions_at_once_share_one_build(request_of, template, real_runtime, home, tmp_path):
    _, catalog, answers = template
    session = request_of(runtime=real_runtime, **answers)
    children, environ = [], {
        "PATH": os.environ["PATH"], "HOME": str(home), "KERNELWRIGHT_HOME": str(home),
        "KERNELWRIGHT_CATALOG": str(catalog), "KERNELWRIGHT_RUNTIME": str(real_runtime),
    }  # fmt: skip
    for number in range(3):
        root, private = tmp_path / f"staged{number}", tmp_path / f"private{number}"
        root.mkdir()
        private.mkdir(mode=0o700)
        (root / "request.json").write_text((session.root / "request.json").read_text())
        words = command(root, private)
        children.append(
            (
                root,
                subprocess.Popen(
                    words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
                ),
            )
        )
    said = [child.communicate(timeout=200)[0].decode() for _, child in children]
    assert [child.returncode for _, child in children] == [0, 0, 0], said
    reports = [read_report(root) for root, _ in children]
    assert [r["kernel"]["name"] for r in reports] == ["rna"] * 3, (reports, said)
    assert sorted(r["kernel"]["made"] for r in reports) == [False, False, True]
    assert len(list((home / ".local/share/kernelwright/kernels").glob("*/*/complete"))) == 1
