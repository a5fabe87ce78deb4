"""Adoption of what people have besides good kernels: it says what is there, and writes nothing that cannot be read back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doctor.test_adopt import ARGV, place, put, spec_of, take  # noqa: F401 - `place` is a fixture
from kernelwright import environments
from kernelwright.discovery import discover
from kernelwright.doctor.subject import Around
from kernelwright.errors import UserError
from kernelwright.store import Store


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("link", "kernelspec-dangling-link", "a link to a file that does not exist"),
        ("loop", "kernelspec-link-loop", "a link that leads to itself"),
        ("pipe", "kernelspec-not-a-file", "a named pipe, not a file"),
        ("folder", "kernelspec-not-a-file", "a folder, not a file"),
        ("device", "kernelspec-not-a-file", "a device, not a file"),
    ],
)
def test_a_kernel_json_that_is_no_file_is_called_that(
    place: Around, kind: str, code: str, words: str
) -> None:
    folder = place.home / ".local/share/jupyter/kernels/mine"
    folder.mkdir()
    file = folder / "kernel.json"
    {
        "link": lambda: file.symlink_to("/nowhere"),
        "loop": lambda: file.symlink_to("kernel.json"),
        "pipe": lambda: os.mkfifo(file),
        "folder": file.mkdir,
        "device": lambda: file.symlink_to("/dev/zero"),
    }[kind]()
    with pytest.raises(UserError) as caught:
        take(place)
    assert caught.value.code == code
    assert words in caught.value.message
    assert "did you mean" not in (caught.value.hint or "")


@pytest.mark.parametrize("text", ['{"a": ' + "9" * 10_000 + "}", '{"a": ' + "[" * 100_000, "{"])
def test_nobody_is_sent_to_adopt_what_it_refuses(place: Around, text: str) -> None:
    folder = put(place)
    (folder / "kernel.json").write_text(text)
    found = discover(home=place.home, environ=place.environ, site=place.site)
    kernel = next(k for k in found if k.name == "mine")
    assert [p.hint for p in kernel.problems if p.severity == "error"] == ["write it again"]
    with pytest.raises(UserError) as caught:
        take(place)
    assert "write it again" in caught.value.hint


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("\x1b[31mred\x1b[0m\nKernel 2", "red Kernel 2"),
        ("a\u202egnp.exe", "a gnp.exe"),
        ("x" * 500, "x" * 120),
        ("\x07\x07", "mine"),
        ("Zoë 👩‍🔬", "Zoë 👩‍🔬"),
    ],
)
def test_the_recipe_of_an_adopted_kernel_can_be_read_back(
    place: Around, title: str, kept: str
) -> None:
    put(place, display_name=title)
    take(place)
    store = Store(place.home, place.site, place.environ)
    assert store.generation(store.find("mine").id).recipe.title == kept
    assert spec_of(place)["display_name"] == kept


def test_names_that_differ_in_case(place: Around) -> None:
    put(place, "tools")
    put(place, "Tools")
    for name in ("tools", str(place.home / ".local/share/jupyter/kernels/Tools")):
        with pytest.raises(UserError) as caught:
            take(place, name)
        assert caught.value.code == "names-differ-in-case"
        assert "rename or remove one" in caught.value.hint


def test_a_proper_name_that_a_kernel_of_ours_has(place: Around) -> None:
    put(place, "a-b")
    take(place, "a-b")
    put(place, "a b")
    with pytest.raises(UserError) as caught:
        take(place, "a b")
    assert caught.value.code == "kernel-exists"
    assert "kernelwright rename a-b OTHER" in caught.value.hint


def test_a_name_of_two_lines_forges_none(home) -> None:
    folder = home / ".local/share/jupyter/kernels" / "a\nyour account: fine"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text("[]")
    call = [sys.executable, "-m", "kernelwright", "doctor"]
    done = subprocess.run(call, env=os.environ, capture_output=True, text=True, timeout=120)
    assert "a your account: fine: broken" in done.stdout
    assert not any(line.startswith("your account: fine") for line in done.stdout.splitlines())


def test_an_adopted_command_that_is_gone_is_found_from_outside(
    place: Around, tmp_path: Path
) -> None:
    program = tmp_path / "tool"
    shutil.copy("/bin/true", program)
    put(place, argv=[str(program), "--wait", "{connection_file}"])
    take(place)
    store = Store(place.home, place.site, place.environ)
    made = store.generation(store.find("mine").id)
    check = environments.kind("script").check
    assert check(made.recipe, made.made) == []
    program.unlink()
    assert [p.code for p in check(made.recipe, made.made)] == ["interpreter-not-found"]


def test_a_shell_has_the_variables_of_kernel_json(home, runtime) -> None:
    folder = home / ".local/share/jupyter/kernels/mine"
    folder.mkdir(parents=True)
    spec = {"argv": ARGV, "display_name": "x", "language": "python", "env": {"A": "$HOME/x"}}
    (folder / "kernel.json").write_text(json.dumps(spec))
    call = [sys.executable, "-m", "kernelwright"]
    environ = {**os.environ, "KERNELWRIGHT_RUNTIME": str(runtime)}
    subprocess.run([*call, "adopt", "mine", "--no-test"], check=True, env=environ, timeout=120)
    words = ["shell", "mine", "--", "sh", "-c", 'echo "$A"']
    done = subprocess.run([*call, *words], env=environ, capture_output=True, text=True, timeout=120)
    assert done.stdout == f"{home}/x\n", done.stderr
