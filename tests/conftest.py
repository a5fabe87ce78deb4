"""Fixtures that every test may use: hermetic homes, unprivileged users, an installed runtime."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernelwright import process
from kernelwright.config.model import SiteConfig

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(
    "/var/tmp/kernelwright-tests"
)  # readable by all: a checkout may lie below a private folder


if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # started behind `&` or nohup: children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# the folders whose files take longest come first, so that no worker is left with a long one at the end
LONG = (
    "slurm/test_whole_minutes",
    "browser",
    "slurm",
    "portal",
    "share",
    "container",
    "conda",
    "session",
    "unit/test_install",
    "unit/test_builder",
    "launch",
    "kernels",
)


def pytest_collection_modifyitems(items):
    def rank(item):
        where = item.path.relative_to(ROOT / "tests").as_posix()
        return next((i for i, name in enumerate(LONG) if where.startswith(name)), len(LONG))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _no_user_settings(monkeypatch):
    """Nothing of the person's own environment decides a test."""
    for name in list(os.environ):
        if (
            name.startswith(("KERNELWRIGHT_", "JUPYTER_", "SLURM_", "CONDA_"))
            and name != "JUPYTER_PLATFORM_DIRS"
        ):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home that the engine takes for the user's own."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("KERNELWRIGHT_HOME", str(folder))
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def uv_cache():
    """A cache of downloaded packages that outlives the homes of single tests."""
    folder = SHARED / f"uv-cache-{os.getuid()}"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder


@pytest.fixture
def site():
    """The settings of a site that has configured nothing."""
    return SiteConfig()


@pytest.fixture(scope="session")
def runtime():
    """An installed runtime (`make install`) with this checkout's code, readable by every user.

    The packages are installed once for each checkout and pyproject.toml (checkouts do not disturb each
    other's runs); the code is copied anew when it changed.
    """
    SHARED.mkdir(mode=0o755, exist_ok=True)
    with open(SHARED / "lock", "w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        key = hashlib.sha256(
            bytes(ROOT)
            + (ROOT / "pyproject.toml").read_bytes()
            + (ROOT / "scripts/install.sh").read_bytes()
        )
        prefix = SHARED / f"runtime-{key.hexdigest()[:12]}"
        if not (prefix / "ready").exists():
            shutil.rmtree(prefix, ignore_errors=True)
            subprocess.run(
                [ROOT / "scripts/install.sh", prefix],
                check=True,
                timeout=900,
                stdout=subprocess.DEVNULL,
            )
            (prefix / "ready").touch()
        package = (
            next((prefix / "current/venv/lib").glob("python3*")) / "site-packages/kernelwright"
        )
        source, target = f"{ROOT}/lib/kernelwright/", f"{package}/"
        subprocess.run(
            ["rsync", "-rlp", "--delete", "--checksum", "--exclude=__pycache__", source, target],
            check=True,
        )
        subprocess.run(["chmod", "-R", "a+rX", package], check=True)
        shutil.copy(ROOT / "bin/kernelwright", prefix / "bin/kernelwright")
    return prefix


@dataclass(frozen=True)
class User:
    """A real Unix user made for this run."""

    name: str
    uid: int
    gid: int
    home: Path

    def run(self, argv, *, timeout=120.0, env=None, cwd=None, stdin=None):
        """Run `argv` as this user in a login-like environment."""
        base = {
            "HOME": str(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": "/bin/bash",
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "TMPDIR": "/tmp",
        }
        words = [
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            "--init-groups",
            "--",
            *map(str, argv),
        ]
        return process.run(
            words, timeout=timeout, env=base | (env or {}), cwd=cwd or self.home, stdin=stdin
        )

    def prefix(self):
        """The words before a command that make it this user's (for Popen)."""
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups", "--"]


@pytest.fixture(scope="session")
def _users():
    """alice and bob share the group, carol is outside; all three are gone after the run."""
    if os.getuid() != 0:
        pytest.skip("needs root to become an unprivileged user")
    tag = f"{os.getpid() % 100000:05d}"
    group = f"kwlab{tag}"
    subprocess.run(["groupadd", group], check=True, timeout=60)
    base = SHARED / "homes"
    base.mkdir(mode=0o755, parents=True, exist_ok=True)
    os.chmod(SHARED, 0o755)
    made = {}
    try:
        for who in ("alice", "bob", "carol"):
            name = f"kw{who}{tag}"
            folder = base / name
            extra = [] if who == "carol" else ["-G", group]
            subprocess.run(
                ["useradd", "-M", "-d", folder, "-s", "/bin/bash", *extra, name],
                check=True,
                timeout=60,
            )
            entry = pwd.getpwnam(name)
            made[who] = User(name, entry.pw_uid, entry.pw_gid, folder)
        yield made, group
    finally:
        for user in made.values():
            end_processes_of(user.uid)
            shutil.rmtree(user.home, ignore_errors=True)
            subprocess.run(["userdel", user.name], timeout=60, stderr=subprocess.DEVNULL)
        subprocess.run(["groupdel", group], timeout=60, stderr=subprocess.DEVNULL)


def end_processes_of(uid):
    """End what a test user left running; these users exist for this run alone."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                if os.stat(entry.path).st_uid == uid:
                    os.kill(int(entry.name), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                continue


def _fresh(user):
    assert user.uid != 0
    end_processes_of(user.uid)
    for _ in range(50):  # a process that is just ending may still write
        shutil.rmtree(user.home, ignore_errors=True)
        if not user.home.exists():
            break
        time.sleep(0.1)
    user.home.mkdir(mode=0o755)
    os.chown(user.home, user.uid, user.gid)
    return user


@pytest.fixture
def alice(_users):
    """An unprivileged user with an empty home, member of `lab`."""
    return _fresh(_users[0]["alice"])


@pytest.fixture
def bob(_users):
    """Another one, member of `lab` too."""
    return _fresh(_users[0]["bob"])


@pytest.fixture
def carol(_users):
    """One who is not in `lab`."""
    return _fresh(_users[0]["carol"])


@pytest.fixture
def lab(_users):
    """The name of the group of alice and bob."""
    return _users[1]


@pytest.fixture
def run_as():
    """`run_as(user, argv, ...)`: the same as `user.run(argv, ...)`."""
    return lambda user, argv, **options: user.run(argv, **options)
