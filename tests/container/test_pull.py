"""Pulling from a real registry: once, by digest, by several at once, and without network."""

from __future__ import annotations

import json
import re
import time

from container.conftest import serve
from container.pulling import (
    assert_store_is_sound,
    made,
    pull,
    refused,
    site_file,
    start,
    store,
)


def test_the_same_image_is_pulled_once_and_known_by_digest(person, image, registry_with_shell):
    begun = time.monotonic()
    first = pull(person, "a", image)
    cold = time.monotonic() - begun
    assert first.ok, first.stderr
    facts = made(person, "a")
    assert facts["image"] == image
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", facts["digest"])
    assert facts["file"] == str(store(person) / facts["digest"].replace(":", "-") / "image.sif")
    second = pull(person, "b", f"{image.rpartition(':')[0]}@{facts['digest']}")
    assert second.ok, second.stderr
    assert "pulling" not in second.stderr
    assert made(person, "b")["file"] == facts["file"]
    assert cold < 120
    assert not list(store(person).glob("*.part-*"))


def test_a_moved_tag_is_another_image(person, registry_with_shell, imagery):
    registry_with_shell.put(imagery.oci_layout("shell-only"), "lab/moving:1")
    address = f"docker://{registry_with_shell.host}/lab/moving:1"
    assert pull(person, "a", address).ok
    before = made(person, "a")["digest"]
    plan = ["update", "a", "--dry-run", "--json"]
    assert json.loads(person.kernelwright(*plan).stdout)["changes"] == []
    registry_with_shell.put(imagery.oci_layout("shell-other"), "lab/moving:1")
    (change,) = json.loads(person.kernelwright(*plan).stdout)["changes"]
    assert (change["name"], change["old"]) == ("image", before)
    assert pull(person, "b", address).ok
    assert made(person, "b")["digest"] == change["new"]
    assert made(person, "a")["digest"] == before
    assert made(person, "b")["digest"] != before


def test_without_network_the_pulled_image_is_used(person, imagery, tmp_path):
    """The registry goes away between two kernels; the second uses what is here, and says so."""
    gone = serve(tmp_path)
    gone.put(imagery.oci_layout("shell-only"), "lab/shell:1")
    address = f"docker://{gone.host}/lab/shell:1"
    try:
        assert pull(person, "a", address).ok
    finally:
        gone.process.terminate()
        gone.process.wait(30)
    done = pull(person, "b", address)
    assert done.ok, done.stderr
    assert "cannot be reached" in done.stderr
    job = site_file(
        person, {"network": {"compute_nodes": False}, "build": {"partition": "net"}}
    ) | {"SLURM_JOB_ID": "1"}
    assert pull(person, "c", address, job).ok
    error = refused(
        person, address.replace(":1", ":2") if address.count(":1") == 1 else address[:-1] + "2", job
    )
    assert error["code"] == "no-network"
    assert "partition net" in error["hint"]


def test_two_users_and_two_sessions_pull_at_once(person, other_person, image):
    """alice twice (one pull, one waits) and bob: all three kernels are whole."""
    running = [
        start(person, "a", image),
        start(person, "b", image),
        start(other_person, "c", image),
    ]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert made(person, "a")["file"] == made(person, "b")["file"]
    assert sum("pulling" in text for text in said[:2]) == 1, said
    for one in (person, other_person):
        assert_store_is_sound(one)


def test_archives_are_converted_once(person, imagery):
    address = f"oci-archive:{imagery.archive('shell-only')}"
    first = pull(person, "a", address)
    assert first.ok, first.stderr
    again = pull(person, "b", address)
    assert "reading the archive" in again.stderr
    assert made(person, "a")["file"] == made(person, "b")["file"]


def test_damaged_archive(person, imagery):
    damaged = person.user.home / "damaged.tar"
    data = imagery.archive("shell-only").read_bytes()
    damaged.write_bytes(data[: len(data) // 3])
    assert refused(person, f"oci-archive:{damaged}")["code"] == "image-damaged"


def test_shared_store_is_filled_by_its_owner_and_used_only_when_trusted(
    person, other_person, image
):
    """An image that somebody else put there cannot be checked against a digest."""
    offered = other_person.user.home / "offered"
    other_person.user.run(["mkdir", "-m", "755", offered])
    owner = site_file(other_person, {"storage": {"images": str(offered)}})
    assert pull(other_person, "b", image, owner).ok
    assert made(other_person, "b")["file"].startswith(str(offered))
    trusting = site_file(
        person,
        {
            "storage": {"images": str(offered)},
            "groups": {"trusted_owners": [other_person.user.name]},
        },
    )
    done = pull(person, "a", image, trusting)
    assert "pulling" not in done.stderr
    assert made(person, "a")["file"].startswith(str(offered))
    wary = site_file(person, {"storage": {"images": str(offered)}})
    assert pull(person, "c", image, wary).ok
    assert made(person, "c")["file"].startswith(str(store(person)))
