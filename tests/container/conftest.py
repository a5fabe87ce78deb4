"""A real Apptainer, real images, a real registry, and kernels driven as an unprivileged user."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from container.imagery import Imagery
from parts import missing

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED = Path("/var/tmp/kernelwright-tests")
DRIVER = Path(__file__).with_name("drive.py")


@pytest.fixture(scope="session")
def apptainer():
    """The real program, installed once by scripts/get-apptainer.sh; readable by every user."""
    script = ROOT / "scripts/get-apptainer.sh"
    SHARED.mkdir(mode=0o755, exist_ok=True)
    folder = SHARED / f"apptainer-{hashlib.sha256(script.read_bytes()).hexdigest()[:12]}"
    with open(SHARED / "apptainer.gate", "w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            done = subprocess.run([script, folder], capture_output=True, text=True, timeout=300)
            if done.returncode:
                missing(f"Apptainer: {done.stderr[-500:]}")
            (folder / "ready").touch()
    return folder / "usr/bin/apptainer"


@pytest.fixture(scope="session")
def imagery(apptainer):
    """The images by name, made when first asked for."""
    if not shutil.which("mksquashfs"):
        missing("mksquashfs (package squashfs-tools)")
    return Imagery(SHARED, apptainer)


@pytest.fixture(scope="session")
def fuse():
    """/dev/fuse as on a real node: some machines keep it to root; the last test process puts it back.

    Where there is none, images are unpacked at each start, and that is tested instead.
    """
    device = Path("/dev/fuse")
    if not device.exists() or os.getuid() != 0:
        yield device.exists()
        return
    with fuse_users() as users:
        users.setdefault("mode", stat.S_IMODE(device.stat().st_mode))
        users["pids"].append(os.getpid())
        device.chmod(0o666)
    yield True
    with fuse_users() as users:
        users["pids"].remove(os.getpid())
        if not users["pids"]:
            device.chmod(users.pop("mode"))


@contextmanager
def fuse_users():
    """Which test processes have /dev/fuse open to all, and its mode before; one at a time."""
    with open(SHARED / "fuse.json", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        users = json.loads(file.read() or '{"pids": []}')
        users["pids"] = [pid for pid in users["pids"] if Path(f"/proc/{pid}").exists()]
        yield users
        file.truncate(0)
        file.write(json.dumps(users))


@dataclass
class Registry:
    """A registry on this machine with `lab/bare` in it."""

    port: int
    folder: Path
    process: subprocess.Popen

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def put(self, layout, name):
        words = [
            "skopeo",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
            f"oci:{layout}",
            f"docker://{self.host}/{name}",
        ]
        subprocess.run(words, check=True, timeout=120, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def registry(imagery, tmp_path_factory):
    """Debian's docker-registry on a free port, filled by skopeo."""
    for program in ("docker-registry", "skopeo"):
        if not shutil.which(program):
            missing(f"{program} (package of that name)")
    folder = tmp_path_factory.mktemp("registry")
    served = serve(folder)
    served.put(imagery.oci_layout("bare"), "lab/bare:1")
    yield served
    served.process.terminate()
    served.process.wait(30)


