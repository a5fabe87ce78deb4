"""Kernels between real users: exported and imported, shared with a group, refused where it is unsafe."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.conda.compare import tree

pytestmark = pytest.mark.root


def state(lab, user, name):
    """The row of a kernel in the user's list; None when it is not there."""
    kernels = lab.run(user, "list", "--json")["kernels"]
    return next((k for k in kernels if k["name"] == name), None)


def test_an_export_builds_the_same_on_another_account_and_offline(shared_lab, alice, bob):
    lab = shared_lab
    lab.run(
        alice,
        "create",
        "conda",
        "rna",
        "greetings=1.0",
        "activator",
        "--env",
        "API_TOKEN=secret-1",
        "--env",
        "MODE=fast",
    )
    refused = lab.run(alice, "export", "rna", "--output", "/nonexistent/rna.yml", ok=False)
    assert "the folder `/nonexistent` does not exist" in refused.stderr
    exported = lab.run(alice, "export", "rna")
    text = exported.stdout
    assert "secret-1" not in text
    assert "API_TOKEN" in exported.stderr
    file = lab.base / "rna.kernel.yml"
    file.write_text(text)
    file.chmod(0o644)
    made = lab.run(bob, "import", file, "--no-test", "--json")["kernel"]
    first = prefix_of(alice)
    assert made["prefix"] != str(first)
    assert tree(Path(made["prefix"])) == tree(first)
    lab.server.requests.clear()
    lab.server.fail("*", "status")
    again = lab.run(bob, "import", file, "--name", "rna-offline", "--no-test", "--json")["kernel"]
    assert lab.server.requests == []
    assert tree(Path(again["prefix"])) == tree(first)
    done = bob.run(
        [Path(again["prefix"]) / "bin/python", "-c", "import greetings; print(greetings.VERSION)"]
    )
    assert done.stdout == "1.0\n"


def prefix_of(user):
    found = sorted((user.home / ".local/share/kernelwright/kernels").glob("*/*/made.json"))
    return Path(json.loads(found[-1].read_text())["prefix"])


def test_a_shared_kernel_is_for_the_group_and_nobody_else(shared_lab, alice, bob, carol):
    lab = shared_lab
    lab.run(alice, "create", "conda", "rna", "greetings=1.0")
    done = lab.run(alice, "share", "rna", "--group", lab.group, "--contact", "Alice, room 7")
    assert f"shared with `{lab.group}`" in done.stderr

    row = state(lab, bob, "rna")
    assert (row["origin"], row["state"]) == ("group", "ok"), row
    spec = json.loads((lab.folder / "rna/kernel.json").read_text())
    told = spec["metadata"]["kernelwright"]["shared"]
    assert (told["owner"], told["contact"], told["version"]) == (alice.name, "Alice, room 7", 1)

    program = spec["argv"][0]
    answer = bob.run(
        [program, "--shell", "--", "python", "-c", "import greetings; print(greetings.VERSION)"]
    )
    assert answer.stdout.strip().endswith("1.0"), answer
    for path in Path(program).parent.rglob("*"):
        facts = path.lstat()
        if not path.is_symlink():
            assert not facts.st_mode & (stat.S_IWGRP | stat.S_IRWXO), path
            assert facts.st_nlink == 1 or path.is_dir(), path
    refused = bob.run(["sh", "-c", f"echo x >> {program}"])
    assert not refused.ok

    assert state(lab, carol, "rna") is None
    outside = carol.run(["cat", program])
    assert "Permission denied" in outside.stderr
    refused = lab.run(carol, "share", "rna", "--group", lab.group, ok=False)
    assert "not-in-group" in refused.stderr


