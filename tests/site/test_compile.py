"""`site compile`: two equal copies, atomically, and never over a good catalog from a broken file."""

import json
import os
import shutil
import stat
from pathlib import Path

import jsonschema
import pytest

from kernelwright.catalog.document import sha

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/reference/schemas/catalog.schema.json").read_text())


def test_both_copies_have_the_same_bytes_and_fit_the_schema(folder):
    kernel = folder.kernel("base")
    folder.write(f"""
        site: {{name: A, message: "Caf\u00e9 \u2615"}}
        runtime: RUNTIME
        form: {{partitions: [{{name: p}}]}}
        kernels:
          - {{name: base, path: {kernel}, default: true}}
          - {{name: recipe, recipe: {{language: r, environment: {{prefix: {{path: /opt/r}}}}}}}}
          - {{name: gone, path: /nowhere}}
          - {{name: old, successor: base}}
        templates:
          - {{name: t, parameters: {{p: {{from: partitions, type: choice}}}}, recipe: {{environment: {{prefix: {{path: "/{{{{ p }}}}"}}}}}}}}
        """)
    answer = folder.run("compile")
    assert answer.status == 0
    beside = folder.conf.parent / "catalog.json"
    copies = [beside, folder.runtime / "etc/catalog.json"]
    assert sorted(answer.out.split()) == sorted(map(str, copies))
    assert copies[0].read_bytes() == copies[1].read_bytes()
    assert {stat.S_IMODE(c.stat().st_mode) for c in copies} == {0o644}
    made = folder.catalog
    jsonschema.validate(made, SCHEMA)
    assert made["sha"] == sha(made)
    assert [(k["name"], k["state"], k["alias"]) for k in made["kernels"]] == [
        ("base", "ok", False),
        ("recipe", "unavailable", False),
        ("gone", "unavailable", False),
        ("old", "ok", True),
    ]
    assert made["kernels"][0]["label"] == "Base"
    assert made["form"]["default"] == "site:base"
    assert made["templates"][0]["parameters"][0]["options"] == [{"value": "p", "label": "p"}]
    assert "the central kernel `gone` is unavailable" in answer.err


def test_compiling_twice_changes_nothing(folder):
    folder.write("runtime: RUNTIME\n")
    assert folder.run("compile").status == 0
    beside = folder.conf.parent / "catalog.json"
    before = (beside.stat().st_ino, beside.stat().st_mtime_ns)
    assert folder.run("compile").status == 0
    assert (beside.stat().st_ino, beside.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    "broken", ["site: {name\n", "build: {cores: x}\n", "kernels: [{name: A B}]\n"]
)
def test_a_broken_file_never_replaces_the_last_good_catalog(folder, broken):
    folder.write("site: {name: good}\nruntime: RUNTIME\n")
    assert folder.run("compile").status == 0
    copies = [folder.conf.parent / "catalog.json", folder.runtime / "etc/catalog.json"]
    before = [c.read_bytes() for c in copies]
    folder.write(broken, "20-broken.yaml")
    answer = folder.run("compile")
    assert answer.status == 1
    assert "20-broken.yaml:" in answer.err
    assert "stays in use" in answer.err
    assert [c.read_bytes() for c in copies] == before


def test_a_strict_umask_does_not_hide_the_catalog(folder):
    folder.write("runtime: RUNTIME\n")
    before = os.umask(0o077)
    try:
        assert folder.run("compile").status == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder.runtime / "etc").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder.runtime / "etc/catalog.json").stat().st_mode) == 0o644


def test_without_a_runtime_nothing_is_written(folder):
    folder.write("runtime: /nowhere/kernelwright\n")
    answer = folder.run("compile")
    assert answer.status == 1
    assert "make install PREFIX=/nowhere/kernelwright" in answer.err
    assert not (folder.conf.parent / "catalog.json").exists()


