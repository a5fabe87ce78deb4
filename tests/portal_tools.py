"""Starts the preview as people do, gives its address, and visits it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from portal.client import Person
from portal.settings import BASE

ROOT = Path(__file__).resolve().parent.parent
FIXTURE = ROOT / "tests/portal/app"


@contextmanager
def portal(home, *words, app=None, env=None):
    """A preview in a process of its own; on the way out it ends with all of its jobs."""
    environ = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "KERNELWRIGHT_HOME": str(home),
        "PORTAL_SCHEDULER": "local",
        **(env or {}),
    }
    argv = [
        sys.executable,
        "-m",
        "portal",
        "--home",
        home,
        *(["--app", app] if app else []),
        *words,
    ]
    child = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, cwd=ROOT
    )
    try:
        address = child.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), child.stderr.read()
        yield address
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            _, errors = child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    assert errors == "", errors


POST = f"{BASE}/batch_connect/sys/kernelwright/session_contexts"


def visit(place, action):
    """Run `action(person)`."""

    async def go():
        async with Person(place.address) as person:
            return await action(person)

    return asyncio.run(go())


def render(app, action="evaluate", **more):
    done = subprocess.run(
        ["ruby", ROOT / "portal/render.rb"], input=json.dumps({"action": action, "app": str(app), **more}),
        capture_output=True, text=True, timeout=60, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def root_of(place, card):
    return place.home / "ondemand/data/sys/dashboard/batch_connect/sys/kernelwright/output" / card


def log_of(place, card, word, seconds=60):
    """output.log once `word` stands in it."""
    until = time.monotonic() + seconds
    log = root_of(place, card) / "output.log"
    while not (log.exists() and word in log.read_text()):
        assert time.monotonic() < until, log.read_text() if log.exists() else "no log"
        time.sleep(0.05)
    return log.read_text()
