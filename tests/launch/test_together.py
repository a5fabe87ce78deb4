"""Starts of one R environment at once: its activation writes into it, as that of conda's R package does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from launch.kit import BASIC, Kernel, generation, gone

from kernelwright.environments import prefix as prefix_kind
from kernelwright.model import Made, PrefixSpec, Recipe

# each activation writes R's library paths anew from what is there, as `R CMD javareconf` does it
HOOK = """
for file in ldpaths Makeconf; do
  sed "s|^# activated .*|# activated $$|" "$CONDA_PREFIX/lib/R/etc/$file" >"$CONDA_PREFIX/lib/R/etc/$file.new"
  sleep 0.2 # a slow file system
  mv "$CONDA_PREFIX/lib/R/etc/$file.new" "$CONDA_PREFIX/lib/R/etc/$file" || exit 1
done
read -r count <"$CONDA_PREFIX/lib/R/etc/count" || exit 1
: >"$CONDA_PREFIX/lib/R/etc/count" # written in place
sleep 0.1
echo $((count + 1)) >"$CONDA_PREFIX/lib/R/etc/count"
"""


@pytest.fixture
def environment(alice):
    """A conda environment with an R of its own, over the system's: its start script and its settings are copies."""
    home = alice.home / "env/lib/R"
    (home / "etc").mkdir(parents=True)
    for entry in Path("/usr/lib/R").iterdir():
        if entry.name not in ("etc", "bin"):
            (home / entry.name).symlink_to(entry)
    for entry in Path("/usr/lib/R/etc").iterdir():
        shutil.copy(entry, home / "etc" / entry.name)
    for name in ("ldpaths", "Makeconf"):
        with (home / "etc" / name).open("a") as file:
            file.write("# activated 0\n")
    (home / "etc/count").write_text("0\n")
    shutil.copytree("/usr/lib/R/bin", home / "bin", symlinks=True)
    program = home / "bin/R"
    program.unlink()
    text = Path("/usr/lib/R/bin/R").read_text()
    program.write_text(text.replace("R_HOME_DIR=/usr/lib/R\n", f"R_HOME_DIR={home}\n", 1))
    program.chmod(0o755)
    prefix = alice.home / "env"
    (prefix / "bin").mkdir()
    (prefix / "bin/R").symlink_to(program)
    (prefix / "conda-meta").mkdir()
    hooks = prefix / "etc/conda/activate.d"
    hooks.mkdir(parents=True)
    (hooks / "activate-r-base.sh").write_text(HOOK)
    subprocess.run(["chown", "-R", "-h", "-P", f"{alice.uid}:{alice.gid}", alice.home], check=True)
    return prefix


def kernels(environment, runtime, alice, count):
    """`count` starts of one R kernel that has been made over the environment."""
    recipe = Recipe("try", PrefixSpec(str(environment)), "Try", language="r")
    made = Made("prefix", language="r", prefix=str(environment), facts={"conda": True})
    folder = generation(
        alice.home / "g/1",
        command=prefix_kind.command(recipe, made),
        runtime=runtime,
        user=alice,
        language="r",
        environment=recipe.environment,
    )
    environ = BASIC | {"HOME": str(alice.home)}
    keys = [f"kernel-{number}" for number in range(count)]
    return [Kernel(folder, environ, user=alice, cwd=alice.home, key=key) for key in keys]


@pytest.mark.parametrize("count", [2, 10])
def test_starts_at_once_all_answer_and_its_files_are_whole(environment, runtime, alice, count):
    settings = environment / "lib/R/etc"
    whole = {name: (settings / name).read_text() for name in ("ldpaths", "Makeconf")}
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        started = kernels(environment, runtime, alice, count)
        for kernel in started:
            kernel.manager.start_kernel(env=kernel.env, cwd=str(kernel.cwd))
            stack.push(kernel.__exit__)
        answers = list(pool.map(answer, started))
    assert answers == [("ok", f"42 {environment}/lib/R")] * count
    assert (settings / "count").read_text() == f"{count}\n"
    for name, text in whole.items():
        now = (settings / name).read_text().splitlines()
        assert now[:-1] == text.splitlines()[:-1]
        assert now[-1].startswith("# activated ")
        assert not (settings / f"{name}.new").exists()


def answer(kernel):
    kernel.connect()
    return kernel.run("cat(6 * 7, R.home())")


def test_the_lock_is_not_kept_by_what_a_hook_leaves_behind(environment, runtime, alice):
    """Neither a process of a hook nor the diagnostic kernel may keep other starts waiting."""
    hook = environment / "etc/conda/activate.d/activate-r-base.sh"
    hook.write_text('sleep 600 &\necho $! >"$CONDA_PREFIX/sleeper"\nexit 3\n')
    (kernel,) = kernels(environment, runtime, alice, 1)
    with kernel:
        sleeper = int((environment / "sleeper").read_text())
        try:
            assert "activate-r-base.sh" in kernel.run("1")[1], kernel.said()
            assert not gone(sleeper)
            assert subprocess.run(["flock", "-n", hook, "true"], timeout=60).returncode == 0
        finally:
            os.kill(sleeper, signal.SIGKILL)
