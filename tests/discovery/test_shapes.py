"""The shapes of kernel.json that people have: our prediction is what jupyter_client really does."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from discovery import starter
from kernelwright.discovery.kernelspec_file import read
from kernelwright.discovery.shapes import predict

F = "{connection_file}"
REC = "{resource_dir}/record.py"


@dataclass(frozen=True)
class Shape:
    """`fate` as shapes.Fate; `codes` are problems of the reader; `reaches`: the connection file arrives."""

    argv: object
    fate: str = "runs"
    codes: tuple[str, ...] = ()
    reaches: bool = True
    env: dict = field(default_factory=dict)
    keys: dict = field(default_factory=dict)
    recorded: bool = True


SHAPES = {
    "bare-python": Shape(["python", REC, "-f", F]),
    "bare-python3": Shape(["python3", REC, "-f", F]),
    "bare-python-minor": Shape([f"python3.{sys.version_info[1]}", REC, "-f", F]),
    "env-python": Shape(["env", "A=1", "python3", REC, "-f", F]),
    "absolute-python": Shape([sys.executable, REC, "-f", F]),
    "no-dash-f": Shape([sys.executable, REC, F]),
    "placeholder-first": Shape([sys.executable, REC, F, "--last"]),
    "embedded-equals": Shape([sys.executable, REC, f"-f={F}"], reaches=False),
    "embedded-json": Shape([sys.executable, REC, f'["{F}"]'], reaches=False),
    "twice": Shape([sys.executable, REC, F, F]),
    "absent": Shape([sys.executable, REC], codes=("argv-no-connection-file",), reaches=False),
    "tilde-first": Shape(["~/bin/starter", F]),
    "tilde-argument": Shape([sys.executable, "~/bin/record.py", F]),
    "tilde-in-option": Shape([sys.executable, REC, "--x=~/y", F]),
    "home-in-argv": Shape([sys.executable, REC, "$HOME/x", F]),
    "home-program": Shape(["$HOME/bin/starter", F], "FileNotFoundError"),
    "other-braces": Shape([sys.executable, REC, "{user}", "{x y}", "{}", F]),
    "prefix-braces": Shape([sys.executable, REC, "{prefix}/x", F]),
    "resource-script": Shape(["{resource_dir}/starter", F]),
    "on-path": Shape(["starter-on-path", F]),
    "not-on-path": Shape(["no-such-program-anywhere", F], "FileNotFoundError"),
    "relative": Shape(["./run-here", F]),
    "relative-missing": Shape(["./not-here", F], "FileNotFoundError"),
    "bash-lc": Shape(["bash", "-lc", f"exec {sys.executable} $REC -f {F}"]),
    "bash-script": Shape(["bash", "{resource_dir}/no-shebang", F]),
    "env-i": Shape(["env", "-i", "KW_RECORD={record}", sys.executable, REC, F]),
    "connection-in-env-word": Shape(["env", f"CF={F}", sys.executable, REC], reaches=False),
    "empty-word": Shape(["", F], "PermissionError"),
    "argv-empty": Shape([], "IndexError", ("argv-empty",)),
    "argv-text": Shape(f"{sys.executable} -m x -f {F}", "FileNotFoundError", ("argv-not-a-list",)),
    "argv-number": Shape([sys.executable, 5, F], "TypeError", ("argv-not-texts",)),
    "nul": Shape([sys.executable, "a\x00b", F], "ValueError", ("argv-not-texts",)),
    "env-number": Shape([sys.executable, REC, F], "TypeError", ("env-not-texts",), env={"A": 1}),
    "env-dollar": Shape([sys.executable, REC, F], env={"A": "$HOME/x", "B": "${HOME}:y", "C": "$NOT_SET", "D": "$$"}),
    "env-no-tilde": Shape([sys.executable, REC, F], codes=("env-not-substituted",), env={"A": "~/x", "B": "{resource_dir}"}),
    "env-default": Shape([sys.executable, REC, F], codes=("env-not-substituted",), env={"A": "${X:-d}"}),
    "env-path": Shape(["starter-on-path", F], env={"PATH": "{path}:/usr/bin:/bin"}),
    "folder-wins": Shape([sys.executable, REC, F], keys={"name": "other"}),
    "unknown-keys": Shape([sys.executable, REC, F], keys={"codemirror_mode": "x", "path": "/y"}),
    "upper-interrupt": Shape([sys.executable, REC, F], keys={"interrupt_mode": "Message"}),
    "not-executable": Shape(["{resource_dir}/not-executable", F], "PermissionError"),
    "a-folder": Shape(["{resource_dir}", F], "PermissionError"),
    "no-shebang": Shape(["{resource_dir}/no-shebang", F], "OSError"),
    "broken-shebang": Shape(["{resource_dir}/hash-slash", F], "OSError"),
    "crlf": Shape(["{resource_dir}/crlf", F], "FileNotFoundError"),
    "shebang-gone": Shape(["{resource_dir}/gone", F], "FileNotFoundError"),
    "empty-file": Shape(["{resource_dir}/empty", F], "OSError"),
    "other-language": Shape([sys.executable, REC, "--slave", "-e", "IRkernel::main()", "--args", F]),
    "enterprise-gateway": Shape([sys.executable, REC, "{kernel_id}", "{response_address}"], codes=("kernelspec-for-gateway",), reaches=False),
}  # fmt: skip


def script(path: Path, text: str, mode: int = 0o755) -> None:
    path.write_text(text, newline="")
    path.chmod(mode)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a kernels folder and a notebook folder, with the scripts that the shapes name."""
    home = tmp_path / "home"
    for name in ("home/bin", "onpath", "notebooks", "run", "kernels"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{tmp_path}/onpath:/usr/bin:/bin")
    starter_text = f'#!/bin/sh\nexec {sys.executable} {tmp_path}/record.py "$@"\n'
    (tmp_path / "record.py").write_text(starter.RECORD_PY)
    (home / "bin/record.py").write_text(starter.RECORD_PY)
    script(home / "bin/starter", starter_text)
    script(tmp_path / "onpath/starter-on-path", starter_text)
    script(tmp_path / "notebooks/run-here", starter_text)
    return tmp_path


def put(place: Path, name: str, shape: Shape) -> Path:
    folder = place / "kernels" / name
    folder.mkdir()
    text = f'exec {sys.executable} {place}/record.py "$@"\n'
    (folder / "record.py").write_text(starter.RECORD_PY)
    script(folder / "starter", "#!/bin/sh\n" + text)
    script(folder / "not-executable", "#!/bin/sh\n" + text, 0o644)
    script(folder / "no-shebang", text)
    script(folder / "hash-slash", "#/bin/sh\n" + text)
    script(folder / "crlf", "#!/bin/sh\r\n" + text.replace("\n", "\r\n"))
    script(folder / "gone", "#!/opt/gone/bin/python\n")
    script(folder / "empty", "")
    spec = {"argv": shape.argv, "display_name": name, "language": "python", **shape.keys}
    words = json.dumps(spec | ({"env": shape.env} if shape.env else {}))
    words = words.replace("{record}", str(place / "run/record.json")).replace(
        "{path}", str(place / "onpath")
    )
    (folder / "kernel.json").write_text(words)
    return folder


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")
def test_shape(place: Path, name: str) -> None:
    shape = SHAPES[name]
    folder = put(place, name, shape)
    reading = read(str(folder))
    environ = {**os.environ, "REC": str(folder / "record.py")}
    cwd = place / "notebooks"
    told = predict(reading.spec, str(folder), environ=environ, cwd=str(cwd))
    logging.getLogger("traitlets").setLevel(logging.CRITICAL + 1)
    try:
        seen = starter.start(
            place / "kernels", name, environ=environ, runtime_dir=place / "run", cwd=cwd
        )
    finally:
        logging.getLogger("traitlets").setLevel(logging.NOTSET)

    assert told.fate == shape.fate
    assert (seen.exception or "runs") == shape.fate
    ours = {p.code for p in reading.problems}
    assert set(shape.codes) <= ours
    assert shape.codes or not ours - {"display-name-unsafe"}
    if shape.fate != "runs":
        return
    assert seen.record is not None
    assert seen.record["file"] == shape.reaches
    if name not in {
        "bash-lc",
        "env-i",
        "env-python",
        "connection-in-env-word",
    } and "starter" not in str(told.argv[0]):
        argv = [word.replace(F, seen.connection_file) for word in told.argv]
        ran = [seen.record["program"], *seen.record["argv"]]
        assert ran[-len(argv) + 1 :] == argv[1:] or name in {"relative", "bash-script"}
        if told.program == sys.executable:
            assert seen.record["program"] == sys.executable
    for key, value in told.env.items():
        assert seen.record["env"][key] == value