def test_versions_note_and_withdrawal(shared_lab, alice, bob):
    lab = shared_lab
    lab.run(alice, "create", "conda", "rna", "core-of-two=1.0", "--language", "r", "--no-test")
    lab.run(alice, "share", "rna", "--group", lab.group, "--no-test")
    first = json.loads((lab.folder / "rna/kernel.json").read_text())["argv"][0]
    lab.run(alice, "update", "rna", "core-of-two=2.0", "--no-test")
    lab.run(alice, "share", "rna", "--group", lab.group, "--no-test")
    spec = json.loads((lab.folder / "rna/kernel.json").read_text())
    assert spec["argv"][0] != first
    assert spec["metadata"]["kernelwright"]["shared"]["version"] == 2
    assert Path(first).exists(), "kernels that run keep the version that they began with"

    refused = lab.run(bob, "unshare", "rna", "--group", lab.group, ok=False)
    assert "not-yours" in refused.stderr
    lab.run(bob, "create", "conda", "rna", "activator", "--language", "r", "--no-test")
    refused = lab.run(bob, "share", "rna", "--group", lab.group, ok=False)
    assert "not-yours" in refused.stderr
    assert alice.name in refused.stderr

    lab.run(alice, "share", "rna", "--group", lab.group, "--deprecated", "use rna2")
    told = json.loads((lab.folder / "rna/kernel.json").read_text())["metadata"]["kernelwright"][
        "shared"
    ]
    assert (told["deprecated"], told["version"]) == ("use rna2", 2)

    lab.run(alice, "unshare", "rna", "--group", lab.group)
    assert not (lab.folder / "rna").exists()
    assert not list(
        lab.folder.glob(
            f".kernelwright-{alice.name}/.local/share/kernelwright/kernels/*/*/launch.sh"
        )
    )
    refused = lab.run(alice, "unshare", "rna", "--group", lab.group, ok=False)
    assert "not-shared" in refused.stderr


def test_a_member_copies_a_shared_kernel(shared_lab, alice, bob):
    lab = shared_lab
    lab.run(alice, "create", "conda", "rna", "core-of-two=1.0", "--language", "r", "--no-test")
    lab.run(alice, "share", "rna", "--group", lab.group, "--no-test")
    made = lab.run(bob, "clone", "rna", "mine", "--no-test", "--json")["kernel"]
    assert made["prefix"].startswith(str(bob.home))
    assert Path(made["prefix"], "share/core-1.0.txt").stat().st_uid == bob.uid
    # the index knows the kernel now, and nobody has read its kernel.json since
    lab.run(bob, "clone", f"{lab.group}/rna", "another", "--no-test")
    shown = lab.run(bob, "show", f"{lab.group}/rna").stdout
    assert f"owner       {alice.name}" in shown
    assert "launch.sh {connection_file}" in shown
    (looked,) = lab.run(bob, "doctor", f"{lab.group}/rna", "--json")["kernels"]
    assert (looked["name"], looked["origin"]) == ("rna", "group")
    names = [k["name"] for k in lab.run(bob, "list", "--json")["kernels"]]
    assert not [n for n in names if n.startswith(".kernelwright")], "the store is no kernel"


def test_no_verb_starts_what_is_not_trusted(shared_lab, alice, bob):
    lab = shared_lab
    lab.settings(groups={"trusted_owners": ["root"]})
    lab.run(alice, "create", "conda", "rna", "--no-test")
    told = lab.run(alice, "share", "rna", "--group", lab.group, "--no-test")
    assert f"they first say `kernelwright trust {lab.group}/rna`" in told.stderr
    for words in (("test",), ("shell",), ("clone",)):
        more = {"shell": ("--", "echo", "started"), "clone": ("mine",)}.get(words[0], ())
        refused = lab.run(bob, *words, f"{lab.group}/rna", *more, ok=False)
        assert "untrusted-kernel" in refused.stderr, refused
        assert f"kernelwright trust {lab.group}/rna" in refused.stderr
        assert "started" not in refused.stdout
    lab.run(bob, "trust", f"{lab.group}/rna")
    assert lab.run(bob, "test", f"{lab.group}/rna", "--json")["ok"]
    done = lab.run(bob, "shell", "rna", "--", "echo", "started")
    assert done.stdout == "started\n"


