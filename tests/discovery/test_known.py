"""The short way of `list --json` gives what the long way gives, or nothing, whatever was changed meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kernelwright import known
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover, write_index

OLD = 1_700_000_000


def put(home: Path, name: str, root: str = ".local/share/jupyter/kernels", **keys: object) -> Path:
    folder = home / root / name
    folder.mkdir(parents=True, exist_ok=True)
    spec = {
        "argv": [str(home / "bin/python"), "{connection_file}"],
        "display_name": name,
        "language": "python",
        **keys,
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    return folder


def settle(home: Path) -> None:
    """Make everything look old, as it is two seconds after the last change."""
    for path in [home, *home.rglob("*")]:
        if ".local/share/kernelwright" not in str(path) and not path.is_symlink():
            os.utime(path, (OLD, OLD))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin/python").write_text("#!/bin/sh\n")
    (home / "bin/python").chmod(0o755)
    put(home, "one")
    put(home, "two", argv=[])
    put(home, "env", "miniforge3/envs/mine/share/jupyter/kernels")
    (home / "miniforge3/envs/mine/conda-meta").mkdir()
    (home / ".local/share/jupyter/kernels/empty").mkdir()
    settle(home)
    return home


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "KERNELWRIGHT_HOME": str(home), "PATH": "/usr/bin:/bin"}


def long_way(home: Path, environ: dict[str, str]) -> list:
    kernels = discover(home=home, environ=environ, site=SiteConfig())
    write_index(home, kernels)
    return [
        [k.name, k.display_name, k.state, k.path, k.visible, [p.code for p in k.problems]]
        for k in kernels
    ]


def short_way(environ: dict[str, str]) -> list | None:
    text = known.answer(environ)
    rows = None if text is None else json.loads(text)["kernels"]
    keys = ("name", "display_name", "state", "path", "visible")
    return (
        None
        if rows is None
        else [[*(r[k] for k in keys), [p["code"] for p in r["problems"]]] for r in rows]
    )


def test_unchanged(home: Path) -> None:
    environ = environment(home)
    assert short_way(environ) is None
    told = long_way(home, environ)
    assert short_way(environ) == told


CHANGES = {
    "new kernel": lambda h: put(h, "three"),
    "kernel removed": lambda h: (h / ".local/share/jupyter/kernels/one/kernel.json").unlink(),
    "kernel changed": lambda h: put(h, "one", display_name="Another"),
    "an empty folder becomes a kernel": lambda h: put(h, "empty"),
    "interpreter gone": lambda h: (h / "bin/python").unlink(),
    "interpreter not executable": lambda h: (h / "bin/python").chmod(0o644),
    "new conda kernel": lambda h: put(h, "ir", "miniforge3/envs/mine/share/jupyter/kernels"),
    "new conda environment": lambda h: (h / "miniforge3/envs/other/conda-meta").mkdir(parents=True),
    "environments.txt": lambda h: ((h / ".conda").mkdir(), (h / ".conda/environments.txt").write_text("/x\n")),
    "condarc": lambda h: (h / ".condarc").write_text("envs_dirs: [/x]\n"),
    "legacy kernel": lambda h: put(h, "old", ".ipython/kernels"),
    "new root": lambda h: put(h, "x", ".conda/envs/e/share/jupyter/kernels"),
    "index broken": lambda h: (h / ".local/share/kernelwright/index.json").write_text('{"version": 1'),
    "index of another form": lambda h: (h / ".local/share/kernelwright/index.json").write_text('{"version": 1, "kernels": 3, "depends": []}'),
    "newer index": lambda h: (h / ".local/share/kernelwright/index.json").write_text('{"version": 2}'),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_seen(home: Path, name: str) -> None:
    environ = environment(home)
    long_way(home, environ)
    CHANGES[name](home)
    assert short_way(environ) is None
    after = long_way(home, environ)
    assert short_way(environ) in (None, after)  # None: too fresh to be believed


@pytest.mark.parametrize("name", known.VARIABLES)
def test_every_variable_counts(home: Path, name: str) -> None:
    environ = environment(home)
    long_way(home, environ)
    assert short_way({**environ, name: "/changed"}) is None


def test_a_fresh_listing_is_not_believed(home: Path) -> None:
    environ = environment(home)
    put(home, "one")
    long_way(home, environ)
    assert short_way(environ) is None


def test_groups_have_no_short_way(home: Path) -> None:
    from kernelwright.config.model import Groups

    environ = environment(home)
    write_index(
        home,
        discover(
            home=home,
            environ=environ,
            site=SiteConfig(groups=Groups(folders=("/nowhere/{group}",))),
        ),
    )
    assert short_way(environ) is None


def test_the_command_takes_it(home: Path) -> None:
    environ = environment(home)
    argv = [sys.executable, "-I", "-X", "importtime", "-m", "kernelwright", "list", "--json"]
    first = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120)
    second = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120)
    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert "kernelwright.discovery" in first.stderr
    assert "kernelwright.discovery" not in second.stderr
    assert "argparse" not in second.stderr


def test_time(home: Path) -> None:
    environ = environment(home)
    long_way(home, environ)
    begun = time.perf_counter()
    short_way(environ)
    assert time.perf_counter() - begun < 1
