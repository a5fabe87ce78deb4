"""Which runtime is found, and the exact commands that it is given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kernelwright.config.model import (
    RUNTIMES,
    ContainerRuntime,
    Containers,
    ModuleConfig,
    SiteConfig,
)
from kernelwright.environments.container import (
    runtimes,
)
from kernelwright.errors import UserError

HEX = "a" * 64


def program(folder, name, says):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)
    return str(folder / name)


@pytest.mark.parametrize(
    ("says", "version", "number"),
    [
        ("apptainer version 1.4.5", "1.4.5", (1, 4, 5)),
        ("singularity-ce version 3.11.4-bionic", "3.11.4", (3, 11, 4)),
        ("singularity version 3.8.7-1.el8", "3.8.7", (3, 8, 7)),
    ],
)
def test_runtime_on_path(says, version, number, tmp_path):
    name = says.split("-")[0].split()[0]
    path = program(tmp_path / "bin", name, says)
    found = runtimes.find(None, SiteConfig(), {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    assert (found.name, found.path, found.version, found.number) == (name, path, version, number)


def test_site_path_wins_and_what_is_missing_is_passed_over(tmp_path):
    program(tmp_path / "bin", "apptainer", "apptainer version 1.1.0")
    own = program(tmp_path / "site", "singularity", "singularity version 3.8.7")
    site = SiteConfig(containers=Containers(runtimes={"singularity": ContainerRuntime(path=own)}))
    assert runtimes.find(None, site, {"PATH": f"{tmp_path}/bin:/bin"}).path == own
    gone = SiteConfig(
        containers=Containers(runtimes={"singularity": ContainerRuntime(path="/gone")})
    )
    assert runtimes.find(None, gone, {"PATH": f"{tmp_path}/bin:/bin"}).name == "apptainer"
    assert runtimes.find("apptainer", site, {"PATH": f"{tmp_path}/bin:/bin"}).name == "apptainer"


def test_a_runtime_that_nobody_knows_is_passed_over(tmp_path):
    own = program(tmp_path, "singularity", "singularity version 3.8.7")
    named = {"podman": ContainerRuntime(), "singularity": ContainerRuntime(path=own)}
    site = SiteConfig(containers=Containers(runtimes=named))
    assert tuple(runtimes.FLAVOURS) == RUNTIMES
    assert runtimes.find(None, site, {"PATH": "/nonexistent"}).name == "singularity"


def test_runtime_behind_a_module(tmp_path):
    path = program(tmp_path / "apps", "apptainer", "apptainer version 1.3.0")
    init = tmp_path / "init.sh"
    init.write_text(
        f'module() {{ [ "$1 $2" = "load tacc-apptainer/1.3" ] && PATH={tmp_path}/apps:$PATH; }}\n'
    )
    site = SiteConfig(
        containers=Containers(
            runtimes={"apptainer": ContainerRuntime(module="tacc-apptainer/1.3")}
        ),
        modules=ModuleConfig(init=str(init)),
    )
    found = runtimes.find(None, site, {"PATH": "/usr/bin:/bin"})
    assert (found.path, found.module) == (path, "tacc-apptainer/1.3")


def test_no_runtime_says_what_was_looked_for():
    with pytest.raises(UserError) as caught:
        runtimes.find(None, SiteConfig(), {"PATH": "/nowhere"})
    assert caught.value.code == "runtime-missing"
    assert caught.value.context == {"looked for": "apptainer, singularity"}


RUNTIME = runtimes.Runtime("apptainer", "/opt/apptainer", "1.4.5")


@pytest.mark.parametrize(
    ("argv", "exact"),
    [
        (
            RUNTIME.pull("docker://a/b:c", "/t/x.sif", insecure=False),
            ["pull", "/t/x.sif", "docker://a/b:c"],
        ),
        (
            RUNTIME.pull("docker://a/b:c", "/t/x.sif", insecure=True),
            ["pull", "--no-https", "/t/x.sif", "docker://a/b:c"],
        ),
        (
            replace(RUNTIME, name="singularity").pull("docker://a/b:c", "/t/x.sif", insecure=True),
            ["pull", "--nohttps", "/t/x.sif", "docker://a/b:c"],
        ),
        (
            RUNTIME.convert("oci-archive:/a.tar", "/t/x.sif"),
            ["build", "/t/x.sif", "oci-archive:/a.tar"],
        ),
        (RUNTIME.verify("/x.sif"), ["verify", "/x.sif"]),
        (
            RUNTIME.inside("/x.sif", ["python3"]),
            [
                "-s",
                "exec",
                "--contain",
                "--cleanenv",
                "--no-home",
                "--pwd",
                "/",
                "/x.sif",
                "python3",
            ],
        ),
    ],
    ids=["pull", "pull-http", "pull-http-old", "convert", "verify", "inside"],
)
def test_exact_commands(argv, exact):
    assert list(argv) == ["/opt/apptainer", *exact]


def test_environment_of_our_own_calls():
    """Settings that are meant for other containers would bind or set things in the probe."""
    outer = {
        "PATH": "/bin",
        "APPTAINER_BIND": "/x",
        "SINGULARITYENV_A": "1",
        "APPTAINERENV_B": "2",
        "APPTAINER_DOCKER_USERNAME": "u",
        "APPTAINER_CACHEDIR": "/c",
    }
    assert RUNTIME.environment(outer, temporary="/t") == {
        "PATH": "/bin", "APPTAINER_DOCKER_USERNAME": "u", "APPTAINER_CACHEDIR": "/c", "APPTAINER_TMPDIR": "/t"}  # fmt: skip
