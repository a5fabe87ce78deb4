"""The house itself: who may know whom, what is imported when, which codes are explained."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib/kernelwright"

# docs/concepts/house.md draws this: a room imports only from its own floor's own package or from below
FLOORS = {
    "errors": 0,
    "model": 0,
    "progress": 0,
    "known": 0,
    "__init__": 0,
    "paths": 1,
    "process": 1,
    "recipe": 1,
    "node": 1,
    "mounts": 1,
    "config": 2,
    "modules": 2,
    "environments": 2,
    "store": 2,
    "slurm": 2,
    "usage": 2,
    "launch": 3,
    "discovery": 3,
    "catalog": 3,
    "share": 4,
    "builder": 4,
    "changes": 4,
    "clone": 4,
    "preview": 4,
    "doctor": 5,
    "site": 5,
    "session": 6,
    "cli": 7,
    "__main__": 8,
}
HEAVY = ("jupyter_client", "jinja2", "ruamel", "rattler", "zmq", "yaml", "IPython", "ipykernel")


def room(path):
    relative = path.relative_to(LIB)
    return relative.parts[0].removesuffix(".py")


def imports(path):
    """(module's room, line, whether it is only for type checking or deferred) of every import of ours."""
    tree = ast.parse(path.read_text())
    package = ["kernelwright", *path.relative_to(LIB).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                full = [*base, *(node.module.split(".") if node.module else [])]
                names = [full] if len(full) > 1 else [[*full, alias.name] for alias in node.names]
            else:
                names = [(node.module or "").split(".")]
            for name in names:
                if name[0] == "kernelwright" and len(name) > 1:
                    yield name[1], node.lineno


def sources():
    return sorted(p for p in LIB.rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(LIB)))
def test_imports_go_down_the_floors(path):
    mine = room(path)
    wrong = []
    for other, line in imports(path):
        if other == "__version__" or other == mine:
            continue
        if FLOORS[other] > FLOORS[mine]:
            wrong.append(
                f"line {line}: {mine} (floor {FLOORS[mine]}) imports {other} (floor {FLOORS[other]})"
            )
        if other == "cli" and mine != "__main__":
            wrong.append(f"line {line}: nobody imports cli")
    assert wrong == []


def test_kinds_do_not_know_each_other():
    kinds = {"conda", "container", "script"}
    wrong = []
    for path in sources():
        parts = path.relative_to(LIB).parts
        if parts[0] == "environments" and len(parts) > 1:
            mine = parts[1].removesuffix(".py")
            text = path.read_text()
            wrong += [
                f"{path.name}: {other}"
                for other in kinds - {mine}
                if mine in kinds
                and re.search(rf"^\s*from (\.\.?{other}|\.\.? import .*\b{other}\b)", text, re.M)
            ]
    assert wrong == []


def imported_by(code, home):
    """The modules that a fresh interpreter has after `code`."""
    script = (
        f"{code}\nimport sys, json; sys.stderr.write('MODULES' + json.dumps(sorted(sys.modules)))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "lib"), "KERNELWRIGHT_HOME": str(home)}
    out = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60
    )
    assert "MODULES" in out.stderr, out.stderr
    return json.loads(out.stderr.split("MODULES")[1])


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("from kernelwright.cli import main; main(['list', '--json'])", id="list"),
        pytest.param("from kernelwright.cli import main; main([])", id="welcome"),
        pytest.param("import kernelwright.session.prepare", id="prepare"),
        pytest.param("import kernelwright.builder", id="builder"),
    ],
)
def test_the_fast_paths_import_nothing_heavy(code, home):
    modules = imported_by(code, home)
    assert [m for m in modules if m.split(".")[0] in HEAVY] == []


def codes_in_source():
    """Every error and problem code: the first argument of UserError, UsageError and Problem."""
    found = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", ""))
                in {"UserError", "UsageError", "Problem"}
                and node.args
            ):
                first = node.args[0]
                for constant in ast.walk(first):
                    if (
                        isinstance(constant, ast.Constant)
                        and isinstance(constant.value, str)
                        and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+|usage|locked", constant.value)
                    ):
                        found.setdefault(constant.value, path.relative_to(LIB))
    return found


def test_every_code_is_explained():
    explained = set()
    for page in (ROOT / "docs/reference/messages").glob("*.md"):
        explained |= set(re.findall(r"^## ([a-z0-9-]+)$", page.read_text(), re.M))
    missing = {code: str(path) for code, path in codes_in_source().items() if code not in explained}
    assert missing == {}


@pytest.mark.parametrize(
    "path",
    [p for p in [*sources(), *(ROOT / "lib/ood").glob("*.rb"), *(ROOT / "portal").glob("*.py")]],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_files_stay_readable(path):
    assert len(path.read_text().splitlines()) <= 300


def test_the_project_speaks_of_itself_alone():
    words = re.compile(
        r"/work/|/tmp/kw/|\bhelper-\d|deb\.debian\.org|pypi\.org|registry\.npmjs|files\.pythonhosted",
        re.I,
    )
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=30
    ).stdout.split("\n")
    bad = []
    for name in files:
        path = ROOT / name
        if (
            name
            and path.suffix
            in {
                ".py",
                ".md",
                ".sh",
                ".rb",
                ".erb",
                ".js",
                ".yaml",
                ".yml",
                ".toml",
                ".j2",
                ".html",
                "",
            }
            and path.is_file()
            and name != "tests/unit/test_house.py"
        ):
            bad += [
                f"{name}:{n}"
                for n, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
                if words.search(line)
            ]
    assert bad == []
