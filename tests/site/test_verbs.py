"""`site init|show|adopt|add|check --start`, through main()."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from kernelwright.config.load import load


def test_init_prints_a_start_that_passes_its_own_check(folder):
    answer = folder.run("init", "--name", 'Uni "X": \u00e9')
    assert answer.status == 0
    folder.write(answer.out)
    loaded = folder.load()
    assert loaded.findings == ()
    assert loaded.site.site.name == 'Uni "X": \u00e9'
    assert folder.run("check").status == 0


def test_init_writes_a_file_once(folder):
    path = folder.conf / "10-site.yaml"
    assert folder.run("init", "--output", path).status == 0
    before = path.read_bytes()
    answer = folder.run("init", "--output", path)
    assert (answer.status, "file-exists" in answer.err) == (1, True)
    assert path.read_bytes() == before
    assert folder.run("check").status == 0
    answer = folder.run("init", "--output", folder.conf / "site.yml")
    assert (answer.status, "must end with .yaml" in answer.err) == (2, True)


def test_show_names_every_value_and_its_place(folder):
    folder.write("site: {name: A}\nslurm:\n  lease: 60\nkernels:\n  - {name: k, path: /k}\n")
    rows = {row["key"]: row for row in folder.run("show", "--json").json["values"]}
    assert rows["slurm.lease"] == {
        "key": "slurm.lease",
        "value": 60,
        "source": f"{folder.conf}/10-site.yaml:3:10",
    }
    assert rows["site.support"] == {"key": "site.support", "value": None, "source": "default"}
    assert rows["kernels.k"]["source"] == f"{folder.conf}/10-site.yaml:5:5"
    assert "slurm.lease" in folder.run("show", "slurm").out
    assert "site.name" not in folder.run("show", "slurm").out
    assert folder.run("show", "slrm").status == 1


def test_show_on_a_node_without_the_files_names_the_catalog(folder, monkeypatch):
    folder.write("site: {name: A}\nruntime: RUNTIME\n")
    assert folder.run("compile").status == 0
    monkeypatch.delenv("KERNELWRIGHT_SITE_CONFIG")
    rows = {row["key"]: row for row in folder.run("show", "--json").json["values"]}
    assert rows["site.name"] == {
        "key": "site.name",
        "value": "A",
        "source": str(folder.runtime / "etc/catalog.json"),
    }


def test_adopt_adds_entries_and_keeps_the_file_as_it_was_written(folder):
    folder.kernel("one", display_name="One \u00e9")
    folder.kernel("Two_B")
    folder.kernel("broken", argv="python")
    folder.kernel("evil", display_name="a\x1b[31m\nb")
    answer = folder.run("adopt", folder.base / "kernels", "--json")
    assert answer.status == 0
    assert [(e["name"], e.get("label")) for e in answer.json["added"]] == [
        ("two-b", "Two_B"),
        ("evil", None),
        ("one", "One \u00e9"),
    ]
    assert [s["path"] for s in answer.json["skipped"]] == [str(folder.base / "kernels/broken")]
    path = folder.conf / "50-adopted.yaml"
    assert folder.load().findings == ()
    assert len(folder.load().site.kernels) == 3
    path.write_text(
        "# my note\nkernels:\n  # the first\n  - {name: mine, path: "
        + str(folder.kernel("mine"))
        + "}  # keep\n"
    )
    again = folder.run("adopt", folder.base / "kernels/one", folder.base / "kernels/mine")
    assert (again.status, "the site has it already" in again.err) == (0, True)
    text = path.read_text()
    for kept in ("# my note", "# the first", "# keep", "name: mine", "name: one"):
        assert kept in text
    assert [k["name"] for k in folder.load().site.kernels] == ["mine", "one"]


FILES = {
    "empty": "",
    "only a comment": "# hello\n",
    "no list": "site: {name: x}  # mine\n# tail",
    "empty list": "site: {name: x}\nkernels:\n# next\nform: {hours: 2}\n",
    "no indentation": "kernels:\n- name: a\n  path: /a # keep\n\n# tail\nform: {hours: 2}\n",
    "deep": "kernels:\n    -   name: a\n        path: /a\n",
    "flow entry": "# top\nkernels:\n  # first\n  - {name: a, path: /a}  # keep\n# tail\n",
    "long text": "kernels:\n  - name: a\n    path: /a\n    description: |\n      one\n\n      two\n\nform: {hours: 2}\n",
    "folded at the end": "kernels:\n  - name: a\n    path: /a\n    description: >-\n      one\n      two",
    "nested flow": "kernels:\n  - name: a\n    recipe: {environment:\n      {prefix: {path: /a}}}\n",
}


@pytest.mark.parametrize("case", FILES, ids=str)
def test_entries_are_added_and_every_other_line_stays(tmp_path, case):
    from kernelwright.site.append import add_entries

    path = tmp_path / "x.yaml"
    path.write_text(FILES[case])
    before = load(str(path)).site
    add_entries(
        str(path), "kernels", [{"name": "new", "label": "N: #1 'é'", "path": "/n"}], note="a note"
    )
    loaded = load(str(path))
    assert [f.code for f in loaded.findings if f.severity == "error"] == []
    assert [k["name"] for k in loaded.site.kernels] == [*(k["name"] for k in before.kernels), "new"]
    assert loaded.site.kernels[-1] == {"name": "new", "label": "N: #1 'é'", "path": "/n"}
    assert loaded.site.kernels[:-1] == before.kernels
    assert loaded.site.form == before.form
    for line in FILES[case].splitlines():
        assert line in path.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "kernels: [{name: a, path: /a}]\n",
        "{site: {name: x}}\n",
        "- a\n",
        "kernels: 5\n",
        "kernels: [\n",
    ],
)
def test_where_there_is_no_safe_place_nothing_is_written(tmp_path, text):
    from kernelwright.errors import UserError
    from kernelwright.site.append import add_entries

    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        add_entries(str(path), "kernels", [{"name": "new", "path": "/n"}], note="")
    assert raised.value.code == "site-not-added"
    assert path.read_text() == text


@pytest.mark.parametrize("path", ["/nowhere", "/etc/passwd", "."])
def test_adopting_nothing_is_an_error(folder, path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path / "home")
    answer = folder.run("adopt", path)
    assert (answer.status, "error: no-kernelspec" in answer.err) == (1, True)
    assert os.listdir(folder.conf) == []


def test_adopt_leaves_a_broken_file_alone(folder):
    kernel = folder.kernel("one")
    path = folder.write("kernels: [\n", "50-adopted.yaml")
    answer = folder.run("adopt", kernel)
    assert (answer.status, "error: site-not-added" in answer.err) == (1, True)
    assert path.read_text() == "kernels: [\n"


RECIPE = """\
version: 1
name: rna
display_name: RNA
environment: {conda: {dependencies: [python=3.12], file: /home/ann/env.yml}}
launcher: {slurm: {partition: gpu, account: secret, qos: q, reservation: r}}
"""


def bundle(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            if data is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(member)
                continue
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def entry_of(folder, source, monkeypatch):
    """Install a bundle without the build, which other tests do."""
    from kernelwright.site.add import add

    name, file = add(str(source), folder.load())
    return name, file, folder.load()


def test_add_takes_recipe_and_lock_and_drops_what_belongs_to_the_user(
    folder, tmp_path, monkeypatch
):
    source = bundle(
        tmp_path / "rna.tar.gz",
        {
            "rna/recipe.yml": RECIPE.encode(),
            "rna/conda.lock": b"lock",
            "../../evil/recipe.yml": b"x",
            "rna/deep/recipe.yml": b"x",
            "checks.json": b"{}",
        },
    )
    name, file, loaded = entry_of(folder, source, monkeypatch)
    assert (name, file) == ("rna", str(folder.conf / "60-rna.yaml"))
    assert loaded.findings == ()
    recipe = loaded.site.kernels[0]["recipe"]
    assert recipe["launcher"]["slurm"] == {"partition": "gpu"}
    lock = recipe["environment"]["conda"]["lock"]
    assert Path(lock).read_bytes() == b"lock"
    assert Path(lock).is_relative_to(folder.conf)
    assert "file" not in recipe["environment"]["conda"]
    assert not (tmp_path.parent / "evil").exists()
    answer = folder.run("add", source)
    assert (answer.status, "error: kernel-exists" in answer.err) == (1, True)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"other.txt": b"x"},
        {"recipe.yml": b"version: ["},
        {"recipe.yml": b"\xff\xfe"},
        {"recipe.yml": None},
        {"a/b/recipe.yml": RECIPE.encode()},
        {"recipe.yml": b"name: ../x\nenvironment: {venv: {}}"},
    ],
    ids=["empty", "no recipe", "no YAML", "no UTF-8", "a link", "too deep", "bad name"],
)
def test_a_broken_bundle_adds_nothing(folder, tmp_path, members):
    answer = folder.run("add", bundle(tmp_path / "b.tar.gz", members))
    assert answer.status == 1
    assert answer.err.startswith("error: ")
    assert os.listdir(folder.conf) == []


@pytest.mark.parametrize(
    "data",
    [b"", b"\x1f\x8b\x08broken", b"\0" * 4096, None],
    ids=["empty", "cut", "zeros", "missing"],
)
def test_what_is_no_bundle_adds_nothing(folder, tmp_path, data):
    path = tmp_path / "b.tar.gz"
    if data is not None:
        path.write_bytes(data)
    assert folder.run("add", path).status == 1
    assert os.listdir(folder.conf) == []


def test_check_start_really_starts_each_central_kernel(folder):
    good = folder.kernel("good")
    dead = folder.kernel("dead", argv=["/bin/sh", "-c", "echo no licence >&2; exit 3"])
    folder.write(f"""
        kernels:
          - {{name: good, path: {good}, default: true}}
          - {{name: dead, path: {dead}}}
          - {{name: old, successor: good}}
        """)
    answer = folder.run("check", "--start", "--json", "--test-timeout", 120)
    assert answer.status == 1
    started = {s["name"]: s for s in answer.json["started"]}
    assert set(started) == {"good", "dead"}
    assert started["good"]["ok"] is True
    assert started["dead"]["ok"] is False
    assert "no licence" in json.dumps(started["dead"])
    assert answer.json["findings"] == []


def test_every_action_explains_itself(folder, capsys):
    for action in (
        "init",
        "check",
        "show",
        "compile",
        "build",
        "prefetch",
        "adopt",
        "add",
        "selftest",
    ):
        with pytest.raises(SystemExit) as raised:
            folder.run(action, "--help")
        assert raised.value.code == 0
    assert folder.run("nonsense").status == 2
    assert folder.run().status == 2


def test_a_folder_with_odd_names(folder, tmp_path):
    odd = tmp_path / "with space \u00e9 $(x)"
    odd.mkdir()
    (odd / "a b.yaml").write_text("site: {name: x}\n")
    assert load(str(odd)).site.site.name == "x"
    assert folder.run("check", "--config", odd).status == 0
