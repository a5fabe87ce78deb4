"""`site check`: every mistake, with file, line and column, whatever the file holds."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent

PLANTED = [  # line, column, code, a word of the message
    (1, 14, "site-type", "site.name"),
    (1, 22, "site-unknown-key", "site.suport"),
    (2, 10, "site-value", "runtime"),
    (3, 29, "site-value", "notbook"),
    (4, 15, "site-value", "build.time"),
    (4, 28, "site-type", "build.cores"),
    (6, 11, "site-value", "rx"),
    (8, 10, "site-value", "slurm.ports"),
    (9, 15, "site-bounds", "form.hours"),
    (11, 12, "site-value", "Bad Name"),
    (12, 24, "site-kernel-source", "both"),
    (13, 5, "site-kernel-source", "nothing"),
    (14, 50, "site-recipe", "prefix.path"),
    (15, 28, "site-successor", "gone"),
    (17, 38, "site-value", "numbr"),
]


def test_each_planted_mistake_is_one_finding_with_its_place(folder):
    assert len(PLANTED) == 15
    shutil.copy(HERE / "planted.yaml", folder.conf / "10-site.yaml")
    answer = folder.run("check", "--json")
    assert answer.status == 1
    found = [f for f in answer.json["findings"] if f["code"] != "site-no-kernelspec"]
    places = [(f["line"], f["column"], f["code"]) for f in found]
    assert places == [p[:3] for p in PLANTED]
    for finding, planted in zip(found, PLANTED, strict=True):
        assert planted[3] in finding["message"]
        assert finding["file"] == str(folder.conf / "10-site.yaml")


def test_findings_for_people_name_the_place_and_the_way_out(folder):
    folder.write("site: {suport: x}\nform: {packages: venw}\n")
    answer = folder.run("check")
    assert answer.status == 1
    assert f"{folder.conf}/10-site.yaml:1:8: warning: `site.suport`" in answer.out
    assert "did you mean `support`?" in answer.out
    assert "did you mean `venv`?" in answer.out
    assert "1 error, 1 warning" in answer.err


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("path: relative/folder", "site-value"),
        ("path: 5", "site-value"),
        ("path: ''", "site-value"),
        ("recipe: 5", "site-type"),
        ("recipe: [1]", "site-type"),
        ("recipe: {environment: {prefix: {path: 7}}}", "site-recipe"),
        ("successor: [x]", "site-type"),
        ("path: null", "site-kernel-source"),
        ("pth: /opt", "site-kernel-source"),
    ],
)
def test_a_wrong_source_is_not_called_a_missing_one(folder, entry, code):
    folder.write(f"kernels:\n  - {{name: one, {entry}}}\n")
    answer = folder.run("check", "--json")
    assert answer.status == 1
    errors = [f["code"] for f in answer.json["findings"] if f["severity"] == "error"]
    assert errors == [code]


def test_an_unknown_key_is_reported_and_the_rest_is_used(folder):
    folder.write("site: {name: A, colour: red}\nnew_section: {x: 1}\n")
    loaded = folder.load()
    assert [f.code for f in loaded.findings] == ["site-unknown-key"] * 2
    assert not loaded.errors
    assert loaded.site.site.name == "A"


def test_a_wrong_value_leaves_its_default_and_nothing_else(folder):
    folder.write("site: {name: A}\nbuild: {cores: many, time: '01:00:00'}\n")
    site = folder.load().site
    assert (site.build.cores, site.build.time, site.site.name) == (4, "01:00:00", "A")


def test_a_container_runtime_that_kernels_cannot_start_in_is_named(folder):
    folder.write("containers:\n  runtimes:\n    podman: {path: /bin/sh}\n")
    answer = folder.run("check", "--json")
    (found,) = answer.json["findings"]
    assert (found["line"], found["severity"]) == (3, "warning")
    assert "known are apptainer and singularity" in found["hint"]


BROKEN = {
    "tab": (b"site:\n\tname: x\n", 2, "not with tabs"),
    "unclosed": (b"site: {name: x\n", 2, "not YAML"),
    "colon": (b"site:\n  name: a: b\n", 2, "needs quotes"),
    "latin-1": ("site: {name: Universit\xe9}\n".encode("latin-1"), 1, "not UTF-8"),
    "utf-16": ("site: {name: x}\n".encode("utf-16"), 1, "not UTF-8"),
    "nul": (b"site:\n  name: a\0b\n", 2, "does not allow"),
    "escape": (b"# \x1b[31m\n", 1, "does not allow"),
    "duplicate": (b"site: {name: a}\nsite: {name: b}\n", 2, "twice"),
    "duplicate inside": (b"site:\n  name: a\n  name: b\n", 3, "twice"),
    "list": (b"- a\n- b\n", 1, "a mapping"),
    "text": (b"hello\n", 1, "a mapping"),
    "two documents": (b"site: {name: a}\n---\nsite: {name: b}\n", 2, "document"),
    "python tag": (b"site: !!python/object/apply:os.system [id]\n", 1, "a mapping"),
    "tag on text": (b"site: {name: !!python/name:os.system x}\n", 1, "tag"),
    "unknown anchor": (b"site: *nothing\n", 1, "alias"),
    "loop": (b"site: &a {name: *a}\n", None, ""),
    "key is a list": (b"? [a, b]\n: c\n", 1, "key"),
    "deep": (b"site: " + b"[" * 1_500, None, ""),
    "deep but closed": (b"site: " + b"[" * 400 + b"]" * 400, None, ""),
    "merge key": (b"site: {<<: {name: a}}\n", 1, "not read here"),
    "null entry": (b"kernels:\n  -\n", 2, "needs a value"),
    "number as section": (b"slurm: 5\n", 1, "a mapping"),
    "huge number": (b"build: {cores: " + b"9" * 10_000 + b"}\n", 1, "whole number"),
    "infinite": (
        b"templates: [{name: a, parameters: {n: {min: .inf}}, recipe: {}}]\n",
        1,
        "a number",
    ),
}


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_a_broken_file_is_one_finding_and_never_a_traceback(folder, case):
    data, line, word = BROKEN[case]
    (folder.conf / "10-site.yaml").write_bytes(data)
    answer = folder.run("check", "--json")
    assert answer.status == 1
    errors = [f for f in answer.json["findings"] if f["severity"] == "error"]
    assert errors
    assert any(
        word in f["message"] + str(f["hint"]) and (line is None or f["line"] == line)
        for f in errors
    ), errors
    assert folder.run("compile").status == 1


def test_a_billion_laughs_end_quickly(folder):
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
    ]
    folder.write("\n".join(rows))
    assert any("too large" in f.message for f in folder.load().errors)


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "dangling", "huge", "missing"])
def test_what_is_no_readable_file_is_named_and_never_waited_for(folder, kind):
    path = folder.conf / "10-site.yaml"
    {
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
        "dangling": lambda: path.symlink_to("/nowhere/at/all"),
        "huge": lambda: path.write_bytes(b"# " + b"x" * (2 << 20)),
        "missing": lambda: shutil.rmtree(folder.conf),
    }[kind]()
    answer = folder.run("check", "--json")
    assert answer.status == 1
    assert [f["code"] for f in answer.json["findings"]] == ["site-unreadable"]


def test_an_unreadable_file_is_named(alice, runtime, tmp_path):
    conf = alice.home / "conf.d"
    conf.mkdir()
    (conf / "10.yaml").write_text("site: {name: a}\n")
    (conf / "10.yaml").chmod(0)
    assert alice.uid != 0
    result = alice.run([runtime / "bin/kernelwright", "site", "check", "--json", "--config", conf])
    assert result.status == 1
    finding = json.loads(result.stdout)["findings"][0]
    assert (finding["code"], finding["message"]) == (
        "site-unreadable",
        "the file cannot be read: Permission denied",
    )
    assert "Traceback" not in result.stderr


def test_other_names_in_the_folder_are_mentioned(folder):
    folder.write("site: {name: a}\n")
    folder.write("site: {name: b}\n", "20-more.yml")
    answer = folder.run("check", "--json")
    assert [f["code"] for f in answer.json["findings"]] == ["site-not-read"]
    assert answer.status == 1


def test_random_damage_never_raises(folder):
    """400 files of damaged and shuffled YAML; each ends in findings or in settings."""
    pieces = [
        "site:",
        "name",
        "kernels:",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "\n",
        "\n  ",
        "\t",
        "null",
        "true",
        "1e9",
        "'",
        '"',
        "&a ",
        "*a",
        "!!int ",
        "|",
        ">",
        "%",
        "#",
        "path: /x",
        "recipe:",
        "environment",
        "é",
        "\u202e",
        "templates:",
        "parameters",
        "? ",
    ]
    random.seed(7)
    path = folder.conf / "10-site.yaml"
    for _ in range(400):
        path.write_text(
            "".join(random.choice(pieces) for _ in range(random.randint(1, 25))), encoding="utf-8"
        )
        loaded = folder.load()
        assert loaded.site is not None