def serve(folder, extra=""):
    """A registry over `folder`; tries again where somebody else took the free port meanwhile."""
    for _ in range(5):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = folder / "config.yml"
        settings.write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}'}}\n{extra}"
        )
        with open(folder / "log", "ab") as log:
            process = subprocess.Popen(
                ["docker-registry", "serve", settings],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return Registry(port, folder, process)
            time.sleep(0.05)
        process.kill()
        process.wait()
    raise RuntimeError(f"the registry did not start: {(folder / 'log').read_text()[-500:]}")


class Person:
    """An unprivileged user with Kernelwright and Apptainer on PATH."""

    def __init__(self, user, runtime, apptainer, wheels):
        self.user, self.runtime = user, runtime
        path = f"{apptainer.parent}:{runtime}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        self.environ = {"PATH": path, "UV_CACHE_DIR": str(wheels(user))}

    def kernelwright(self, *words, env=None, timeout=300.0):
        return self.user.run(
            [self.runtime / "bin/kernelwright", *words],
            env=self.environ | (env or {}),
            timeout=timeout,
        )

    def create(self, name, image, *words, env=None, timeout=300.0):
        """`create container`; the command must succeed."""
        done = self.kernelwright(
            "create", "container", name, str(image), *words, env=env, timeout=timeout
        )
        assert done.ok, f"{done.stderr}\n{done.stdout}"
        return done

    def refused(self, name, image, *words, env=None, timeout=300.0):
        """`create container` that must fail with a word for people; returns the JSON error."""
        done = self.kernelwright(
            "create", "container", name, str(image), *words, "--json", env=env, timeout=timeout
        )
        assert done.status in {1, 2}, f"status {done.status}\n{done.stderr}\n{done.stdout}"
        assert "Traceback" not in done.stderr
        assert not (self.user.home / ".local/share/jupyter/kernels" / name).exists(), (
            "a failed kernel was published"
        )
        return json.loads(done.stdout)["error"]

    def drive(self, name, *steps, env=None, cwd=None, timeout=400.0):
        """Start the kernel, do the steps, end it; returns the answers, and asserts that nothing is left."""
        words = [self.runtime / "venv/bin/python", DRIVER_COPY(), name]
        done = self.user.run(
            words, env=self.environ | (env or {}), cwd=cwd, stdin=json.dumps(steps), timeout=timeout
        )
        assert done.ok, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert result["failed"] is None, f"{result['failed']}\n{result['log']}\n{done.stderr}"
        self.assert_nothing_left()
        return result["answers"]

    def processes(self):
        """What still runs as this user: (pid, command)."""
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                try:
                    if os.stat(entry.path).st_uid == self.user.uid:
                        line = Path(entry.path, "stat").read_text()
                        if line.rpartition(")")[2].split()[0] != "Z":
                            found.append(
                                (
                                    int(entry.name),
                                    Path(entry.path, "cmdline")
                                    .read_text()
                                    .replace("\0", " ")[:150],
                                )
                            )
                except (FileNotFoundError, ProcessLookupError):
                    continue
        return found

    def assert_nothing_left(self, seconds=30):
        """No starter, no squashfuse, no kernel, no mount: all ends within a moment."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left, f"left behind: {left}"


def DRIVER_COPY():
    """drive.py where an unprivileged user can read it: the checkout may lie below a private folder."""
    copy = SHARED / f"drive-{hashlib.sha256(DRIVER.read_bytes()).hexdigest()[:12]}.py"
    if not copy.exists():
        part = copy.with_suffix(f".{os.getpid()}")
        shutil.copy(DRIVER, part)
        part.chmod(0o644)
        part.rename(copy)
    return copy


@pytest.fixture(scope="session")
def wheels():
    """A cache of wheels for each user that outlives their homes: each test would else download 80 MB."""
    made = {}

    def of(user):
        if user.name not in made:
            made[user.name] = Path(tempfile.mkdtemp(prefix="uv-", dir=SHARED))
            os.chown(made[user.name], user.uid, user.gid)
        return made[user.name]

    yield of
    for folder in made.values():
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def person(alice, runtime, apptainer, fuse, wheels):
    """alice, who is no root and has an empty home."""
    assert alice.uid != 0
    return Person(alice, runtime, apptainer, wheels)


@pytest.fixture
def other_person(bob, runtime, apptainer, fuse, wheels):
    """bob, the same."""
    return Person(bob, runtime, apptainer, wheels)


@pytest.fixture(scope="session")
def registry_with_shell(registry, imagery):
    registry.put(imagery.oci_layout("shell-only"), "lab/shell:1")
    return registry


@pytest.fixture
def image(registry_with_shell):
    return f"docker://{registry_with_shell.host}/lab/shell:1"
