"""References as people write them, and what the headers of image files say."""

from __future__ import annotations

import struct

import pytest

from kernelwright.cli import words
from container.pulling import sif_file
from kernelwright.environments.container import (
    sif,
)
from kernelwright.environments.container.reference import parse
from kernelwright.errors import UserError

HEX = "a" * 64


@pytest.mark.parametrize(
    ("written", "text", "insecure"),
    [
        ("docker://python", "docker://docker.io/library/python:latest", False),
        ("docker://python:3.12-slim", "docker://docker.io/library/python:3.12-slim", False),
        (
            "docker://jupyter/scipy-notebook",
            "docker://docker.io/jupyter/scipy-notebook:latest",
            False,
        ),
        ("docker://quay.io/a/b:c", "docker://quay.io/a/b:c", False),
        ("docker://localhost/a", "docker://localhost/a:latest", True),
        ("docker://127.0.0.1:5000/lab/x:1", "docker://127.0.0.1:5000/lab/x:1", True),
        (f"docker://quay.io/a/b@sha256:{HEX}", f"docker://quay.io/a/b@sha256:{HEX}", False),
        ("oras://ghcr.io/a/b:1", "oras://ghcr.io/a/b:1", False),
        ("library://user/collection/image:1", "library://user/collection/image:1", False),
    ],
)
def test_reference(written, text, insecure, home):
    found = parse(written, home)
    assert (found.text, found.insecure) == (text, insecure)


def test_what_is_pulled_is_what_was_looked_up(home):
    found = parse("docker://quay.io/a/b:c", home)
    assert found.pinned(f"sha256:{HEX}") == f"docker://quay.io/a/b@sha256:{HEX}"
    assert found.pinned(None) == "docker://quay.io/a/b:c"
    assert (
        parse(f"docker://quay.io/a/b@sha256:{HEX}", home).pinned(None)
        == f"docker://quay.io/a/b@sha256:{HEX}"
    )


def test_typing_mistake_names_the_neighbour(home):
    (home / "images").mkdir()
    (home / "images/tune_0.13.sif").write_bytes(b"")
    with pytest.raises(UserError, match="no image") as caught:
        parse(str(home / "images/tune_0.31.sif"), home)
    assert caught.value.code == "image-not-found"
    assert "tune_0.13.sif" in caught.value.hint


@pytest.mark.parametrize("name", ["python", "python:3.12", "org/tune:0.13", "quay.io/org/tune"])
def test_name_without_scheme_is_told_the_scheme(name, home, monkeypatch):
    monkeypatch.chdir(home)
    with pytest.raises(UserError) as caught:
        parse(words._image(name, home), home)
    assert caught.value.hint == f"for an image of a registry write `docker://{name}`"


def test_a_path_counts_from_here(home):
    (home / "sandbox").mkdir()
    for name in ("sandbox", "not-there.sif", "./not-there"):
        assert words._image(name, home) == str(home / name)


@pytest.mark.parametrize(
    ("options", "machine", "code"),
    [
        ({}, "x86_64", None),
        ({"length": 999}, "x86_64", "image-truncated"),
        ({"arch": b"04\0"}, "x86_64", "image-wrong-architecture"),
        ({"arch": b"04\0"}, "aarch64", None),
        ({"arch": b"99\0"}, "x86_64", None),
    ],
)
def test_sif_header(options, machine, code, tmp_path):
    problem = sif.examine(sif_file(tmp_path / "x.sif", **options), machine)
    assert (problem.code if problem else None) == code


@pytest.mark.parametrize(
    "content",
    [b"", b"#!/bin/sh\n", b"\x7fELF" * 100, b"FROM python\n" * 200],
    ids=["empty", "script", "elf", "text"],
)
def test_files_that_are_no_image(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    assert sif.examine(str(tmp_path / "x")).code == "image-not-an-image"


def test_sandbox_links_are_followed_inside_it(tmp_path):
    """/bin/sh is a link to /usr/bin/dash of the image, not of this node."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("/usr/bin")
    (tmp_path / "usr/bin/sh").symlink_to("/usr/bin/dash")
    (tmp_path / "usr/bin/dash").write_bytes(
        b"\x7fELF\x02\x01".ljust(18, b"\0") + struct.pack("<H", 183)
    )
    assert sif.sandbox_architecture(str(tmp_path)) == "aarch64"


def test_sandbox_links_in_a_circle(tmp_path):
    (tmp_path / "usr").mkdir()
    (tmp_path / "bin").symlink_to("/bin")
    assert sif.sandbox_architecture(str(tmp_path)) is None
