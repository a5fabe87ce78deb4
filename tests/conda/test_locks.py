"""Locks: exact, portable, and what is refused in them."""

from __future__ import annotations

import pytest

from conda.asking import code_of, python
from kernelwright.environments import conda
from kernelwright.environments.conda import lock, manifest
from kernelwright.model import with_lock

from .compare import tree
from .conftest import Log
from .server import TOKEN


def test_lock_is_exact_and_builds_the_same_again(workshop):
    first, second = workshop.place(), workshop.place()
    made = workshop.make("greetings=1.0", "oldformat", pip=("kwpip",), place=first)
    text = (first.keep / "conda.lock").read_text()
    read = lock.load(text, source="x")
    assert all(p.record["sha256"] in text for p in read.packages)
    assert len(read.packages) == made.facts["packages"]
    assert read.pip[0].startswith("kwpip==1.1 --hash=sha256:")
    workshop.server.requests.clear()
    workshop.make(place=second, lock=str(first.keep / "conda.lock"))
    assert not [r for r in workshop.server.requests if "repodata" in r or "shard" in r]
    assert (second.keep / "conda.lock").read_text() == text
    assert tree(second.prefix) == tree(first.prefix)


def test_an_explicit_list_of_conda_is_taken(workshop):
    first = workshop.place()
    workshop.make("core-of-two=1.0", "oldformat", language="r", place=first)
    rows = [
        row
        for row in (first.keep / "conda.lock").read_text().splitlines()
        if not row.startswith("#")
    ]
    md5 = {
        p.url: p.record["md5"]
        for p in lock.load((first.keep / "conda.lock").read_text(), source="x").packages
    }
    for name, lines in {
        "sha256.txt": rows,
        "md5.txt": [
            row.split("#")[0] + "#" + md5[row.split("#")[0]] if "#" in row else row for row in rows
        ],
        "bare.txt": [row.split("#")[0] for row in rows],
    }.items():
        file = workshop.base / name
        file.write_text("\n".join(lines) + "\n")
        place = workshop.place()
        workshop.make(file=str(file), language="r", place=place)
        assert tree(place.prefix).keys() == tree(first.prefix).keys()
    secret = workshop.base / "secret.txt"  # of a channel that nobody has configured, with a token
    secret.write_text(
        "\n".join(r.split("#")[0].replace("/channel/", f"/t/{TOKEN}/mirror/") for r in rows) + "\n"
    )
    place = workshop.place()
    workshop.make(file=str(secret), language="r", place=place)
    assert "/mirror/" in (place.keep / "conda.lock").read_text()
    assert TOKEN not in (place.keep / "conda.lock").read_text()
    wrong = workshop.base / "wrong.txt"
    wrong.write_text(
        "\n".join(row.split("#")[0] + "#" + "0" * 32 if "#" in row else row for row in rows)
    )
    assert code_of(workshop.make, file=str(wrong), language="r")[0] == "hash-mismatch"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("https://host/x/linux-64/not-a-package.zip", "invalid-lock"),
        ("../../etc/passwd", "invalid-lock"),
        ("http://127.0.0.1:9/c/linux-64/a-1-0.conda#sha256:zz", "invalid-lock"),
        ("http://127.0.0.1:9/c/win-64/a-1-0.conda", "lock-for-another-platform"),
        ("# {broken", "invalid-lock"),
        (
            "http://127.0.0.1:9/c/noarch/a-1-0.conda\nhttp://127.0.0.1:9/c/noarch/a-2-0.conda",
            "invalid-lock",
        ),
        ("", "invalid-lock"),
    ],
)
def test_locks_that_are_refused(workshop, line, code):
    file = workshop.base / "x.lock"
    file.write_text(f"@EXPLICIT\n{line}\n")
    assert code_of(workshop.make, lock=str(file))[0] == code


def test_a_purge_is_found_and_mended_from_the_lock(workshop):
    place = workshop.place()
    recipe = workshop.recipe("greetings=1.0")
    made = conda.make(recipe, place, Log())
    assert conda.check(recipe, made) == []
    before = tree(place.prefix)
    for n, path in enumerate(sorted(p for p in place.prefix.rglob("*.py") if p.is_file())):
        if n % 3:
            path.unlink()
    found = conda.check(recipe, made)
    assert [p.code for p in found] == ["environment-purged"]
    assert len(manifest.missing(place.prefix, place.keep / manifest.NAME, everything=True)) > 500
    exact = with_lock(recipe, str(place.keep / made.lock))
    again = conda.make(exact, place, Log())
    assert conda.check(recipe, again) == []
    assert tree(place.prefix) == before


def test_the_copy_of_the_file_serves_when_the_file_is_gone(workshop, log):
    file = workshop.base / "environment.yml"
    file.write_text("dependencies: [greetings=1.0]\n")
    workshop.make(file=str(file))
    file.unlink()
    place = workshop.place()
    made = workshop.make(file=str(file), place=place, log=log)
    assert any("the copy of the last build" in note for note in log.notes)
    assert python(made, "import greetings; print(greetings.VERSION)") == "1.0"