def test_one_file_instead_of_a_folder(folder, tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(f"site: {{name: one}}\nruntime: {folder.runtime}\n")
    assert folder.run("compile", "--config", path).status == 0
    assert json.loads((tmp_path / "catalog.json").read_text())["site"]["name"] == "one"


def test_a_template_whose_command_fails_is_hidden_with_the_reason_and_the_rest_compiles(folder):
    folder.write("""
        runtime: RUNTIME
        templates:
          - {name: a, recipe: {environment: {prefix: {path: /x}}}, check: {command: [sh, -c, "exit 3"]}}
          - {name: b, recipe: {environment: {prefix: {path: /x}}}, check: {command: [sleep, "60"], timeout: 0.2}}
          - {name: c, recipe: {environment: {prefix: {path: /x}}}, check: {command: [/no/such/program]}}
          - {name: d, parameters: {p: {type: choice, from: {command: [printf, "x\\\\tThe X\\\\ny\\\\n"]}}}, recipe: {environment: {prefix: {path: "/{{ p }}"}}}}
          - {name: e, recipe: {environment: {prefix: {path: "{{ nothing }}"}}}}
          - {name: f, recipe: {environment: {prefix: {pth: /x}}}}
          - {name: g, recipe: {environment: {prefix: {path: "{% for x %}"}}}}
          - {name: h, parameters: {n: {type: number, max: 3, default: 5}}, recipe: {environment: {prefix: {path: /x}}}}
        """)
    answer = folder.run("compile")
    assert answer.status == 0
    found = {t["name"]: t for t in folder.catalog["templates"]}
    assert [t["hidden"] for t in found.values()] == [
        True,
        True,
        True,
        False,
        True,
        True,
        True,
        True,
    ]
    assert "status 3" in found["a"]["reason"]
    assert "did not end within 0.2 s" in found["b"]["reason"]
    assert "No such file" in found["c"]["reason"]
    assert found["d"]["parameters"][0]["options"] == [
        {"value": "x", "label": "The X"},
        {"value": "y", "label": "y"},
    ]
    assert "nothing" in found["e"]["reason"]
    assert "at most 3" in found["h"]["reason"]
    for name in "abcefgh":
        assert f"`{name}` is hidden" in answer.err
    checked = folder.run("check", "--json").json["findings"]
    assert {f["key"] for f in checked if f["code"] == "site-template-hidden"} == {
        f"templates.{n}" for n in "abcefgh"
    }


def test_ids_of_fields_are_unrelated_to_each_other(folder):
    names = ["env", "env_name", "name", "n1", "n2", "a-b", "a_b"]
    questions = ", ".join(f"{n}: {{}}" for n in names if n.isidentifier())
    folder.write(f"""
        runtime: RUNTIME
        templates:
          - {{name: conda, parameters: {{{questions}}}, recipe: {{environment: {{prefix: {{path: /x}}}}}}}}
          - {{name: conda-env, parameters: {{{questions}}}, recipe: {{environment: {{prefix: {{path: /x}}}}}}}}
          - {{name: env, parameters: {{{questions}}}, recipe: {{environment: {{prefix: {{path: /x}}}}}}}}
        """)
    assert folder.run("compile").status == 0
    ids = [p["id"] for t in folder.catalog["templates"] for p in t["parameters"]]
    assert len(set(ids)) == len(ids) == 18
    for one in ids:
        assert one.startswith("kwt_")
        assert set(one) <= set("abcdefghijklmnopqrstuvwxyz_")
        assert not [
            other
            for other in ids
            if other != one and (other.startswith(one) or other.endswith(one))
        ]


def test_an_unprivileged_user_is_told_and_changes_nothing(folder, alice, runtime):
    site = Path(alice.home) / "etc/conf.d"
    site.mkdir(parents=True)
    (site / "10.yaml").write_text(f"site: {{name: a}}\nruntime: {runtime}\n")
    assert alice.uid != 0
    before = os.path.exists(runtime / "etc/catalog.json")
    result = alice.run([runtime / "bin/kernelwright", "site", "compile", "--config", site])
    assert result.status == 1
    assert "error: not-writable" in result.stderr
    assert "Traceback" not in result.stderr
    assert os.path.exists(runtime / "etc/catalog.json") == before
    assert not (site.parent / "catalog.json").exists()
    shutil.rmtree(site)


def test_three_hundred_central_kernels(folder):
    rows = "\n".join(
        f"  - {{name: k{n}, label: Kernel {n}, path: /nowhere/{n}}}" for n in range(300)
    )
    (folder.conf / "10.yaml").write_text(f"runtime: {folder.runtime}\nkernels:\n{rows}\n")
    assert folder.run("compile", "--json").status == 0
    assert len(folder.catalog["kernels"]) == 300


def test_check_says_when_a_catalog_is_older_than_the_files(folder):
    folder.write("site: {name: a}\nruntime: RUNTIME\n")
    assert folder.run("compile").status == 0
    assert folder.run("check", "--json").json["findings"] == []
    folder.write("site: {name: b}\nruntime: RUNTIME\n")
    found = folder.run("check", "--json")
    assert [(f["code"], f["severity"]) for f in found.json["findings"]] == [
        ("site-not-compiled", "note")
    ] * 2
    assert found.status == 0
    (folder.conf.parent / "catalog.json").write_text("{")
    assert folder.run("check").status == 1


def test_the_default_is_what_really_starts(folder):
    kernel = folder.kernel("new")
    folder.write(f"""
        runtime: RUNTIME
        kernels:
          - {{name: old, path: /gone, deprecated: 2020-01-01, successor: new, default: true}}
          - {{name: new, path: {kernel}}}
        """)
    assert folder.run("compile").status == 0
    assert folder.catalog["form"]["default"] == "site:new"
    assert [(k["alias"], k["state"]) for k in folder.catalog["kernels"]] == [
        (True, "ok"),
        (False, "ok"),
    ]


def test_a_runtime_that_is_not_named_is_the_one_that_compiles(folder):
    folder.write("site: {name: a}\n")
    assert folder.run("compile").status == 0
    assert folder.catalog["runtime"] == str(folder.runtime)


def test_a_hostile_display_name_is_a_label_without_control_characters(folder):
    kernel = folder.kernel("evil", display_name="<b>\x1b[31mA\u202eB\n</b>")
    folder.write(f"runtime: RUNTIME\nkernels: [{{name: evil, path: {kernel}}}]\n")
    assert folder.run("compile").status == 0
    assert folder.catalog["kernels"][0]["label"] == "<b>[31mAB</b>"