@pytest.mark.parametrize("how", ["world", "group", "acl", "folder", "owner"])
def test_what_others_can_write_is_not_trusted(shared_lab, alice, bob, carol, how):
    lab = shared_lab
    lab.run(alice, "create", "conda", "rna", "--no-test", "--language", "r")
    lab.run(alice, "share", "rna", "--group", lab.group, "--no-test")
    assert state(lab, bob, "rna")["state"] == "ok"
    spec = lab.folder / "rna"
    program = Path(json.loads((spec / "kernel.json").read_text())["argv"][0])
    trusted = {"trusted_owners": ["root", alice.name]}
    if how == "world":
        (spec / "kernel.json").chmod(0o666)
    elif how == "group":  # the site does not trust members as such
        lab.settings(groups=trusted)
        lab.folder.chmod(0o2750)
        program.chmod(0o570)
    elif how == "acl":
        lab.settings(groups=trusted)
        lab.folder.chmod(0o2750)
        subprocess.run(["setfacl", "-m", f"u:{carol.name}:rwx", program], check=True)
    elif how == "folder":
        spec.chmod(0o757)
    else:
        lab.settings(groups={"trusted_owners": ["root"]})
    row = state(lab, bob, "rna")
    assert row["state"] == "untrusted", row
    words = " ".join(p["message"] for p in row["problems"])
    assert {
        "world": "everybody",
        "group": "the group",
        "acl": carol.name,
        "folder": "everybody",
        "owner": "does not trust",
    }[how] in words

    lab.run(bob, "trust", f"{lab.group}/rna")
    assert state(lab, bob, "rna")["state"] == "ok"
    os.chmod(program.parent / "start.sh", 0o640)
    with open(program.parent / "start.sh", "a") as stream:
        stream.write("# changed\n")
    assert state(lab, bob, "rna")["state"] == "untrusted", "the word was for what it was"


def test_the_site_says_whether_members_are_trusted(shared_lab, alice, bob):
    lab = shared_lab
    lab.run(alice, "create", "conda", "rna", "--no-test", "--language", "r")
    lab.run(alice, "share", "rna", "--group", lab.group, "--no-test")
    lab.settings(groups={"trusted_owners": ["root", alice.name]})
    assert state(lab, bob, "rna")["state"] == "untrusted", (
        "any member may replace what lies in that folder"
    )
    lab.folder.chmod(0o2750)
    assert state(lab, bob, "rna")["state"] == "ok"


def test_a_kernel_that_the_group_could_not_read_is_not_shared(shared_lab, alice):
    lab = shared_lab
    private = alice.home / "private"
    alice.run(
        [
            "sh",
            "-c",
            f"mkdir -m 700 {private} && printf '#!/bin/sh\\nexec \"$@\"\\n' > {private}/start && chmod 755 {private}/start",
        ]
    )
    lab.run(alice, "create", "script", "own", private / "start", "--no-test")
    refused = lab.run(alice, "share", "own", "--group", lab.group, ok=False)
    assert "group-cannot-read" in refused.stderr
    assert str(private) in refused.stderr
    assert not (lab.folder / "own").exists()


def test_without_a_folder_the_way_out_is_the_file(shared_lab, alice):
    lab = shared_lab
    lab.settings(groups={"folders": []})
    lab.run(alice, "create", "conda", "rna", "--no-test", "--language", "r")
    refused = lab.run(alice, "share", "rna", "--group", lab.group, ok=False)
    assert "no-group-folder" in refused.stderr
    assert "kernelwright export" in refused.stderr


def test_a_request_is_what_the_site_adds(shared_lab, alice, tmp_path):
    lab = shared_lab
    lab.run(alice, "create", "conda", "rna", "activator", "--language", "r", "--no-test")
    target = alice.home / "rna-request.tar.gz"
    lab.run(alice, "request", "rna", "--reason", "for the course", "--output", target)
    listing = subprocess.run(
        ["tar", "-xzOf", target, "rna-request/README.txt"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "for the course" in listing
    assert "kernelwright site add rna-request.tar.gz" in listing


def test_a_package_cache_of_the_site_that_others_have_closed_ends_no_build(shared_lab, alice, bob):
    lab = shared_lab
    cache = lab.base / "cache"
    cache.mkdir()
    cache.chmod(0o1777)
    lab.settings(storage={"package_cache": str(cache)})
    lab.run(alice, "create", "conda", "one", "activator", "--language", "r", "--no-test")
    assert (cache / "conda/pkgs").stat().st_uid == alice.uid
    done = lab.run(bob, "create", "conda", "two", "activator", "--language", "r", "--no-test")
    assert "your own package cache is used" in done.stderr
    assert (bob.home / ".local/share/kernelwright/cache/conda/pkgs").is_dir()
