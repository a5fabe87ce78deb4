"""What can go wrong on the way from a registry, for real: nothing half-made is ever used."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import threading

import pytest

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
from kernelwright.environments.container import sif


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda host: f"{host}/lab/shell:none", "image-unknown"),
        (lambda host: f"{host}/lab/nothing:1", "image-unknown"),
        (lambda host: f"{host}/lab/shell@sha256:{'0' * 64}", "image-unknown"),
        (lambda _: "127.0.0.1:1/lab/shell:1", "registry-unreachable"),
        (lambda _: "no-such-host.invalid/lab/shell:1", "registry-unreachable"),
    ],
    ids=["tag", "name", "digest", "refused", "host"],
)  # fmt: skip
def test_what_the_registry_does_not_have(change, code, person, registry_with_shell):
    assert refused(person, f"docker://{change(registry_with_shell.host)}")["code"] == code


def test_login_is_the_runtimes_own(person, imagery, tmp_path_factory):
    """401 says how to log in; after the login it works; the password is nowhere in our files."""
    folder = tmp_path_factory.mktemp("private")
    word = subprocess.run(
        ["perl", "-e", 'print crypt("open-sesame", q($2y$05$abcdefghijklmnopqrstuu))'],
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
    assert word.startswith("$2y$"), "perl's crypt has no bcrypt here"
    (folder / "users").write_text(f"lab:{word}\n")
    private = serve(folder, f"auth: {{htpasswd: {{realm: lab, path: {folder / 'users'}}}}}\n")
    try:
        words = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", "--dest-creds=lab:open-sesame",
                 f"oci:{imagery.oci_layout('shell-only')}", f"docker://{private.host}/lab/secret:1"]  # fmt: skip
        subprocess.run(words, check=True, timeout=120, stdout=subprocess.DEVNULL)
        address = f"docker://{private.host}/lab/secret:1"
        error = refused(person, address)
        assert error["code"] == "registry-denied"
        assert "registry login" in error["hint"]
        # what `registry login` writes; that itself insists on https
        settings = {
            "auths": {private.host: {"auth": base64.b64encode(b"lab:open-sesame").decode()}}
        }
        person.user.run(["mkdir", person.user.home / ".apptainer"])
        (person.user.home / ".apptainer/docker-config.json").write_text(json.dumps(settings))
        done = pull(person, "ours", address)
        assert done.ok, done.stderr
        assert made(person, "ours")["digest"] is None
        for secret in ("open-sesame", settings["auths"][private.host]["auth"]):
            assert (
                person.user.run(["grep", "-rl", secret, person.user.home / ".local"]).stdout == ""
            )
    finally:
        private.process.terminate()
        private.process.wait(30)


class Cutting:
    """A TCP proxy to a registry that goes dead after `limit` bytes, as a router may."""

    def __init__(self, port, limit):
        self.left, self.upstream, self.dead = limit, port, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.dead:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self.upstream))
                self.open += [client, server]
                threading.Thread(
                    target=self.copy, args=(client, server, False), daemon=True
                ).start()
                threading.Thread(target=self.copy, args=(server, client, True), daemon=True).start()

    def copy(self, source, target, counted):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted:
                    self.left -= len(data)
                    if self.left < 0:
                        self.dead = True
                        break
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self):
        for one in (self.listener, *self.open):
            with contextlib.suppress(OSError):
                one.close()


def test_stop_in_mid_pull(person, image, registry):
    """The transfer breaks off after 1 of 3 MB; the next try works and uses what is whole."""
    cutting = Cutting(registry.port, 1 << 20)
    try:
        error = refused(person, f"docker://127.0.0.1:{cutting.port}/lab/shell:1")
        assert error["code"] == "registry-unreachable"
    finally:
        cutting.close()
    assert not list(store(person).glob("*.part-*"))
    assert pull(person, "again", image).ok


@pytest.fixture
def small_disk(person):
    """A file system of 40 MB of which the user owns the top."""
    folder = person.user.home / "small"
    folder.mkdir()
    options = f"size=40m,uid={person.user.uid},mode=755"
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", folder], timeout=30
    ).returncode:
        pytest.skip("NOT TESTED: root may not mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True, timeout=30)


def test_disk_full_in_mid_pull(person, registry, small_disk):
    """The layers fit, the unpacked image does not."""
    site = site_file(person, {"storage": {"image_cache": str(small_disk / "images")}})
    error = refused(person, f"docker://{registry.host}/lab/bare:1", site)
    assert error["code"] == "disk-full"
    assert_store_is_sound(person, small_disk / "images")
    assert not list((small_disk / "images").glob("*.part-*"))


def test_too_little_room_is_seen_before_the_pull(person, registry, small_disk):
    (small_disk / "taken").write_bytes(b"x" * (25 << 20))
    os.chown(small_disk / "taken", person.user.uid, person.user.gid)
    site = site_file(person, {"storage": {"image_cache": str(small_disk / "images")}})
    error = refused(person, f"docker://{registry.host}/lab/bare:1", site)
    assert error["code"] == "disk-full"
    assert "needs about" in error["message"]


def kill_series(person, address, moments):
    """SIGKILL of our process alone, as the OOM killer does; then the same request must succeed."""
    for moment in moments:
        process = start(person, "k", address)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=moment)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert_store_is_sound(person)
        if process.returncode == 0:
            person.kernelwright("remove", "k")
    done = start(person, "last", address)
    said = done.communicate(timeout=300)[0]
    assert done.returncode == 0, said
    assert_store_is_sound(person)
    assert sif.examine(made(person, "last")["file"]) is None


def test_killed_pulls_leave_nothing_half_made(person, image):
    generator = random.Random(5)
    kill_series(person, image, [generator.uniform(0.1, 2.0) for _ in range(3)])


@pytest.mark.soak
def test_thirty_killed_pulls(person, registry):
    generator = random.Random(30)
    kill_series(
        person,
        f"docker://{registry.host}/lab/bare:1",
        [generator.uniform(0.05, 5.0) for _ in range(30)],
    )
