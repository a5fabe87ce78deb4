"""The exported file: what is in it, and what is refused when it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kernelwright.errors import UserError
from kernelwright.model import CondaSpec, Generation, Made, Recipe, SlurmSettings, VenvSpec
from kernelwright.share import bundle
from kernelwright.share.portable import portable

LOCK = "@EXPLICIT\nhttps://h.example.org/c/noarch/a-1-0.conda#sha256:" + "a" * 64 + "\n"


@pytest.fixture
def generation(tmp_path):
    (tmp_path / "conda.lock").write_text(LOCK)
    recipe = Recipe(
        "rna",
        CondaSpec(channels=("conda-forge",), dependencies=("numpy",)),
        display_name="RNA – été",
        env={"MODE": "fast", "API_KEY": "k-1", "KEYBOARD": "de"},
        build_env={"WANDB_TOKEN": "t-1", "ACCEPT_LICENCE": "yes"},
        slurm=SlurmSettings(partition="gpu", account="p1", qos="high", reservation="r", ntasks=4),
    )
    return Generation(
        "i",
        3,
        tmp_path,
        recipe,
        Made("conda", lock="conda.lock", facts={"packages": 1}),
        1.0,
        True,
        {"arch": "x86_64"},
    )


def text_of(generation, notes=None):
    return bundle.dump(generation, Path("/home/u"), (notes if notes is not None else []).append)


def test_what_belongs_to_one_person_stays_here(generation):
    notes = []
    text = text_of(generation, notes)
    for secret in ("k-1", "t-1", "p1", "high"):
        assert secret not in text
    assert "API_KEY" in notes[0]
    found = bundle.load(text.encode(), source="x")
    assert dict(found.recipe.env) == {"MODE": "fast", "KEYBOARD": "de"}
    assert dict(found.recipe.build_env) == {"ACCEPT_LICENCE": "yes"}
    assert (
        found.recipe.slurm.partition,
        found.recipe.slurm.ntasks,
        found.recipe.slurm.account,
    ) == ("gpu", 4, None)
    assert found.recipe.display_name == "RNA – été"
    assert found.lock == ("conda.lock", LOCK)


def test_unpacked_by_content_and_found_again(generation, tmp_path):
    found = bundle.load(text_of(generation).encode(), source="x")
    first = bundle.unpack(found, tmp_path / "imports")
    assert Path(first.environment.lock).read_text() == LOCK
    assert bundle.unpack(found, tmp_path / "imports") == first


def test_a_kept_environment_file_is_written_out(generation, tmp_path):
    (tmp_path / "environment.yml").write_text(
        "channels: [bioconda]\ndependencies: [samtools, {pip: [x, --pre]}]\nvariables: {A: 010}\n"
    )
    recipe = Recipe("rna", CondaSpec(file="/gone/environment.yml", dependencies=("numpy",)))
    one = Generation("i", 1, tmp_path, recipe, Made("conda"), 1.0, True)
    spec = portable(one, Path("/home/u"), print).environment
    assert spec == CondaSpec(
        channels=("bioconda",),
        dependencies=("samtools", "numpy"),
        pip=("x",),
        variables={"A": "010"},
    )


def test_requirements_of_a_file_are_written_out(tmp_path):
    (tmp_path / "requirements.txt").write_text(
        "# x\nnumpy>=2 # fast\n--extra-index-url https://u:p@h/simple\n-e .\n"
    )
    recipe = Recipe("rna", VenvSpec(file=str(tmp_path / "requirements.txt")))
    spec = portable(
        Generation("i", 1, tmp_path, recipe, Made("venv"), 1.0, True), tmp_path, print
    ).environment
    assert spec == VenvSpec(requirements=("numpy>=2",))


def edited(text, change):
    data = yaml.safe_load(text)
    change(data)
    return yaml.safe_dump(data).encode()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda d: d.update(kernelwright=2), "bundle-too-new"),
        (lambda d: d.pop("recipe"), "bundle-broken"),
        (lambda d: d["lock"].update(text=LOCK.replace("h.example.org", "evil.example.org")), "bundle-broken"),
        (lambda d: d["lock"].update(name="../../.bashrc"), "bundle-broken"),
        (lambda d: d.update(lock=["x"]), "bundle-broken"),
        (lambda d: d.pop("checks"), "bundle-broken"),
        (lambda d: d["recipe"].update(name="../x"), "invalid-name"),
        (lambda d: d["recipe"].update(environment={"conda": {"dependencies": ["--prefix=/"]}}), "invalid-recipe"),
        (lambda d: d.update(recipe="text"), "invalid-recipe"),
    ],
)  # fmt: skip
def test_changed_files_are_refused(generation, change, code):
    with pytest.raises(UserError) as caught:
        bundle.load(edited(text_of(generation), change), source="x.yml")
    assert caught.value.code == code


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"- a",
        b"a: *b",
        b"kernelwright: 1\nrecipe: &a [*a]",
        b"!!python/object/apply:os.system [id]",
        b"[" * 100_000,
        b"\xff\xfe",
        b"x" * (33 << 20),
    ],
)
def test_hostile_files_are_refused(data):
    with pytest.raises(UserError) as caught:
        bundle.load(data, source="x.yml")
    assert caught.value.code == "bundle-broken"


def test_is_bundle(generation):
    assert bundle.is_bundle(text_of(generation).encode())
    assert bundle.is_bundle(b"kernelwright: 1\nrecipe: {}\n")
    assert not bundle.is_bundle(b"dependencies: [numpy]\n")
