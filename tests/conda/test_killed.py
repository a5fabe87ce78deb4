"""SIGKILL and Ctrl-C at any moment: the old kernel stays, the next call completes, nothing is left over.

The real command is killed, in a home of its own; the moments are drawn with a seed that is printed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

SEED = int(os.environ.get("KW_SEED", "20261129"))
DEADLINE = 240


class Account:
    """One home with a site file over the local channel."""

    def __init__(self, home, server):
        self.home, self.server = home, server
        site = home.parent / "site.yaml"
        site.write_text(yaml.safe_dump({"conda": {"channels": [server.url]}}))
        self.environ = {
            **{k: v for k, v in os.environ.items() if k in {"PATH", "LANG"}},
            "HOME": str(home),
            "KERNELWRIGHT_HOME": str(home),
            "KERNELWRIGHT_SITE_CONFIG": str(site),
            "KERNELWRIGHT_COMPILE": "never",
            "UV_DEFAULT_INDEX": server.index,
        }

    def start(self, *words):
        command = [sys.executable, "-m", "kernelwright", *words]
        return subprocess.Popen(
            command,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words):
        child = self.start(*words)
        out, err = child.communicate(timeout=DEADLINE)
        assert child.returncode == 0, err + out
        return out

    def end(self, child, sign):
        """Send `sign` to the command and everything that it has started, and wait for its end."""
        try:
            os.killpg(child.pid, sign)
        except ProcessLookupError:
            pass
        child.communicate(timeout=DEADLINE)

    def answer(self, name):
        spec = json.loads(
            (self.home / f".local/share/jupyter/kernels/{name}/kernel.json").read_text()
        )
        words = [
            spec["argv"][0],
            "--shell",
            "--",
            "python",
            "-c",
            "import greetings; print(greetings.VERSION)",
        ]
        done = subprocess.run(
            words, env=self.environ, capture_output=True, text=True, timeout=DEADLINE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    def leftovers(self):
        """Generations without their marker, temporary files in our folders, and purged remains."""
        data = self.home / ".local/share/kernelwright"
        drafts = [
            p
            for p in (data / "kernels").glob("*/*")
            if p.name.isdecimal() and not (p / "complete").exists()
        ]
        temporary = [
            p
            for base in (data / "kernels", self.home / ".local/share/jupyter")
            for p in base.glob("**/.kw-*")
        ]
        return drafts + temporary + list((data / "kernels").glob("*/*/.env.purged*"))


@pytest.fixture
def account(home, server):
    return Account(home, server)


def kill_series(account, moments, sign=signal.SIGKILL):
    account.run("create", "conda", "rna", "greetings=1.0", "--no-test")
    begun = time.monotonic()
    account.run("create", "conda", "probe", "greetings=1.1", "activator", "--no-test")
    whole = time.monotonic() - begun
    for share in moments:
        child = account.start(
            "create", "conda", "next", "greetings=1.1", "bulky", "--no-test", "--replace"
        )
        try:
            child.wait(timeout=max(0.02, whole * share))
        except subprocess.TimeoutExpired:
            pass
        account.end(child, sign)
        assert account.answer("rna") == "1.0"
    account.run("create", "conda", "next", "greetings=1.1", "bulky", "--no-test", "--replace")
    assert account.answer("next") == "1.1"
    account.run("storage", "--clean")
    assert account.leftovers() == []


def test_killed_at_a_few_moments(account):
    chosen = random.Random(SEED)
    kill_series(account, [0.35, 0.7, chosen.uniform(0.2, 1.1), chosen.uniform(0.2, 1.1)])


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_killed_at_fifty_moments(account):
    chosen = random.Random(SEED)
    print("seed", SEED)
    kill_series(account, [chosen.uniform(0.05, 1.2) for _ in range(50)])


def test_interrupted_it_leaves_nothing_and_the_cache_serves_the_next(account):
    account.server.fail("*/bulky-*.conda", "hang")
    child = account.start(
        "create", "conda", "next", "bulky", "--language", "r", "--no-test", "--progress", "plain"
    )
    deadline = time.monotonic() + DEADLINE
    while not any("/bulky-" in r for r in account.server.requests):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 130, err
    assert "interrupted; nothing was published" in err
    assert account.leftovers() == []
    assert not list((account.home / ".local/share/kernelwright/kernels").glob("*"))
    account.server.calm()
    account.run("create", "conda", "next", "bulky", "--language", "r", "--no-test")
    assert not [r for r in account.server.requests if "/r-base-" in r]


def test_two_at_once_build_once(account):
    """The second waits for the first with a message, and uses what it made."""
    recipe = account.home.parent / "recipe.yml"
    recipe.write_text("version: 1\nname: rna\nenvironment: {conda: {dependencies: [greetings]}}\n")
    code = (
        "import sys; from kernelwright.builder import Builder; from kernelwright.recipe import load; from kernelwright.config import load_effective\n"
        "import os, pathlib; from kernelwright.paths import home_folder, runtime_folder\n"
        "class P:\n"
        "    def phase(self, name, text): print('phase', name, flush=True)\n"
        "    def advance(self, *a): pass\n"
        "    def note(self, text): print('note', text, flush=True)\n"
        f"r = load(open({str(recipe)!r}).read(), source='x')\n"
        "b = Builder(home_folder(), dict(os.environ), load_effective(os.environ), runtime_folder(), P(), test=False)\n"
        "print('generation', b.create(r, reuse=True).folder)\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=account.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [child.communicate(timeout=DEADLINE) for child in children]
    assert all(child.returncode == 0 for child in children), said
    folders = {out.split("generation ")[1].strip() for out, _ in said}
    assert len(folders) == 1
    assert sum("phase link" in out or "phase solve" in out for out, _ in said) == 1, said


def test_the_command_ends_without_the_interpreters_own_end():
    """A thread of the engine may still hold on to Python then, which would be a fatal error after all was done."""
    code = (
        "import atexit, os, runpy, sys, types\n"
        "sys.modules['rattler'] = types.ModuleType('rattler')\n"
        "atexit.register(os.abort)\n"
        "sys.argv = ['kernelwright', '--version']\n"
        "runpy.run_module('kernelwright', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0
    assert done.stdout.startswith("kernelwright ")
