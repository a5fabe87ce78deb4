"""What the tests of `session prepare` share."""

from __future__ import annotations

from kernelwright.session.prepare import prepare

from .ood import central_kernel


def go(session):
    return prepare(session, host="127.0.0.1", port="5000")


def user_kernel(home, name, label="Mine"):
    return central_kernel(home / ".local/share/jupyter/kernels" / name, label)
