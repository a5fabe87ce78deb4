"""Lmod for real, as an unprivileged user; Environment Modules by recorded output and where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from launch.kit import BASIC, Kernel, generation

from kernelwright import modules, process
from kernelwright.config.model import ModuleConfig, SiteConfig
from kernelwright.errors import UserError
from kernelwright.model import Modules

LMOD = Path("/etc/profile.d/lmod.sh")
lmod = pytest.mark.skipif(not LMOD.exists(), reason="NOT TESTED: Lmod is missing")


@pytest.fixture
def tree(alice):
    """A hierarchy: Core has gcc (default 12.2), a leaky module and a broken one; gcc opens openmpi."""
    root = alice.home / "modules"  # Lmod itself cannot read Tcl files below a folder with a space
    core, compiler = root / "Core", root / "Compiler/gcc"
    for name, text in {
        "gcc/12.2": f'prepend_path("MODULEPATH", "{compiler}")\nprepend_path("LD_LIBRARY_PATH", "/opt/gcc12/lib")',
        "gcc/13.1": 'prepend_path("LD_LIBRARY_PATH", "/opt/gcc13/lib")',
        "broken/1.0": 'LmodError("this one never loads")',
    }.items():
        (core / name).parent.mkdir(parents=True, exist_ok=True)
        (core / f"{name}.lua").write_text(text)
    (core / "gcc/.modulerc.lua").write_text('module_version("gcc/12.2", "default")')
    (core / "leaky").mkdir()
    (core / "leaky/1.0").write_text(
        "#%Module1.0\nprepend-path PYTHONPATH /opt/leaky/py\nprepend-path LD_LIBRARY_PATH /opt/leaky/lib\n"
    )
    (compiler / "openmpi").mkdir(parents=True)
    (compiler / "openmpi/4.1.lua").write_text('prepend_path("PATH", "/opt/mpi/bin")')
    for path in (root, *root.rglob("*")):
        os.chown(path, alice.uid, alice.gid)
    return core


@pytest.fixture
def ask(alice, runtime):
    """`ask(words, environ, **recipe)`: the output of a command in the kernel's environment, as alice."""

    def run(*words, environ=None, **recipe):
        folder = generation(
            alice.home / f"gen{time.monotonic_ns()}" / "1", runtime=runtime, user=alice, **recipe
        )
        return alice.run([folder / "launch.sh", "--shell", "--", *words], env=environ, timeout=120)

    return run


def variable(name):
    return ("sh", "-c", f'echo "${name}"')


@lmod
def test_modules_are_loaded_in_order_in_a_shell_that_knows_none(ask, tree):
    wanted = Modules(use=(str(tree),), load=("gcc", "openmpi"))
    assert ask(*variable("LOADEDMODULES"), modules=wanted).stdout == "gcc/12.2:openmpi/4.1\n"
    assert ask(*variable("PATH"), modules=wanted).stdout.startswith("/opt/mpi/bin:")
    path = ask(*variable("MODULEPATH"), modules=wanted).stdout
    assert str(tree) in path
    assert "/etc/lmod/modules" in path or "/usr/share/lmod" in path, (
        "what the site's own init file sets"
    )


@lmod
def test_what_a_module_sets_counts_and_what_the_session_had_does_not(ask, tree):
    wanted = Modules(use=(str(tree),), load=("leaky/1.0",))
    environ = {"LD_LIBRARY_PATH": "/session", "PYTHONPATH": "/session"}
    answer = ask(*variable("LD_LIBRARY_PATH"), modules=wanted, environ=environ)
    assert answer.stdout == "/opt/leaky/lib\n", answer
    assert ask(*variable("PYTHONPATH"), modules=wanted, environ=environ).stdout == "/opt/leaky/py\n"
    both = {"LD_LIBRARY_PATH": "/proj/lib:${LD_LIBRARY_PATH}:/opt/leaky/lib:"}
    assert (
        ask(*variable("LD_LIBRARY_PATH"), modules=wanted, env=both).stdout
        == "/proj/lib:/opt/leaky/lib\n"
    )


