"""What the tests of `session prepare` share."""

from __future__ import annotations

import sys

from kernelwright.session.prepare import prepare

from .ood import central_kernel


def go(session):
    return prepare(session, host="127.0.0.1", port="5000")


def user_kernel(home, name, label="Mine"):
    return central_kernel(home / ".local/share/jupyter/kernels" / name, label)


def command(root, private):
    """`session prepare` as before.sh calls it, in this checkout's Python."""
    words = [sys.executable, "-I", "-m", "kernelwright", "session", "prepare"]
    return [*words, str(root / "request.json"), "--dir", str(private), "--host", "127.0.0.1", "--port", "5000"]  # fmt: skip
