"""The table, the defaults, merging of files, and the settings that hold in a process."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelwright.cli import main
from kernelwright.config import load_effective, render
from kernelwright.config.decode import decode, encode
from kernelwright.config.keys import TABLE
from kernelwright.config.load import load
from kernelwright.config.model import SiteConfig

ROOT = Path(__file__).resolve().parents[2]


def uncommented():
    """The example with one # taken away from each line, as its first lines say."""
    lines = (ROOT / "etc/site.example.yaml").read_text(encoding="utf-8").splitlines()
    head = render.HEAD.count("\n")
    return "\n".join([*lines[:head], *(line.removeprefix("#") for line in lines[head:])])


def test_the_example_holds_every_key_with_the_default_of_the_code(tmp_path):
    path = tmp_path / "10.yaml"
    path.write_text(uncommented(), encoding="utf-8")
    loaded = load(str(path))
    assert loaded.findings == ()
    assert loaded.site == SiteConfig()
    missing = [path for path in _leaves(TABLE, ()) if path not in loaded.spots]
    assert missing == []


def _leaves(key, path):
    for name, inner in key.keys.items():
        if inner.kind == "section" and inner.make:
            yield from _leaves(inner, (*path, name))
        else:
            yield (*path, name)


def test_table_and_classes_have_the_same_keys_and_defaults():
    assert decode({}) == SiteConfig()

    def compare(key, value, path):
        names = {f.name for f in dataclasses.fields(value)}
        assert names == set(key.keys), path
        for name, inner in key.keys.items():
            default = getattr(value, name)
            if inner.kind == "section" and inner.make:
                compare(inner, default, (*path, name))
            else:
                assert inner.default == default, (*path, name)
            assert inner.help

    compare(TABLE, SiteConfig(), ())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("etc/site.example.yaml", render.example),
        ("docs/reference/site-config.md", render.reference),
        (
            "docs/reference/schemas/site.schema.json",
            lambda: json.dumps(render.schema(), indent=1) + "\n",
        ),
    ],
)
def test_generated_files_are_current(name, text):
    assert (ROOT / name).read_text(encoding="utf-8") == text(), (
        "run `python -m kernelwright.config.render .`"
    )


def test_the_schema_takes_the_examples_and_refuses_the_planted_mistakes():
    import jsonschema
    import yaml

    validator = jsonschema.Draft202012Validator(render.schema())
    for path in [
        *ROOT.glob("docs/admins/examples/*/conf.d/*.yaml"),
        ROOT / "etc/site.example.yaml",
    ]:
        # BaseLoader's texts would fail the numbers; JSON of safe_load stands for an editor's reading
        data = json.loads(
            json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, default=str)
        )
        assert list(validator.iter_errors(data)) == [], path
    planted = yaml.safe_load((ROOT / "tests/site/planted.yaml").read_text())
    assert len(list(validator.iter_errors(json.loads(json.dumps(planted, default=str))))) >= 5


def test_later_files_win_and_entries_merge_by_name(folder):
    folder.write("""
        site: {name: A, support: s}
        jupyter: {interfaces: [lab]}
        kernels: [{name: one, path: /1}, {name: two, path: /2}]
        """)
    folder.write(
        """
        site: {name: B}
        jupyter: {interfaces: [notebook]}
        kernels: [{name: two, path: /two}, {name: three, path: /3}]
        """,
        "20-more.yaml",
    )
    loaded = folder.load()
    assert (loaded.site.site.name, loaded.site.site.support) == ("B", "s")
    assert loaded.site.jupyter.interfaces == ("notebook",)
    assert [(k["name"], k["path"]) for k in loaded.site.kernels] == [
        ("one", "/1"),
        ("two", "/two"),
        ("three", "/3"),
    ]
    assert loaded.spots["site", "name"].file.endswith("20-more.yaml")
    assert loaded.spots["site", "support"].file.endswith("10-site.yaml")
    assert loaded.spots["kernels", "two", "path"].file.endswith("20-more.yaml")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3.10", "3.10"),
        ("010", "010"),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("no", "no"),
        ("'true'", "true"),
    ],
)
def test_texts_stay_as_they_stand_in_the_file(folder, written, value):
    folder.write(f"site: {{name: {written}}}\n")
    assert folder.load().site.site.name == value


def test_settings_survive_the_way_through_json(folder):
    folder.write((ROOT / "docs/admins/examples/tacc/conf.d/10-site.yaml").read_text())
    site = folder.load().site
    assert site.containers.binds[2].target == "/data"
    assert site.containers.binds[2].mode == "ro"
    assert decode(json.loads(json.dumps(encode(site)))) == dataclasses.replace(
        site, kernels=(), templates=()
    )


