"""Images and binds that are refused, in words: hostile ones, and those that the site does not want."""

from __future__ import annotations

import json

import pytest

from container.pulling import (
    refused,
    site_file,
)

HOSTILE_IMAGES = {
    "dash": "--bind=/etc:/x",
    "dash-docker": "docker://--help",
    "command": "docker://127.0.0.1/$(touch /tmp/kw-image)",
    "backtick": "/tmp/`touch /tmp/kw-image`.sif",
    "quote": "docker://127.0.0.1/a'b",
    "newline": "docker://127.0.0.1/a\nb",
    "space": "docker://127.0.0.1/a b",
    "password": "docker://user:hunter2@127.0.0.1/a",
    "scheme": "file:///etc/passwd",
    "instance": "instance://x",
    "shub": "shub://a/b",
    "parent": "docker://127.0.0.1/../../etc",
    "upper": "docker://127.0.0.1/LAB/Image",
    "empty": "   ",
    "dockerfile": "/etc/hostname",
    "folder": "/tmp/pytest-of-nobody-at-all",
    "not-a-root": "/proc/self/fd",
}


@pytest.mark.parametrize("address", HOSTILE_IMAGES.values(), ids=HOSTILE_IMAGES.keys())
def test_hostile_images_are_refused(address, person):
    done = person.kernelwright("create", "container", "no", "--no-test", "--json", "--", address)
    assert done.status in {1, 2}, done.stdout
    error = json.loads(done.stdout)["error"]
    assert error["code"] in {
        "image-not-understood",
        "image-not-found",
        "image-not-an-image",
        "invalid-recipe",
        "usage",
    }, error
    assert "hunter2" not in done.stdout + done.stderr
    assert not person.user.run(["ls", "/tmp/kw-image"]).ok


HOSTILE_BINDS = {
    "comma": "/tmp:/a,/etc:/b",
    "colons": "/tmp:/a:ro:rw",
    "quote": '/tmp:/a"b',
    "newline": "/tmp:/a\nb",
    "dash": "--nv",
    "relative": "tmp:/a",
    "over-root": "/tmp:/",
    "over-usr": "/tmp:/usr",
    "up": "/tmp:/a/../usr",
    "mode": "/tmp:/a:exec",
}


@pytest.mark.parametrize("bind", HOSTILE_BINDS.values(), ids=HOSTILE_BINDS.keys())
def test_hostile_binds_are_refused(bind, person, imagery):
    done = person.kernelwright(
        "create",
        "container",
        "no",
        str(imagery.shell_only()),
        f"--bind={bind}",
        "--no-test",
        "--json",
    )
    assert done.status in {1, 2}, done.stdout
    assert json.loads(done.stdout)["error"]["code"] in {"invalid-bind", "invalid-recipe", "usage"}


def test_policy_by_real_path(person, imagery):
    """A link in an allowed folder does not open the others."""
    link = person.user.home / "allowed/x"
    person.user.run(["mkdir", link.parent])
    person.user.run(["ln", "-s", imagery.shell_only(), link])
    site = site_file(person, {"containers": {"allow": [f"{link.parent}/*"]}})
    assert refused(person, str(link), site)["code"] == "policy-image"


def test_unsigned_images_where_the_site_wants_signed_ones(person, imagery, image):
    site = site_file(person, {"containers": {"signed": True}})
    assert refused(person, str(imagery.sif("shell-only")), site)["code"] == "image-unsigned"
    assert refused(person, image, site)["code"] == "image-unsigned"


def test_site_limit_of_size(person, registry):
    site = site_file(person, {"policy": {"max_size": "1M"}})
    assert refused(person, f"docker://{registry.host}/lab/bare:1", site)["code"] == "policy-size"
