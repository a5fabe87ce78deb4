"""Names, paths and shadowing are those of the real KernelSpecManager, for every order of the folders."""

from __future__ import annotations

import json
import logging
import random
import warnings
from pathlib import Path

import pytest
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover
from kernelwright.discovery.places import search_path

GOOD = {"argv": ["/bin/sh", "{connection_file}"], "display_name": "x", "language": "bash"}


def put(folder: Path, name: str, words: str | None = None) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "kernel.json").write_text(json.dumps(GOOD) if words is None else words)


ENVIRONMENTS = {
    "plain": {},
    "jupyter-path": {"JUPYTER_PATH": "{t}/one:{t}/two/"},
    "path-holds-user": {"JUPYTER_PATH": "{t}/home/.local/share/jupyter:{t}/one"},
    "data-dir": {"JUPYTER_DATA_DIR": "{t}/data"},
    "xdg": {"XDG_DATA_HOME": "{t}/xdg"},
    "prefer-user": {"JUPYTER_PREFER_ENV_PATH": "0"},
    "prefer-env": {"JUPYTER_PREFER_ENV_PATH": "1"},
    "ipythondir": {"IPYTHONDIR": "{t}/ipy"},
}


@pytest.fixture
def surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> tuple[Path, dict[str, str]]:
    for name in (
        "JUPYTER_PATH",
        "JUPYTER_DATA_DIR",
        "XDG_DATA_HOME",
        "JUPYTER_PREFER_ENV_PATH",
        "IPYTHONDIR",
        "CONDA_PREFIX",
    ):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    environ |= {k: v.format(t=tmp_path) for k, v in ENVIRONMENTS[request.param].items()}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return tmp_path, environ


def jupyter(which: str = "get_all_specs") -> dict[str, str]:
    from jupyter_client.kernelspec import KernelSpecManager

    manager = KernelSpecManager()
    manager.log.setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = getattr(manager, which)()
    logging.getLogger("traitlets").setLevel(logging.NOTSET)
    return {n: s if isinstance(s, str) else s["resource_dir"] for n, s in found.items()}


def ours(tmp: Path, environ: dict[str, str]) -> list:
    return discover(home=tmp / "home", environ=environ, site=SiteConfig())


@pytest.mark.parametrize("surroundings", ENVIRONMENTS, indirect=True)
def test_search_path_is_jupyters(surroundings: tuple[Path, dict[str, str]]) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    tmp, environ = surroundings
    (tmp / "home/.ipython/kernels").mkdir(parents=True)
    (tmp / "ipy/kernels").mkdir(parents=True)
    mine = [root.folder for root in search_path(tmp / "home", environ) if root.searched]
    assert mine == list(dict.fromkeys(KernelSpecManager().kernel_dirs))


@pytest.mark.parametrize("surroundings", ENVIRONMENTS, indirect=True)
def test_visible_kernels_are_jupyters(surroundings: tuple[Path, dict[str, str]]) -> None:
    tmp, environ = surroundings
    dice = random.Random(7)
    folders = [
        tmp / "one/kernels", tmp / "two/kernels", tmp / "data/kernels", tmp / "xdg/jupyter/kernels",
        tmp / "home/.local/share/jupyter/kernels", tmp / "home/.ipython/kernels", tmp / "ipy/kernels",
    ]  # fmt: skip
    for folder in folders:
        for name in dice.sample(["a", "b", "c", "d", "python3", "ir", ".hidden", "x.y"], 5):
            put(folder, name, "{" if dice.random() < 0.2 else None)
        (folder / "Upper").mkdir()
        (folder / "Upper/kernel.json").write_text(json.dumps(GOOD))
    (folders[4] / "linked").symlink_to(folders[1] / "Upper")
    kernels = ours(tmp, environ)
    assert {k.name: k.path for k in kernels if k.visible} == jupyter()
    every = jupyter("find_kernel_specs")
    shadowed = [k for k in kernels if k.state == "shadowed"]
    assert shadowed
    assert all(every[k.name] != k.path for k in shadowed)


@pytest.mark.parametrize("surroundings", ["plain"], indirect=True)
def test_a_broken_kernel_shadows_a_good_one(surroundings: tuple[Path, dict[str, str]]) -> None:
    tmp, environ = surroundings
    put(tmp / "home/.local/share/jupyter/kernels", "ir", "{")
    rows = [k for k in ours(tmp, environ) if k.name == "ir"]
    assert [k.state for k in rows if k.origin == "user"] == ["broken"]
    assert "ir" not in jupyter()


@pytest.mark.parametrize("surroundings", ["plain"], indirect=True)
def test_names_that_differ_in_case(surroundings: tuple[Path, dict[str, str]]) -> None:
    tmp, environ = surroundings
    folder = tmp / "home/.local/share/jupyter/kernels"
    for name in ("Analysis", "analysis", "ANALYSIS"):
        put(folder, name)
    rows = [k for k in ours(tmp, environ) if k.name == "analysis"]
    assert len(rows) == 3
    assert all("names-differ-in-case" in {p.code for p in k.problems} for k in rows)
    assert [k.path for k in rows if k.visible] == [jupyter()["analysis"]]


@pytest.mark.parametrize("surroundings", ["plain"], indirect=True)
def test_unreadable_home_is_an_entry_not_an_end(
    surroundings: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    tmp, environ = surroundings
    folder = tmp / "home/.local/share/jupyter/kernels"
    folder.mkdir(parents=True)
    real = os.listdir

    def refuse(path: str) -> list[str]:
        if str(path) == str(folder):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "listdir", refuse)
    rows = ours(tmp, environ)
    assert [k.problems[0].code for k in rows if k.origin == "user"] == ["kernels-folder-unreadable"]
    assert any(k.visible for k in rows)


def test_the_kernelspecs_of_a_session_are_not_the_users(tmp_path: Path) -> None:
    """A session puts copies first on JUPYTER_PATH: the index that it writes must not hold them, nor call others shadowed."""
    home, session = tmp_path / "home", tmp_path / "kernelwright.x1"
    for folder in (home / ".local/share/jupyter/kernels/rna", session / "jupyter/kernels/rna"):
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(
            json.dumps(
                {"argv": ["/bin/true", "{connection_file}"], "display_name": "RNA", "language": "x"}
            )
        )
    environ = {
        "PATH": "/usr/bin",
        "JUPYTER_PATH": f"{session}/jupyter",
        "KERNELWRIGHT_SESSION": str(session),
    }
    found = [k for k in discover(home=home, environ=environ, site=SiteConfig()) if k.name == "rna"]
    assert [(k.origin, k.state, k.visible) for k in found] == [("user", "ok", True)]
