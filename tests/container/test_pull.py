"""Pulling from a real registry, and everything that can go wrong on the way."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from container.conftest import serve

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


@pytest.fixture(scope="session")
def registry_with_shell(registry, imagery):
    registry.put(imagery.oci_layout("shell-only"), "lab/shell:1")
    return registry


@pytest.fixture
def image(registry_with_shell):
    return f"docker://{registry_with_shell.host}/lab/shell:1"


def made(person, name):
    kernel = json.loads(
        (person.user.home / ".local/share/jupyter/kernels" / name / "kernel.json").read_text()
    )
    return json.loads(open_text(os.path.dirname(kernel["argv"][0]) + "/made.json"))["facts"]


def open_text(path):
    with open(path) as stream:
        return stream.read()


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


def test_site_limit_of_size(person, registry):
    site = site_file(person, {"policy": {"max_size": "1M"}})
    assert refused(person, f"docker://{registry.host}/lab/bare:1", site)["code"] == "policy-size"


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
