"""What the tests of pulling share: recipes of which the image alone matters, and a sound store."""

from __future__ import annotations

import json
import os
import struct
import subprocess

from kernelwright.environments.container import sif


def recipe(person, name, image, **more):
    """A recipe file whose kernel needs nothing of its image: these tests are about the image alone."""
    path = person.user.home / f"{name}.yml"
    value = {
        "version": 1,
        "name": name,
        "command": ["/bin/cat", "{connection_file}"],
        "environment": {"container": {"image": image}},
    }
    path.write_text(json.dumps(value | more))
    return path


def pull(person, name, image, env=None, form=()):
    return person.kernelwright(
        "create", "recipe", recipe(person, name, image), "--no-test", *form, env=env
    )


def refused(person, image, env=None):
    done = pull(person, "no", image, env, ["--json"])
    assert done.status == 1, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["hint"], error
    assert_store_is_sound(person)
    return error


def store(person):
    return person.user.home / ".local/share/kernelwright/images"


def assert_store_is_sound(person, folder=None):
    """Whatever has the name of an image is a whole image."""
    for image in (folder or store(person)).glob("*/image.sif"):
        if ".part-" not in image.parent.name:
            assert sif.examine(str(image)) is None
            assert json.loads((image.parent / "image.json").read_text())["version"] == 1


def site_file(person, settings):
    """A site configuration of the user's own, for one command."""
    path = person.user.home / "site.yaml"
    path.write_text(json.dumps(settings))
    return {"KERNELWRIGHT_SITE_CONFIG": str(path)}


def made(person, name):
    kernel = json.loads(
        (person.user.home / ".local/share/jupyter/kernels" / name / "kernel.json").read_text()
    )
    return json.loads(open_text(os.path.dirname(kernel["argv"][0]) + "/made.json"))["facts"]


def open_text(path):
    with open(path) as stream:
        return stream.read()


def start(person, name, address, env=None):
    """`create` in the background, in a process group of its own."""
    words = [
        *person.user.prefix(),
        str(person.runtime / "bin/kernelwright"),
        "create",
        "recipe",
        str(recipe(person, name, address)),
        "--no-test",
    ]
    base = {"HOME": str(person.user.home), "USER": person.user.name, "LANG": "C.UTF-8"}
    return subprocess.Popen(
        words, env=base | person.environ | (env or {}), cwd=person.user.home, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def sif_file(path, arch=b"02\0", data=1000, length=1000):
    """A .sif of one partition whose header says what is asked; `length` bytes of its data are there."""
    head = struct.pack(
        "<32s10s3s3s16s8q",
        b"#!/usr/bin/env run-singularity\n",
        b"SIF_MAGIC\0",
        b"01\0",
        arch,
        b"\x07" * 16,
        0,
        0,
        0,
        1,
        128,
        585,
        4096,
        data,
    )
    descriptor = struct.pack(
        "<iBIIIqqqqqqq128s384s", 0x4004, 1, 1, 1, 0, 4096, data, data, 0, 0, 0, 0, b"", b""
    )
    path.write_bytes((head + descriptor).ljust(4096, b"\0") + b"x" * length)
    return str(path)
