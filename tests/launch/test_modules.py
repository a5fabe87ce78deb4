"""Lmod and Environment Modules for real, as an unprivileged user."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest
from launch import module_systems
from launch.kit import BASIC, Kernel, generation

from kernelwright import modules
from kernelwright.config.model import ModuleConfig, SiteConfig
from kernelwright.errors import UserError
from kernelwright.model import Modules

SYSTEMS = {
    "lmod": module_systems.lmod,
    "environment-modules": module_systems.environment_modules,
}


@pytest.fixture(params=sorted(SYSTEMS))
def system(request):
    return SYSTEMS[request.param]()


@pytest.fixture
def settings(system):
    """A site that names the module system's init file where it has to."""
    return SiteConfig(modules=ModuleConfig(init=system.init))


@pytest.fixture
def tree(alice, system):
    """A hierarchy: Core has gcc (default 12.2), a leaky module and a broken one; gcc opens openmpi."""
    root = alice.home / "modules"  # Lmod itself cannot read Tcl files below a folder with a space
    core, compiler = root / "Core", root / "Compiler/gcc"
    for path, text in system.modulefiles(core, compiler).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in (root, *root.rglob("*")):
        os.chown(path, alice.uid, alice.gid)
    return core


@pytest.fixture
def ask(alice, runtime, settings):
    """`ask(words, environ, **recipe)`: the output of a command in the kernel's environment, as alice."""

    def run(*words, environ=None, **recipe):
        folder = generation(
            alice.home / f"gen{time.monotonic_ns()}" / "1",
            runtime=runtime,
            user=alice,
            site=settings,
            **recipe,
        )
        return alice.run([folder / "launch.sh", "--shell", "--", *words], env=environ, timeout=120)

    return run


def variable(name):
    return ("sh", "-c", f'echo "${name}"')


def test_modules_are_loaded_in_order_in_a_shell_that_knows_none(ask, tree):
    wanted = Modules(use=(str(tree),), load=("gcc", "openmpi"))
    assert ask(*variable("LOADEDMODULES"), modules=wanted).stdout == "gcc/12.2:openmpi/4.1\n"
    assert ask(*variable("PATH"), modules=wanted).stdout.startswith("/opt/mpi/bin:")
    path = ask(*variable("MODULEPATH"), modules=wanted).stdout
    assert str(tree) in path
    places = ("/etc/lmod/modules", "/usr/share/lmod", "/usr/share/modules/modulefiles")
    assert any(place in path for place in places), "what the site's own init file sets"


def test_a_module_that_is_loaded_already_by_another_name_is_no_failure(ask, tree):
    """Environment Modules before 4 tell a failure only by a list that stays the same; later ones do not."""
    (tree / "gcc" / ".modulerc").write_text("#%Module1.0\nmodule-version gcc/12.2 default stable\n")
    (tree / "gcc" / ".modulerc.lua").unlink(missing_ok=True)
    wanted = Modules(use=(str(tree),), load=("gcc/12.2", "gcc/stable"))
    answer = ask(*variable("LOADEDMODULES"), modules=wanted)
    assert answer.stdout == "gcc/12.2\n", answer


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


