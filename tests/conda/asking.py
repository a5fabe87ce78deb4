"""What the tests of conda environments ask: a made environment, and the code of an error."""

from __future__ import annotations

import subprocess

import pytest

from kernelwright.errors import UserError


def python(made, code):
    done = subprocess.run(
        [made.interpreter, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def code_of(action, *arguments, **options):
    with pytest.raises(UserError) as caught:
        action(*arguments, **options)
    return caught.value.code, caught.value
