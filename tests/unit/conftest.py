"""The command in this process: fast, with captured streams."""

import io
import os
from pathlib import Path

import pytest

from kernelwright import cli
from kernelwright.builder import Builder
from kernelwright.cli.context import Context
from kernelwright.config.model import SiteConfig
from kernelwright.progress import Silent


class Answer:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def json(self):
        import json

        return json.loads(self.out)


@pytest.fixture
def kw(home, monkeypatch):
    """`kw("list", "--json")` runs the command against an empty home and returns status, out and err."""

    def run(*words, environ=None, runtime=None):
        out, err = io.StringIO(), io.StringIO()
        env = {**os.environ, **(environ or {})}
        if runtime:
            env["KERNELWRIGHT_RUNTIME"] = str(runtime)
        context = Context(Path(home), env, out, err)
        monkeypatch.setattr(Context, "from_process", classmethod(lambda _: context))
        try:
            status = cli.main([str(w) for w in words])
        except SystemExit as done:  # argparse's --help
            status = done.code
        return Answer(status, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def builder(home, runtime, uv_cache):
    """A builder of this home, with a cache that outlives it."""
    return Builder(
        home, {**os.environ, "UV_CACHE_DIR": str(uv_cache)}, SiteConfig(), runtime, Silent()
    )
