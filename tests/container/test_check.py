"""Looking at a container kernel from outside: check, show, the places of images, the dry run."""

from __future__ import annotations

import re

import pytest

from container.pulling import sif_file
from kernelwright.builder import Builder
from kernelwright.config.model import ContainerRuntime, Containers, SiteConfig, Storage
from kernelwright.environments import container
from kernelwright.environments.base import Place
from kernelwright.environments.container import (
    images,
    on_node,
    rules,
)
from kernelwright.errors import UserError
from kernelwright.model import Bind, ContainerSpec, Made, Recipe
from kernelwright.preview import preview
from kernelwright.progress import Silent

HEX = "a" * 64


def made_of(tmp_path, **facts):
    file = sif_file(tmp_path / "x.sif")
    base = {
        "file": file,
        "id": (b"\x07" * 16).hex(),
        "runtime": {"name": "apptainer", "path": "/usr/bin/env", "module": None},
        "start": {},
    }
    return Made("container", facts=base | facts)


@pytest.mark.parametrize(
    ("facts", "codes"),
    [
        ({}, []),
        ({"file": "/gone.sif"}, [("image-missing", "error")]),
        ({"id": "00" * 16}, [("image-changed", "warning")]),
        ({"start": {"inject": "/gone"}}, [("inject-missing", "error")]),
        (
            {"runtime": {"name": "apptainer", "path": "/gone", "module": None}},
            [("runtime-missing", "warning")],
        ),
        ({"runtime": {"name": "apptainer", "path": "/gone", "module": "m"}}, []),
        ({"file": None, "runtime": None, "start": None}, []),
    ],
)
def test_check(facts, codes, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    recipe = Recipe("x", ContainerSpec("/x.sif"))
    found = container.check(recipe, made_of(tmp_path, **facts))
    assert [(problem.code, problem.severity) for problem in found] == codes
    commands = [p.hint for p in found if "`kernelwright" in str(p.hint)]
    assert all(re.search(r"`kernelwright \w+ x`", hint) for hint in commands)


def test_show_says_what_would_happen_here(tmp_path, monkeypatch):
    monkeypatch.setattr(
        on_node, "DEVICES", {"--nv": f"{tmp_path}/nvidia[0-9]*", "--rocm": f"{tmp_path}/kfd"}
    )
    spec = ContainerSpec(
        "/x.sif",
        bind=(
            Bind("/usr", "/data", "ro"),
            Bind("/gone"),
            Bind("${NOT_SET}/x", "/y", required=False),
        ),
    )
    lines = container.here(Recipe("x", spec), made_of(tmp_path), {"PATH": "/nowhere"}, SiteConfig())
    assert lines == [
        "runtime: /usr/bin/env (None)",
        "gpu: auto -> no GPU on this node",
        "bind: /usr at /data (read-only)",
        "bind: /gone at /gone: not there on this node, an error",
        "bind: ${NOT_SET}/x at /y: NOT_SET is not set here, left out",
    ]
    (tmp_path / "nvidia0").touch()
    assert on_node.gpu("auto") == "--nv"


def test_where_images_go(home, tmp_path):
    environ = {}
    assert (
        images.own_store(SiteConfig(), home, environ).root
        == home / ".local/share/kernelwright/images"
    )
    assert (
        images.own_store(SiteConfig(storage=Storage(root=f"{tmp_path}/r")), home, environ).root
        == tmp_path / "r/images"
    )
    assert (
        images.own_store(
            SiteConfig(storage=Storage(root="/r", image_cache=f"{tmp_path}/c")), home, environ
        ).root
        == tmp_path / "c"
    )
    central = tmp_path / "central"
    central.mkdir()
    site = SiteConfig(storage=Storage(images=str(central)))
    assert images.own_store(site, home, environ).shared
    central.chmod(0o777)
    assert images.shared_store(site, home, environ) is None, "everybody could put an image there"


def test_dry_run_names_what_a_build_would_do():
    made = Made("container", facts={"image": "docker://a/b:1", "dry_run": True})
    command = container.command(Recipe("x", ContainerSpec("docker://a/b:1")), made)
    assert command.values["image"] == "docker://a/b:1"
    assert command.argv[-1] == "{connection_file}"


@pytest.mark.parametrize(
    ("said", "call"),
    [
        (ContainerRuntime(module="tacc-apptainer"), "kw_find_runtime '' tacc-apptainer"),
        (ContainerRuntime(path="/opt/a/bin/apptainer"), "kw_find_runtime /opt/a/bin/apptainer ''"),
    ],
)
def test_dry_run_shows_the_sites_runtime_and_binds(said, call, home):
    site = SiteConfig(
        containers=Containers(
            runtimes={"apptainer": said}, binds=(Bind("/scratch", required=False),)
        )
    )
    builder = Builder(home, {"PATH": "/usr/bin:/bin"}, site, home, Silent())
    script = preview(builder, Recipe("x", ContainerSpec("docker://a/b:1")))["launch.sh"]
    assert call in script
    assert "/scratch" in script
    preview(builder, Recipe("x", ContainerSpec("/scratch-of-the-nodes/x.sif")))
    with pytest.raises(UserError):
        preview(builder, Recipe("x", ContainerSpec("nothing://a")))


def test_room_is_what_the_quota_leaves(home, tmp_path):
    """`quota` of the node is asked before a byte is pulled."""
    program = tmp_path / "lfs"
    program.write_text('#!/bin/sh\necho "$5 900 1000 1000 - 5 0 0 -"\n')
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    place = Place(home, home, home, environ, SiteConfig(), home)
    store = images.own_store(SiteConfig(), home, environ)
    rules.check_room(40_000, store, place)
    with pytest.raises(UserError, match="your Lustre quota at .* leaves") as caught:
        rules.check_room(60_000, store, place)
    assert caught.value.code == "disk-full"
