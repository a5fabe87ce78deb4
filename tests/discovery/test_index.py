"""The index: written when something changed, believed while files are unchanged, never trusted blindly."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover, write_index
from kernelwright.discovery.index import load, path_of

GOOD = {"argv": ["/bin/sh", "{connection_file}"], "display_name": "One", "language": "bash"}
LONG_AGO = 1_700_000_000


def put(home: Path, name: str, *, age: int = LONG_AGO, **changes: object) -> Path:
    folder = home / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(json.dumps({**GOOD, **changes}))
    os.utime(folder / "kernel.json", (age, age))
    return folder


def listing(home: Path) -> list:
    return discover(home=home, environ={"PATH": "/bin"}, site=SiteConfig())


def user(home: Path) -> dict:
    return {k.name: k for k in listing(home) if k.origin == "user"}


def test_written_once_and_private(tmp_path: Path) -> None:
    put(tmp_path, "one")
    assert write_index(tmp_path, listing(tmp_path), "n1")
    before = path_of(tmp_path).stat()
    assert stat.S_IMODE(before.st_mode) == 0o600
    assert not write_index(tmp_path, listing(tmp_path), "n2")
    assert path_of(tmp_path).stat().st_ino == before.st_ino
    put(tmp_path, "two")
    assert write_index(tmp_path, listing(tmp_path), "n1")


def test_unchanged_files_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "one")
    write_index(tmp_path, listing(tmp_path), "n")
    opened: list[str] = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *a, **k: (opened.append(str(path)), real(path, *a, **k))[1]
    )
    assert user(tmp_path)["one"].display_name == "One"
    assert not [path for path in opened if "/one/" in path]


def test_changed_files_are_read_again(tmp_path: Path) -> None:
    put(tmp_path, "one")
    write_index(tmp_path, listing(tmp_path), "n")
    put(tmp_path, "one", age=LONG_AGO + 1, display_name="Two")
    assert user(tmp_path)["one"].display_name == "Two"


def test_a_change_within_the_clock_tick_of_the_index_is_seen(tmp_path: Path) -> None:
    folder = put(tmp_path, "one", display_name="AAA")
    now = (folder / "kernel.json").stat()
    os.utime(folder / "kernel.json")
    stamp = (folder / "kernel.json").stat().st_mtime_ns
    write_index(tmp_path, listing(tmp_path), "n")
    put(tmp_path, "one", display_name="BBB")
    os.utime(folder / "kernel.json", ns=(stamp, stamp))
    assert (folder / "kernel.json").stat().st_size == now.st_size
    assert user(tmp_path)["one"].display_name == "BBB"


def test_a_vanished_interpreter_is_seen_from_the_index(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("")
    program.chmod(0o755)
    put(tmp_path, "one", argv=[str(program), "{connection_file}"])
    write_index(tmp_path, listing(tmp_path), "n")
    assert user(tmp_path)["one"].state == "ok"
    program.unlink()
    assert [p.code for p in user(tmp_path)["one"].problems] == ["interpreter-not-found"]
    write_index(tmp_path, listing(tmp_path), "n")
    program.write_text("")
    program.chmod(0o755)
    assert user(tmp_path)["one"].state == "ok"


@pytest.mark.parametrize(
    "words",
    ["", "{", "[]", "null", '{"version": 1}', '{"version": 1, "written_at": 9, "kernels": 7}',
     '{"version": 1, "written_at": 9e30, "kernels": [1, {}, {"path": 3}]}', '{"version": "1"}', "[" * 99999],
)  # fmt: skip
def test_a_damaged_index_costs_nothing(tmp_path: Path, words: str) -> None:
    put(tmp_path, "one")
    path_of(tmp_path).parent.mkdir(parents=True, exist_ok=True)
    path_of(tmp_path).write_text(words)
    assert load(tmp_path) == {}
    assert user(tmp_path)["one"].state == "ok"
    assert write_index(tmp_path, listing(tmp_path), "n")


def test_a_newer_index_is_left_alone(tmp_path: Path) -> None:
    path_of(tmp_path).parent.mkdir(parents=True)
    path_of(tmp_path).write_text('{"version": 2, "kernels": []}')
    put(tmp_path, "one")
    assert not write_index(tmp_path, listing(tmp_path), "n")
    assert json.loads(path_of(tmp_path).read_text()) == {"version": 2, "kernels": []}


def test_the_index_is_sound_utf8_whatever_the_names(tmp_path: Path) -> None:
    put(tmp_path, "one", display_name="\ud800 \u202e \x1b[31m")
    folder = os.fsencode(tmp_path / ".local/share/jupyter/kernels") + b"/bad\xff"
    os.mkdir(folder)
    with open(folder + b"/kernel.json", "w") as stream:
        json.dump(GOOD, stream)
    write_index(tmp_path, listing(tmp_path), "n")
    document = json.loads(path_of(tmp_path).read_bytes())
    json.dumps(document, ensure_ascii=False).encode()
    entry = next(e for e in document["kernels"] if e["name"] == "one")
    assert entry["value"] == "user:one"
    assert set(entry) >= {"value", "name", "label", "group", "language", "state", "problem"}


def test_owned_kernels_show_their_kind_and_watch_their_interpreter(tmp_path: Path) -> None:
    generation = tmp_path / ".local/share/kernelwright/kernels/ab12/1"
    generation.mkdir(parents=True)
    (generation / "launch.sh").write_text("#!/bin/sh\n")
    (generation / "launch.sh").chmod(0o755)
    (generation / "made.json").write_text(
        '{"kind": "venv", "interpreter": "/home/gone/python", "prefix": null}'
    )
    (generation.parent / "launcher.json").write_text('{"slurm": {"partition": "p"}}')
    put(
        tmp_path,
        "mine",
        argv=[str(generation / "launch.sh"), "{connection_file}"],
        metadata={"kernelwright": {"id": "ab12"}},
    )
    kernel = user(tmp_path)["mine"]
    assert (kernel.owned, kernel.kind, kernel.launcher) == (True, "venv", "slurm")
    assert kernel.problems[0].code == "interpreter-not-found"


def test_the_index_keeps_its_schema(tmp_path: Path) -> None:
    import jsonschema

    put(tmp_path, "one")
    put(tmp_path, "two", argv=[])
    write_index(tmp_path, listing(tmp_path), "n")
    schema = Path(__file__).parents[2] / "docs/reference/schemas/index.schema.json"
    jsonschema.validate(json.loads(path_of(tmp_path).read_text()), json.loads(schema.read_text()))
