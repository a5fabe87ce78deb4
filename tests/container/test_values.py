"""The parts that decide without a container: references, headers, runtimes, commands, wheels, checks."""

from __future__ import annotations

import json
import struct
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kernelwright.config.model import (
    ContainerRuntime,
    Containers,
    ModuleConfig,
    SiteConfig,
    Storage,
)
from kernelwright.environments import container
from kernelwright.environments.container import (
    images,
    inject,
    on_node,
    probe,
    registry,
    runtimes,
    sif,
    variables,
)
from kernelwright.environments.container.languages import start_of
from kernelwright.environments.container.reference import parse
from kernelwright.errors import UserError
from kernelwright.model import Bind, ContainerSpec, Made, Recipe

HEX = "a" * 64


# --- references ----------------------------------------------------------------------------------


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


def test_name_without_scheme_is_told_the_scheme(home, monkeypatch):
    monkeypatch.chdir(home)
    with pytest.raises(UserError) as caught:
        parse("python:3.12", home)
    assert caught.value.hint == "for an image of a registry write `docker://python:3.12`"


# --- files ---------------------------------------------------------------------------------------


def sif_file(path, arch=b"02\0", data=1000, length=1000):
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


# --- runtimes ------------------------------------------------------------------------------------


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


# --- what is in the image, and how its kernel starts ---------------------------------------------

GLIBC = probe.Findings(
    python="/usr/bin/python3",
    version=(3, 9, 2),
    machine="x86_64",
    libc="glibc",
    libc_version="2.31",
)


@pytest.mark.parametrize(
    ("change", "platform"),
    [
        ({}, "x86_64-manylinux_2_31"),
        ({"libc_version": "2.30"}, "x86_64-manylinux_2_28"),
        ({"libc_version": "2.99"}, "x86_64-manylinux_2_40"),
        ({"libc_version": "2.17", "machine": "aarch64"}, "aarch64-manylinux_2_17"),
        ({"libc": "musl", "libc_version": ""}, "x86_64-unknown-linux-musl"),
    ],
)
def test_wheels_fit_the_image(change, platform):
    assert inject.platform_of(replace(GLIBC, **change)) == platform


def test_too_old_library_and_python():
    with pytest.raises(UserError) as caught:
        inject.platform_of(replace(GLIBC, libc_version="2.12"))
    assert caught.value.code == "image-not-supported"
    recipe = Recipe("x", ContainerSpec("/x.sif"))
    for version in ((2, 7, 18), (3, 5, 3)):
        with pytest.raises(UserError) as caught:
            start_of(recipe, replace(GLIBC, version=version), "/x.sif")
        assert caught.value.code == "image-python-too-old"


def test_wheels_are_chosen_against_the_images_own_versions(tmp_path):
    wheels = inject.wheels_for(
        replace(GLIBC, packages={"tornado": "6.1", "ipykernel": "4.0", "traitlets": "5.0"}),
        "python",
    )
    assert wheels.pins == ("tornado==6.1", "traitlets==5.0")
    assert list(inject.arguments(wheels, Path("/r/python"), tmp_path, Path("/c"))) == [
        "pip", "install", "--target", str(tmp_path), "--python", "/r/python", "--python-version", "3.9",
        "--python-platform", "x86_64-manylinux_2_31", "--only-binary", ":all:", "--no-compile-bytecode", "--constraint", "/c", "ipykernel"]  # fmt: skip
    assert wheels.key != inject.wheels_for(GLIBC, "python").key


@pytest.mark.parametrize(
    "said",
    [
        "", "garbage", "KERNELWRIGHT-PROBE {", "KERNELWRIGHT-PROBE []", "KERNELWRIGHT-PROBE null", "KERNELWRIGHT-PROBE {}",
        'KERNELWRIGHT-PROBE {"executable": "-c", "version": "x", "libc": 3, "packages": [], "kernelspecs": [["/x", "y", "z"]]}',
        'KERNELWRIGHT-PROBE {"packages": {"tornado": "6 --index-url http://x"}, "kernelspecs": [["/x", ["a", 3], "r", null]]}',
    ],
)  # fmt: skip
def test_an_image_that_lies(said, tmp_path):
    """An answer of the wrong shape is none; nothing of it becomes an argument."""
    liar = tmp_path / "apptainer"
    liar.write_text(f"#!/bin/sh\ncat <<'EOF'\n{said}\nEOF\n")
    liar.chmod(0o755)
    found = probe.probe(
        replace(RUNTIME, path=str(liar)), "/x.sif", "python", {"PATH": "/usr/bin:/bin"}
    )
    assert (found.python, found.packages, found.kernelspecs, found.version) == (None, {}, (), ())


def test_kernelspec_of_the_image_starts_other_languages():
    spec = probe.Spec(
        "/usr/share/jupyter/kernels/julia",
        ("/opt/julia", "kernel.jl", "{connection_file}"),
        "julia",
        "message",
    )
    start = start_of(
        Recipe("x", ContainerSpec("/x"), language="julia"),
        probe.Findings(kernelspecs=(spec,)),
        "/x",
    )
    assert (start.argv, start.interrupt_mode, start.inject) == (spec.argv, "message", None)


def test_path_of_the_recipe_means_the_images():
    assert variables.paths({"PATH": "/a:${PATH}:/b"}) == (
        ("PREPEND_PATH", "/a"),
        ("APPEND_PATH", "/b"),
    )
    assert variables.paths({"PATH": "/only"}) == (("PATH", "/only"),)
    assert variables.paths({"A": "1"}) == ()


# --- the registry, without one -------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """Docker's token dance and an index of two processors."""

    def do_GET(self):
        host = self.headers["Host"]
        if self.path.startswith("/token"):
            assert "Authorization" not in self.headers
            return self.answer(200, {"token": "anonymous"})
        if self.headers.get("Authorization") != "Bearer anonymous":
            return self.answer(
                401,
                {},
                {
                    "WWW-Authenticate": f'Bearer realm="http://{host}/token",service="s",scope="repository:a/b:pull"'
                },
            )
        if self.path.endswith("/manifests/1"):
            entries = [
                {"digest": f"sha256:{n * 64}", "platform": {"os": "linux", "architecture": a}}
                for n, a in (("1", "amd64"), ("2", "arm64"))
            ]
            return self.answer(
                200, {"manifests": entries}, {"Docker-Content-Digest": f"sha256:{HEX}"}
            )
        if self.path.endswith("1" * 64):
            return self.answer(
                200,
                {"layers": [{"size": 10}, {"size": 20}, {"size": "x"}]},
                {"Docker-Content-Digest": f"sha256:{'1' * 64}"},
            )
        if self.path.endswith("/page"):
            return self.answer(200, "a login page")
        return self.answer(404, {})

    def answer(self, status, value, headers=()):
        self.send_response(status)
        for name, text in dict(headers).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"docker://127.0.0.1:{server.server_port}/a/b"
    server.shutdown()
    server.server_close()


def test_registry_answers(hub, home):
    assert registry.look_up(parse(f"{hub}:1", home), "amd64") == registry.Listing(
        f"sha256:{HEX}", 30, ("amd64", "arm64")
    )
    assert registry.look_up(parse(f"{hub}:1", home), "ppc64le").size is None
    with pytest.raises(registry.UnknownTagError):
        registry.look_up(parse(f"{hub}:2", home), "amd64")
    with pytest.raises(registry.UnreachableError):
        registry.look_up(parse(f"{hub}:page", home), "amd64")


# --- check and show ------------------------------------------------------------------------------


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