@lmod
@pytest.mark.parametrize("purge", [False, True])
def test_modules_of_the_session_are_not_the_kernels(ask, tree, alice, purge):
    outer = alice.run(
        ["bash", "-c", f"source {LMOD}; module use '{tree}'; module load gcc/13.1; env -0"],
        timeout=120,
    )
    session = dict(pair.split("=", 1) for pair in outer.stdout.split("\0") if "=" in pair)
    assert session["LOADEDMODULES"] == "gcc/13.1"
    wanted = Modules(use=(str(tree),), load=("gcc/12.2",), purge=purge)
    answer = ask(
        "sh", "-c", 'echo "$LOADEDMODULES $LD_LIBRARY_PATH"', modules=wanted, environ=session
    )
    assert answer.stdout == "gcc/12.2 /opt/gcc12/lib\n", answer


@lmod
def test_odd_start_files_change_nothing(ask, tree, alice):
    for name in (".bashrc", ".bash_profile", ".profile", ".modulerc"):
        (alice.home / name).write_text(
            "echo noise; exit 7\n" if name != ".modulerc" else "#%Module\n"
        )
    environ = {
        "BASH_ENV": str(alice.home / ".bashrc"),
        "BASH_FUNC_module%%": "() { exit 7; }",
        "SHELLOPTS": "nounset",
    }
    answer = ask(
        *variable("LOADEDMODULES"),
        modules=Modules(use=(str(tree),), load=("gcc/13.1",)),
        environ=environ,
    )
    assert answer.stdout == "gcc/13.1\n", answer


