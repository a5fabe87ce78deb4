"""`doctor NOTEBOOK.ipynb`: who has the kernel, what comes nearest, how it is made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover
from kernelwright.doctor.notebook import answer
from kernelwright.doctor.notebook_file import read_notebook
from kernelwright.errors import UserError


def notebook(
    path: Path,
    name: str = "rna",
    *,
    title: str = "RNA",
    language: str = "python",
    version: str = "3.11.4",
    cells: tuple[str, ...] = (),
) -> Path:
    metadata = {
        "kernelspec": {"name": name, "display_name": title, "language": language},
        "language_info": {"name": language, "version": version},
    }
    rows = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    path.write_text(json.dumps({"metadata": metadata, "cells": rows, "nbformat": 4}))
    return path


def kernel(
    home: Path, name: str, *packages: str, title: str = "", language: str = "python", **keys: object
) -> None:
    prefix = home / "envs" / name
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python").symlink_to(sys.executable)
    for package in ("ipykernel", *packages):
        (prefix / "lib/python3.11/site-packages" / package).mkdir(parents=True)
    folder = home / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True)
    spec = {"argv": [str(prefix / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": title or name, "language": language, **keys}  # fmt: skip
    (folder / "kernel.json").write_text(json.dumps(spec))


def kernels(home: Path) -> list:
    return [
        k
        for k in discover(home=home, environ={"PATH": "/bin"}, site=SiteConfig())
        if k.origin == "user"
    ]


def test_what_it_asks_for(tmp_path: Path) -> None:
    cells = (
        "import os, numpy as np\nfrom sklearn.svm import SVC",
        "  import cv2\n%matplotlib inline",
        "from . import x",
    )
    wanted = read_notebook(str(notebook(tmp_path / "a.ipynb", cells=cells)))
    assert (wanted.name, wanted.title, wanted.language, wanted.version) == (
        "rna",
        "RNA",
        "python",
        "3.11.4",
    )
    assert wanted.imports == ("numpy", "sklearn", "matplotlib", "cv2")


def test_exact(tmp_path: Path) -> None:
    kernel(tmp_path, "rna")
    told = answer(read_notebook(str(notebook(tmp_path / "a.ipynb"))), kernels(tmp_path))
    assert told.exact is not None
    assert told.exact.name == "rna"


def test_former_name(tmp_path: Path) -> None:
    kernel(tmp_path, "rna", metadata={"kernelwright": {"id": "ab", "alias_of": "rna-seq"}})
    told = answer(read_notebook(str(notebook(tmp_path / "a.ipynb"))), kernels(tmp_path))
    assert told.exact is not None
    assert [p.message for p in told.exact.problems if p.code == "kernel-alias"] == [
        "`rna` is the former name of `rna-seq`"
    ]


def test_nearest_has_the_packages(tmp_path: Path) -> None:
    kernel(tmp_path, "bare")
    kernel(tmp_path, "full", "numpy", "sklearn")
    kernel(tmp_path, "statistics", language="R")
    told = answer(
        read_notebook(str(notebook(tmp_path / "a.ipynb", cells=("import numpy, sklearn",)))),
        kernels(tmp_path),
    )
    assert told.exact is None
    assert [m.kernel.name for m in told.nearest] == ["full", "bare"]
    assert told.nearest[0].missing == ()
    assert told.nearest[1].missing == ("numpy", "sklearn")
    assert told.command == (
        "create",
        "venv",
        "rna",
        "numpy",
        "scikit-learn",
        "--python",
        "3.11",
        "--display-name",
        "RNA",
    )


def test_a_name_that_cannot_be_ours(tmp_path: Path) -> None:
    told = answer(
        read_notebook(
            str(notebook(tmp_path / "a.ipynb", name="Conda: My Env", title="My env (RNA)"))
        ),
        [],
    )
    assert told.command is not None
    assert told.command[2] == "my-env-rna"
    assert (
        answer(read_notebook(str(notebook(tmp_path / "j.ipynb", language="julia"))), []).command
        is None
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"cells": []}', "{", '{"metadata": 3}', "\x00", "[" * 100_000]
)
def test_what_is_no_notebook(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    with pytest.raises(UserError) as caught:
        read_notebook(str(tmp_path / "a.ipynb"))
    assert caught.value.code == "notebook-unreadable"


@pytest.mark.parametrize(
    "metadata",
    [{}, {"kernelspec": None}, {"kernelspec": {"name": 5}}, {"kernelspec": [], "language_info": 7}],
)
def test_odd_metadata(tmp_path: Path, metadata: dict) -> None:
    (tmp_path / "a.ipynb").write_text(
        json.dumps({"metadata": metadata, "cells": [3, {"cell_type": "code", "source": [1, None]}]})
    )
    told = answer(read_notebook(str(tmp_path / "a.ipynb")), [])
    assert told.exact is None
    assert told.command is not None


def raw(path: Path, **keys: object) -> str:
    path.write_text(json.dumps({"metadata": {}, "nbformat": 4, **keys}))
    return str(path)


def code(*sources: str) -> list[dict]:
    return [{"cell_type": "code", "source": source} for source in sources]


def test_worksheets_of_format_3(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "code", "language": "python", "input": ["import numpy\n", "import pandas as pd"]},
        {"cell_type": "markdown", "source": ["import nothing"]},
    ]  # fmt: skip
    path = raw(
        tmp_path / "old.ipynb", metadata={"name": ""}, nbformat=3, worksheets=[{"cells": cells}, 7]
    )
    wanted = read_notebook(path)
    assert (wanted.name, wanted.language, wanted.imports) == ("", "python", ("numpy", "pandas"))


def test_only_cells_of_this_kernel_count(tmp_path: Path) -> None:
    (tmp_path / "helper.py").touch()
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/__init__.py").touch()
    cells = code(
        "%%bash\nimport foo\nfrom bar",
        "%%javascript\nimport a from 'b'",
        "%%writefile x.py\nimport hidden",
        "%%time\nimport numpy",
        "!pip install rich\n%load_ext autoreload\nimport rich; import attrs",
        '"""\nimport docstring\n"""\n# import comment',
        "import helper, lab.tools",
        "import (\n\x00",
    )
    wanted = read_notebook(raw(tmp_path / "a.ipynb", cells=cells))
    assert wanted.imports == ("numpy", "rich", "attrs")


def test_libraries_of_r(tmp_path: Path) -> None:
    text = "suppressMessages(library(ggplot2)); require('dplyr')\nlibrary(stats)\n# library(no)\n"
    told = answer(read_notebook(raw(tmp_path / "plots.ipynb", cells=code(text))), [])
    assert (told.wanted.language, told.wanted.imports) == ("r", ("ggplot2", "dplyr"))
    assert told.command == tuple("create conda plots r-ggplot2 r-dplyr --language r".split())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html>\n<html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
        (b'{"cells": [\n<<<<<<< HEAD\n{}\n=======\n', "an unresolved merge conflict"),
        ('{"metadata": {}, "x": "é"}'.encode("latin-1"), "not UTF-8"),
        (b"\x7fELF" + bytes(range(256)) * 400, "not UTF-8"),
        (b'{"metadata": {},\n"cells": [', "not JSON (line 2)"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[1]", "it has no metadata"),
    ],
)
def test_what_it_is_instead(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "a.ipynb").write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_notebook(str(tmp_path / "a.ipynb"))
    assert why in caught.value.message


@pytest.mark.parametrize("name", ["..", "../../etc; $(touch x)", "-rf", "a\nb\x1b[31m", "\ud800"])
def test_a_hostile_name(tmp_path: Path, name: str) -> None:
    metadata = {"kernelspec": {"name": name, "display_name": "--help", "language": "python"}}
    kernel(tmp_path, "full", "numpy")
    path = raw(tmp_path / "a.ipynb", metadata=metadata)
    told = answer(read_notebook(path), kernels(tmp_path))
    assert told.exact is None
    assert told.command == ("create", "venv", "help", "--display-name=--help")
    assert told.wanted.name.isprintable()


def test_huge_cells_and_outputs_take_bounded_time(tmp_path: Path) -> None:
    cells = code(
        "import numpy",
        "import " + "a, " * 10_000_000,
        "'''" * 3_000_000,
        " \n" * 2_000_000,
        *(f"import pkg{number}" for number in range(20_000)),
    )
    cells[0]["outputs"] = [{"data": {"image/png": "A" * 20_000_000}}]
    path = raw(tmp_path / "a.ipynb", cells=cells)
    begun = time.process_time()
    wanted = read_notebook(path)
    assert time.process_time() - begun < 4
    assert wanted.imports[:3] == ("numpy", "a", "pkg0")
    assert len(wanted.imports) == 100


def test_one_that_names_no_kernel(tmp_path: Path) -> None:
    kernel(tmp_path, "full", "numpy")
    environ = {"HOME": str(tmp_path), "KERNELWRIGHT_HOME": str(tmp_path), "PATH": "/bin"}
    path = raw(tmp_path / "mine.ipynb", cells=code("import numpy"))
    argv = [sys.executable, "-m", "kernelwright", "doctor", path]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120)
    said = "names no kernel, Jupyter asks for one; its language is python (by its cells)"
    assert said in done.stdout
    assert "no kernel of that name" not in done.stdout
    assert "near: full" in done.stdout
    assert "make it: kernelwright create venv mine numpy" in done.stdout


def test_the_command(tmp_path: Path) -> None:
    kernel(tmp_path, "full", "numpy")
    path = notebook(tmp_path / "a.ipynb", cells=("import numpy",))
    environ = {
        "HOME": str(tmp_path),
        "KERNELWRIGHT_HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
    }
    argv = [sys.executable, "-m", "kernelwright", "doctor", str(path)]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "you have no kernel of that name" in done.stdout
    assert "near: full" in done.stdout
    assert "make it: kernelwright create venv rna numpy --python 3.11" in done.stdout
    told = json.loads(
        subprocess.run(
            [*argv, "--json"], env=environ, capture_output=True, text=True, timeout=120
        ).stdout
    )
    assert told["kernel"] is None
    assert told["nearest"][0]["name"] == "full"
