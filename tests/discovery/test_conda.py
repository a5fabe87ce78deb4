"""conda environments are found without conda: environments.txt, .condarc, the usual folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover
from kernelwright.discovery.conda import condarc_list, environments


def make(prefix: Path, *kernels: str, base: bool = False) -> Path:
    (prefix / "conda-meta").mkdir(parents=True)
    if base:
        (prefix / "condabin").mkdir()
    for name in kernels:
        folder = prefix / "share/jupyter/kernels" / name
        folder.mkdir(parents=True)
        spec = {
            "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
        }
        (folder / "kernel.json").write_text(json.dumps(spec))
    return prefix


def test_every_way_to_an_environment(tmp_path: Path) -> None:
    home = tmp_path / "home"
    listed = make(tmp_path / "scratch/listed", "python3")
    make(home / "miniforge3", base=True)
    make(home / "miniforge3/envs/inner", "python3", "ir")
    make(tmp_path / "rc/fromrc")
    make(tmp_path / "var/fromvar")
    (home / ".conda").mkdir()
    (home / ".conda/environments.txt").write_text(f"{listed}\n/gone/away\n{listed}\nnot absolute\n")
    (home / ".condarc").write_text(
        f"channels:\n  - x\nenvs_dirs:\n  # mine\n  - {tmp_path}/rc  # here\n  - ~/none\npkgs_dirs: [a]\n"
    )
    found = environments(home, {"CONDA_ENVS_PATH": f"{tmp_path}/var"})
    assert [(e.name, e.prefix) for e in found] == [
        ("listed", str(listed)),
        ("base", str(home / "miniforge3")),
        ("fromvar", str(tmp_path / "var/fromvar")),
        ("fromrc", str(tmp_path / "rc/fromrc")),
        ("inner", str(home / "miniforge3/envs/inner")),
    ]
    kernels = [
        k
        for k in discover(home=home, environ={"PATH": "/bin"}, site=SiteConfig())
        if k.origin == "conda"
    ]
    assert [k.name for k in kernels] == ["inner", "inner-ir", "listed"]
    assert not any(k.visible for k in kernels)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("envs_dirs: [/a, '/b']", ["/a", "/b"]),
        ("envs_dirs:\n- /a\n- \"/b\"\n", ["/a", "/b"]),
        ("envs_dirs:\n    - /a\nother: 1\n  - /c", ["/a"]),
        ("envs_dirs: /a", ["/a"]),
        ("other_envs_dirs:\n- /a", []),
        ("envs_dirs:\n", []),
        ("\x00\xff", []),
    ],
)  # fmt: skip
def test_condarc(text: str, expected: list[str]) -> None:
    assert condarc_list(text, "envs_dirs") == expected


def test_one_bad_environment_takes_nothing_down(tmp_path: Path) -> None:
    make(tmp_path / ".conda/envs/good", "python3")
    bad = make(tmp_path / ".conda/envs/bad", "python3")
    (bad / "share/jupyter/kernels/python3/kernel.json").write_text("{")
    rows = {
        k.name: k.state
        for k in discover(home=tmp_path, environ={}, site=SiteConfig())
        if k.origin == "conda"
    }
    assert rows == {"bad": "broken", "good": "ok"}