@lmod
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (
            "gcc/99",
            "module-missing",
            ["`gcc/99` does not exist", "there is `gcc/12.2`, `gcc/13.1`", "recipe.yml, line"],
        ),
        ("nosuch", "module-missing", ["`nosuch` does not exist"]),
        (
            "openmpi/4.1",
            "module-not-loadable",
            ["another one must be loaded before it", "module spider openmpi/4.1"],
        ),
        ("broken/1.0", "module-failed", ["this one never loads"]),
    ],
)
def test_a_module_that_cannot_be_loaded_stops_the_start(alice, runtime, tree, name, code, words):
    python = str(runtime / "venv/bin/python")
    argv = (python, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    folder = generation(
        alice.home / "g" / "1",
        argv,
        runtime=runtime,
        user=alice,
        modules=Modules(use=(str(tree),), load=(name,)),
    )
    with Kernel(folder, BASIC | {"HOME": str(alice.home)}, user=alice, cwd=alice.home) as kernel:
        status, text = kernel.run("1")
        assert status == "error", kernel.said()
        for word in words:
            assert word in text, f"{text}\n{kernel.said()}"
        assert code in (folder / "starts/kernel-0123.problem").read_text()


@lmod
def test_modules_that_changed_since_the_kernel_was_made_are_said(alice, runtime, tree):
    python = str(runtime / "venv/bin/python")
    argv = (python, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    folder = generation(
        alice.home / "g" / "1",
        argv,
        runtime=runtime,
        user=alice,
        modules=Modules(use=(str(tree),), load=("gcc",)),
    )
    with Kernel(folder, BASIC | {"HOME": str(alice.home)}, user=alice, cwd=alice.home) as kernel:
        assert "have changed" not in kernel.run("1")[1]
        assert (folder / "modules.loaded").read_text() == "gcc/12.2\n"
        (tree / "gcc/12.2.lua").rename(tree / "gcc/12.3.lua")
        (tree / "gcc/.modulerc.lua").unlink()
        (tree / "gcc/13.1.lua").unlink()
        kernel.restart()
        text = kernel.run("1")[1]
        assert "the modules have changed since this kernel was made: gcc/12.2, now gcc/12.3" in text
        assert "have changed" not in kernel.run("1")[1]


@lmod
def test_the_command_lists_what_can_be_loaded(alice, runtime, tree):
    call = [runtime / "bin/kernelwright", "modules", "--use", tree]
    first = json.loads(alice.run([*call, "--json"]).stdout)
    rows = {row["name"]: row["loadable"] for row in first["modules"]}
    assert rows["gcc/12.2"] and rows["leaky/1.0"] and not rows["openmpi/4.1"]
    assert first["system"].startswith("Lmod")
    found = alice.run([*call, "GCC/1*"])
    assert found.stdout == "gcc/12.2\ngcc/13.1\n"
    assert "asked" in found.stderr
    (tree / "gcc/13.1.lua").unlink()
    assert "gcc/13.1" in alice.run([*call, "gcc"]).stdout, "from the cache"
    assert "gcc/13.1" not in alice.run([*call, "gcc", "--refresh"]).stdout
    assert (alice.run([*call, "gcc/[$(touch x)"]).status, (alice.home / "x").exists()) == (0, False)


def test_without_a_module_system(home, tmp_path, monkeypatch):
    empty = tmp_path / "files"
    shutil.copytree(modules.SHELL_FILES, empty)
    text = (empty / "modules.sh").read_text()
    (empty / "modules.sh").write_text(
        text.replace("/etc/profile.d/", "/nowhere/").replace("/usr/share/", "/nowhere/")
    )
    monkeypatch.setattr(modules, "SHELL_FILES", empty)
    with pytest.raises(UserError) as caught:
        modules.available(site=SiteConfig(), home=home, environ={"PATH": os.environ["PATH"]})
    assert caught.value.code == "modules-unavailable"


RECORDED_EM = """\
== system
== avail
/usr/share/modules/modulefiles:
dot
module-git
null
/apps/modulefiles:
gcc/12.2(default)
gcc/13.1
intel/2024.1(default:latest)
intel/2023.2 <L>
mpi@
== spider
"""


def test_environment_modules_terse_output():
    listing = modules.parse(RECORDED_EM)
    assert listing.system == "Environment Modules"
    assert listing.names() == (
        "dot",
        "module-git",
        "null",
        "gcc/12.2",
        "gcc/13.1",
        "intel/2024.1",
        "intel/2023.2",
        "mpi@",
    )
    assert [m.name for m in listing.modules if m.default] == ["gcc/12.2", "intel/2024.1"]
    assert [m.name for m in listing.matching("INTEL")] == ["intel/2024.1", "intel/2023.2"]


OLD_MODULES = """\
module() {
  case $1 in
    use) export MODULEPATH="$2:$MODULEPATH" ;;
    load)
      case $2 in
        gcc) export LOADEDMODULES="${LOADEDMODULES:+$LOADEDMODULES:}gcc/12.2" GCC_HOME=/opt/gcc ;;
        *) echo "ModuleCmd_Load.c(213):ERROR:105: Unable to locate a modulefile for '$2'" >&2 ;;
      esac ;;
  esac
}
export MODULEPATH=${MODULEPATH:-/apps}
"""


def test_environment_modules_that_fail_with_status_0(tmp_path, runtime, env):
    """Version 3.2 returns 0 for a module that does not exist; the site names its init file."""
    init = tmp_path / "init file.sh"
    init.write_text(OLD_MODULES)
    site = SiteConfig(modules=ModuleConfig(init=str(init), use=("/site/a", "/site/b")))
    good = generation(
        tmp_path / "a" / "1", runtime=runtime, site=site, modules=Modules(load=("gcc",))
    )
    answer = process.run(
        [str(good / "launch.sh"), "--shell", "--", "sh", "-c", "echo $GCC_HOME $MODULEPATH"],
        timeout=60,
        env=env,
    )
    assert answer.stdout == "/opt/gcc /site/b:/site/a:/apps\n", answer
    bad = generation(
        tmp_path / "b" / "1", runtime=runtime, site=site, modules=Modules(load=("gcc", "gone/1"))
    )
    with Kernel(bad, env) as kernel:
        assert "the module `gone/1` does not exist" in kernel.run("1")[1], kernel.said()


@pytest.mark.skipif(
    not Path("/usr/share/modules/init/bash").exists() or LMOD.exists(),
    reason="Environment Modules is not installed here (Lmod is)",
)
def test_environment_modules_for_real(tmp_path, runtime, env):
    folder = tmp_path / "modulefiles"
    folder.mkdir()
    (folder / "thing").write_text("#%Module1.0\nsetenv THING here\n")
    made = generation(
        tmp_path / "a" / "1", runtime=runtime, modules=Modules(use=(str(folder),), load=("thing",))
    )
    answer = process.run(
        [str(made / "launch.sh"), "--shell", "--", "sh", "-c", "echo $THING"], timeout=60, env=env
    )
    assert answer.stdout == "here\n", (answer, sys.version)
