"""What an image says of itself, how its kernel starts, which wheels are brought to it; what a registry says."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kernelwright.environments.container import (
    inject,
    probe,
    registry,
    runtimes,
    variables,
)
from kernelwright.environments.container.languages import start_of
from kernelwright.environments.container.reference import parse
from kernelwright.errors import UserError
from kernelwright.model import ContainerSpec, Recipe

HEX = "a" * 64
RUNTIME = runtimes.Runtime("apptainer", "/opt/apptainer", "1.4.5")


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
