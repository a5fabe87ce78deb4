"""Hand-written container kernels: the image, the binds, the way of the connection file; nothing is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover
from kernelwright.discovery.lenient import parse
from kernelwright.doctor import examine_kernel
from kernelwright.doctor.containers import parse as parse_call
from kernelwright.doctor.mend import mend
from kernelwright.doctor.shape import Wish, recipe_for
from kernelwright.doctor.subject import Around
from kernelwright.errors import UserError
from kernelwright.model import Bind, ContainerSpec, ScriptSpec

INNER = ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
# As a centre's page prints it: typographic quotation marks, a path of one version, a placeholder.
TUTORIAL = """\
{
 "argv": [
  "/opt/apps/apptainer/1.3.3/bin/apptainer",
  "exec",
  "--nv",
  "--bind",
  "/run/user:/run/user",
  “PATH_TO_SIF_FILE”,
  "python3",
  "-m",
  "ipykernel_launcher",
  "--debug",
  "-f",
  "{connection_file}"
 ],
 “display_name”: “My image”,
 "language": "python"
}
"""


def problems(tmp: Path, argv: list[str] | None = None, text: str | None = None) -> dict:
    home = tmp / "home"
    folder = home / ".local/share/jupyter/kernels/k"
    folder.mkdir(parents=True)
    spec = {"argv": argv, "display_name": "k", "language": "python"}
    (folder / "kernel.json").write_text(text or json.dumps(spec))
    (tmp / "apptainer").write_text("#!/bin/sh\n")
    (tmp / "apptainer").chmod(0o755)
    around = Around(home, {"PATH": f"{tmp}:/usr/bin:/bin", "HOME": str(home)}, SiteConfig(), tmp)
    kernel = next(
        k for k in discover(home=home, environ=around.environ, site=SiteConfig()) if k.name == "k"
    )
    return {p.code: p for p in examine_kernel(kernel, around).problems}


def test_the_tutorial_line_by_line(tmp_path: Path) -> None:
    found = problems(tmp_path, text=TUTORIAL)
    assert found["kernelspec-smart-quotes"].severity == "error"
    assert "line 8" in found["kernelspec-smart-quotes"].message
    assert "PATH_TO_SIF_FILE" in found["placeholder-not-filled"].message
    assert "/run/user" in found["bind-run-user"].message
    assert found["debug-option"].severity == "note"
    assert {"interpreter-not-found", "runtime-path-of-one-version"} <= set(found)


def test_the_tutorial_mended(tmp_path: Path) -> None:
    spec, done = mend(parse(TUTORIAL.encode()).value, "mine")
    assert any("/run/user" in text for text in done)
    with pytest.raises(UserError) as caught:
        recipe_for("mine", spec, tmp_path, tmp_path)
    assert caught.value.code == "placeholder-not-filled"
    recipe = recipe_for("mine", spec, tmp_path, tmp_path, Wish(image="~/x.sif"))
    assert isinstance(recipe.environment, ContainerSpec)
    assert recipe.environment.image.endswith("/x.sif")
    assert (recipe.environment.gpu, recipe.environment.bind, recipe.command) == ("nvidia", (), ())
    assert recipe.display_name == "My image"


def test_sound(tmp_path: Path) -> None:
    image = tmp_path / "x.sif"
    image.write_bytes(b"x")
    assert not problems(tmp_path, ["apptainer", "exec", "--nv", str(image), *INNER])


@pytest.mark.parametrize(
    ("words", "code", "severity"),
    [
        (["/gone/x.sif"], "image-not-found", "error"),
        (["x.sif"], "image-not-found", "error"),
        (["$HOME/x.sif"], "image-not-found", "error"),
        (["/home/me/docker:/org/name"], "image-path-mangled", "error"),
        (["docker://org/name:1"], "image-not-local", "note"),
        (["--bind", "/no/such/folder", "docker://a/b"], "bind-missing", "warning"),
        (["-B/run/user:/run/user", "docker://a/b"], "bind-run-user", "warning"),
        (["--containall", "docker://a/b"], "connection-file-invisible", "error"),
        (["-c", "docker://a/b"], "connection-file-invisible", "error"),
        ([], "image-not-named", "error"),
    ],
)  # fmt: skip
def test_faults(tmp_path: Path, words: list[str], code: str, severity: str) -> None:
    inner = INNER if words else []
    found = problems(
        tmp_path,
        ["apptainer", "exec", *words, *inner, *([] if words else ["--env", "A={connection_file}"])],
    )
    assert found[code].severity == severity


def test_a_bind_of_the_runtime_folder_shows_the_connection_file(tmp_path: Path) -> None:
    folder = tmp_path / "home/.local/share/jupyter"
    found = problems(
        tmp_path, ["apptainer", "exec", "-c", "--bind", f"{folder}", "docker://a/b", *INNER]
    )
    assert "connection-file-invisible" not in found


def test_parse() -> None:
    call = parse_call(
        (
            "env",
            "A=1",
            "singularity",
            "-s",
            "exec",
            "--nv",
            "-B",
            "/a:/b:ro,/c",
            "--env",
            "X=1",
            "img.sif",
            "python3",
            "-x",
        )
    )
    assert call is not None
    assert (call.image, call.binds, call.command) == (
        "img.sif",
        ("/a:/b:ro,/c",),
        ("python3", "-x"),
    )
    assert parse_call(("/usr/bin/python3", "-m", "x")) is None


def test_recipes_keep_behaviour(tmp_path: Path) -> None:
    spec = {"argv": ["apptainer", "exec", "--rocm", "-B", "/a:/b:ro,/c", "/i.sif", "Rscript", "-e", "IRkernel::main()", "{connection_file}"],
            "display_name": "R", "language": "R", "env": {"A": "$HOME/x"}}  # fmt: skip
    recipe = recipe_for("r", spec, tmp_path, tmp_path)
    assert recipe.environment == ContainerSpec(
        "/i.sif", gpu="rocm", bind=(Bind("/a", "/b", "ro"), Bind("/c"))
    )
    assert recipe.command == ("Rscript", "-e", "IRkernel::main()", "{connection_file}")
    assert (recipe.language, recipe.env) == ("r", {"A": "${HOME}/x"})
    unknown = {
        **spec,
        "argv": ["apptainer", "exec", "--fakeroot", "/i.sif", "python3", "{connection_file}"],
    }
    opaque = recipe_for("r", unknown, tmp_path, tmp_path)
    assert isinstance(opaque.environment, ScriptSpec)
    assert opaque.command == tuple(unknown["argv"])
