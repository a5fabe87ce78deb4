from __future__ import annotations

import os
import sys

import pytest
from launch.kit import BASIC, Kernel, generation


@pytest.fixture
def env(home):
    """A plain environment of a start, as a notebook server has it."""
    return {**BASIC, "HOME": str(home), "KERNELWRIGHT_HOME": str(home)}


@pytest.fixture
def make(tmp_path, runtime, env):
    """`make(argv, ..., env=..., **recipe)`: a kernel that is not started yet."""
    count = []

    def build(argv=None, *, environ=None, cwd=tmp_path, **recipe):
        count.append(1)
        folder = generation(
            tmp_path / f"gen {len(count)}'s" / "1",
            argv,
            runtime=recipe.pop("runtime", runtime),
            **recipe,
        )
        return Kernel(folder, env | (environ or {}), cwd=cwd)

    return build


@pytest.fixture
def run_launch(tmp_path, runtime, env):
    """`run_launch(command words, ...)`: the output of `launch.sh --shell -- WORDS`."""
    from kernelwright import process

    def run(*words, environ=None, command=None, cwd=None, **recipe):
        folder = generation(
            tmp_path / f"shell{os.urandom(4).hex()}" / "1",
            command=command,
            runtime=runtime,
            **recipe,
        )
        return process.run(
            [str(folder / "launch.sh"), "--shell", "--", *words],
            timeout=60,
            env=env | (environ or {}),
            cwd=cwd or tmp_path,
        )

    return run


@pytest.fixture
def printed(run_launch):
    """The environment of a kernel as a mapping, exactly as its processes see it."""

    def ask(**options):
        code = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(k + b'=' + v for k, v in os.environb.items()))"
        result = run_launch(sys.executable, "-S", "-c", code, **options)
        assert result.ok, result
        return dict(pair.split("=", 1) for pair in result.stdout.split("\0"))

    return ask