def test_the_effective_settings_come_from_the_named_catalog_then_files_then_runtime(
    folder, monkeypatch, tmp_path
):
    folder.write("site: {name: compiled}\nruntime: RUNTIME\n")
    assert folder.run("compile").status == 0
    folder.write("site: {name: edited}\nruntime: RUNTIME\n")
    named = {
        "KERNELWRIGHT_CATALOG": str(folder.conf.parent / "catalog.json"),
        "KERNELWRIGHT_SITE_CONFIG": str(folder.conf),
    }
    runtime = {"KERNELWRIGHT_RUNTIME": str(folder.runtime)}
    assert load_effective(named | runtime).site.name == "compiled"
    assert (
        load_effective({"KERNELWRIGHT_SITE_CONFIG": str(folder.conf)} | runtime).site.name
        == "edited"
    )
    assert load_effective(runtime).site.name == "compiled"
    assert load_effective({"KERNELWRIGHT_RUNTIME": str(tmp_path / "nowhere")}) == SiteConfig()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": 2, "config": {}}',
        b'{"version": 1}',
        b'{"version": 1, "config": []}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"{}" * 9_000_000,
    ],
    ids=[
        "empty",
        "cut",
        "list",
        "null",
        "newer",
        "bare",
        "config is a list",
        "deep",
        "bytes",
        "huge",
    ],
)
def test_a_broken_catalog_leaves_the_defaults(tmp_path, content):
    path = tmp_path / "catalog.json"
    path.write_bytes(content)
    assert load_effective({"KERNELWRIGHT_CATALOG": str(path)}) == SiteConfig()


def test_a_catalog_that_does_not_count_is_one_note_and_stays(tmp_path, monkeypatch, capsys):
    path = tmp_path / "catalog.json"
    newer = b'{"version": 2, "config": {}}'
    path.write_bytes(newer)
    monkeypatch.setenv("KERNELWRIGHT_CATALOG", str(path))
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(tmp_path))
    assert main(["list", "--json"]) == 0
    note = f"note: `{path}` is damaged or of a newer Kernelwright: the site's settings do not count here\n"
    assert capsys.readouterr().err == note
    assert path.read_bytes() == newer
    path.unlink()
    main(["list", "--json"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, os.mkdir, lambda p: os.symlink("/dev/zero", p)],
    ids=["fifo", "folder", "device"],
)
def test_a_catalog_that_is_no_file_leaves_the_defaults(tmp_path, make):
    path = tmp_path / "catalog.json"
    make(path)
    assert load_effective({"KERNELWRIGHT_CATALOG": str(path)}) == SiteConfig()


def test_a_hand_edited_catalog_of_wrong_types_leaves_defaults_for_those_values(tmp_path):
    path = tmp_path / "catalog.json"
    config = {
        "site": {"name": 5, "support": "s"},
        "build": [],
        "form": {"hours": "x", "cores": 3, "partitions": [1, {"name": "p"}]},
        "future": 1,
    }
    path.write_text(
        json.dumps({"version": 1, "config": config, "kernels": [7, {"name": "k"}], "templates": {}})
    )
    site = load_effective({"KERNELWRIGHT_CATALOG": str(path)})
    assert (
        site.site.name,
        site.site.support,
        site.build.cores,
        site.form.hours,
        site.form.cores,
    ) == ("this site", "s", 4, 4, 3)
    assert site.form.partitions == ({"name": "p"},)
    assert site.kernels == ({"name": "k"},)


def test_broken_site_files_leave_what_is_sound(tmp_path):
    (tmp_path / "a.yaml").write_text("site: {name: good}\n")
    (tmp_path / "b.yaml").write_text("site: {name\n")
    assert load_effective({"KERNELWRIGHT_SITE_CONFIG": str(tmp_path)}).site.name == "good"


def test_reading_a_catalog_imports_neither_yaml_nor_jinja2(folder):
    folder.write("site: {name: a}\nruntime: RUNTIME\n")
    assert folder.run("compile").status == 0
    code = (
        "import sys, os\nfrom kernelwright.config import load_effective\nfrom kernelwright import catalog\n"
        "site = load_effective({'KERNELWRIGHT_CATALOG': sys.argv[1]})\nassert site.site.name == 'a'\ncatalog.central(site)\n"
        "print([m for m in ('ruamel', 'ruamel.yaml', 'yaml', 'jinja2', 'jupyter_client', 'zmq') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, folder.conf.parent / "catalog.json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout.strip() == "[]"
