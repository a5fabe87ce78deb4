"""Starts the preview as people do and gives its address."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

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