@pytest.mark.parametrize("purge", [False, True])
def test_modules_of_the_session_are_not_the_kernels(ask, tree, alice, system, purge):
    outer = alice.run(
        ["bash", "-c", f"source {system.shell}; module use '{tree}'; module load gcc/13.1; env -0"],
        timeout=120,
    )
    session = dict(pair.split("=", 1) for pair in outer.stdout.split("\0") if "=" in pair)
    assert session["LOADEDMODULES"] == "gcc/13.1"
    wanted = Modules(use=(str(tree),), load=("gcc/12.2",), purge=purge)
    answer = ask(
        "sh", "-c", 'echo "$LOADEDMODULES $LD_LIBRARY_PATH"', modules=wanted, environ=session
    )
    assert answer.stdout == "gcc/12.2 /opt/gcc12/lib\n", answer


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


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        (
            "gcc/99",
            "module-missing",
            ["`gcc/99` does not exist", "there is `gcc/12.2`, `gcc/13.1`", "recipe.yml, line"],
        ),
        ("nosuch", "module-missing", ["`nosuch` does not exist"]),
        ("openmpi/4.1", "module-not-loadable", ["module spider openmpi/4.1"]),
        ("needs/1", "module-not-loadable", ["`needs/1` exists", "loaded before it: gcc"]),
        ("rival/1", "module-conflict", ["`rival/1` cannot be loaded beside another one"]),
        ("broken/1.0", "module-failed", ["this one never loads"]),
    ],
)
def test_a_module_that_cannot_be_loaded_stops_the_start(
    alice, runtime, tree, system, settings, name, code, words
):
    if name == "openmpi/4.1" and system.name != "Lmod":  # only Lmod knows of trees not opened yet
        code, words = "module-missing", ["`openmpi/4.1` does not exist"]
    first = ("gcc/12.2",) if name == "rival/1" else ()
    python = str(runtime / "venv/bin/python")
    argv = (python, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    folder = generation(
        alice.home / "g" / "1",
        argv,
        runtime=runtime,
        user=alice,
        site=settings,
        modules=Modules(use=(str(tree),), load=(*first, name)),
    )
    # Environment Modules 5 loads by itself what a module needs, unless it is told not to
    environ = BASIC | {"HOME": str(alice.home), "MODULES_AUTO_HANDLING": "0"}
    with Kernel(folder, environ, user=alice, cwd=alice.home) as kernel:
        status, text = kernel.run("1")
        assert status == "error", kernel.said()
        for word in words:
            assert word in text, f"{text}\n{kernel.said()}"
        assert code in (folder / "starts/kernel-0123.problem").read_text()


def test_modules_that_changed_since_the_kernel_was_made_are_said(
    alice, runtime, tree, system, settings
):
    python = str(runtime / "venv/bin/python")
    argv = (python, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    folder = generation(
        alice.home / "g" / "1",
        argv,
        runtime=runtime,
        user=alice,
        site=settings,
        modules=Modules(use=(str(tree),), load=("gcc",)),
    )
    with Kernel(folder, BASIC | {"HOME": str(alice.home)}, user=alice, cwd=alice.home) as kernel:
        assert "have changed" not in kernel.run("1")[1]
        assert (folder / "modules.loaded").read_text() == "gcc/12.2\n"
        (tree / f"gcc/12.2{system.suffix}").rename(tree / f"gcc/12.3{system.suffix}")
        (tree / f"gcc/.modulerc{system.suffix}").unlink()
        (tree / f"gcc/13.1{system.suffix}").unlink()
        kernel.restart()
        text = kernel.run("1")[1]
        assert "the modules have changed since this kernel was made: gcc/12.2, now gcc/12.3" in text
        assert "have changed" not in kernel.run("1")[1]


def test_the_command_lists_what_can_be_loaded(alice, runtime, tree, system):
    named = alice.home / "site.yaml"
    named.write_text(f"modules: {{init: {system.init or 'null'}}}\n")
    environ = {"KERNELWRIGHT_SITE_CONFIG": str(named)}
    call = [runtime / "bin/kernelwright", "modules", "--use", tree]
    first = json.loads(alice.run([*call, "--json"], env=environ).stdout)
    rows = {row["name"]: row["loadable"] for row in first["modules"]}
    assert rows["gcc/12.2"] and rows["leaky/1.0"]
    assert rows.get("openmpi/4.1") is (False if system.name == "Lmod" else None)
    assert first["system"].startswith(system.name)
    found = alice.run([*call, "GCC/1*"], env=environ)
    default = (
        "" if system.name == "Lmod" else "  (default)"
    )  # Lmod's list for programs has no marks
    assert found.stdout == f"gcc/12.2{default}\ngcc/13.1\n"
    assert "asked" in found.stderr
    (tree / f"gcc/13.1{system.suffix}").unlink()
    assert "gcc/13.1" in alice.run([*call, "gcc"], env=environ).stdout, "from the cache"
    assert "gcc/13.1" not in alice.run([*call, "gcc", "--refresh"], env=environ).stdout
    hostile = alice.run([*call, "gcc/[$(touch x)"], env=environ)
    assert (hostile.status, (alice.home / "x").exists()) == (0, False)


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
