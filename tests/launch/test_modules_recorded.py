"""Environment Modules by what they print, and versions before 4 by what they do; no module system is needed."""

from __future__ import annotations

import sys

import pytest
from launch.kit import PYTHON, Kernel, generation

from kernelwright import modules, process
from kernelwright.config.model import ModuleConfig, SiteConfig
from kernelwright.model import Command, Modules

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


def test_a_list_that_another_start_is_writing_just_now_says_nothing(tmp_path, runtime, env):
    init = tmp_path / "init.sh"
    init.write_text(OLD_MODULES)
    site = SiteConfig(modules=ModuleConfig(init=str(init)))
    folder = generation(
        tmp_path / "a" / "1", runtime=runtime, site=site, modules=Modules(load=("gcc",))
    )
    (folder / "modules.loaded").touch()
    with Kernel(folder, env) as kernel:
        assert "have changed" not in kernel.run("1")[1]


@pytest.mark.parametrize("damage", ["gone", "empty"])
@pytest.mark.parametrize("name", ["modules.sh", "hooks.sh"])
def test_a_part_of_the_launch_script_that_is_lost_is_named(tmp_path, runtime, env, name, damage):
    """Without it the kernel would start in another environment than its own."""
    init = tmp_path / "init.sh"
    init.write_text(OLD_MODULES)
    (tmp_path / "hook.sh").write_text("export HOOKED=1\n")
    folder = generation(
        tmp_path / "a" / "1",
        runtime=runtime,
        site=SiteConfig(modules=ModuleConfig(init=str(init))),
        modules=Modules(load=("gcc",)),
        command=Command((sys.executable, *PYTHON), hooks=(str(tmp_path / "hook.sh"),)),
    )
    (folder / name).unlink() if damage == "gone" else (folder / name).write_text("")
    with Kernel(folder, env) as kernel:
        status, text = kernel.run("1")
        assert status == "error"
        assert f"{name}`, with which the kernel starts, is gone or damaged" in text
        assert "kernelwright repair try" in text
    shell = [str(folder / "launch.sh"), "--shell", "--", "true"]
    assert process.run(shell, timeout=60, env=env).status == 1
