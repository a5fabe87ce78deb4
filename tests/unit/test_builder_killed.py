"""A build that is killed at any moment, and a kernel that is removed while it runs."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kernelwright.config.model import SiteConfig
from kernelwright.store import Store
from unit.building import venv

ROOT = Path(__file__).resolve().parents[2]
CREATE = [
    sys.executable,
    "-m",
    "kernelwright",
    "create",
    "venv",
    "demo",
    "six",
    "--replace",
    "--no-test",
    "--progress",
    "none",
]


def kill_during_create(builder, seconds):
    env = {
        **builder.environ,
        "PYTHONPATH": str(ROOT / "lib"),
        "KERNELWRIGHT_RUNTIME": str(builder.runtime),
        "KERNELWRIGHT_HOME": str(builder.home),
    }
    child = subprocess.Popen(
        CREATE,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL)
    child.wait()


def check_after_kill(builder):
    """The old kernel works, the next call completes, and nothing is left over."""
    owned = builder.store.find("demo")
    generation = builder.store.generation(owned.id, owned.number)
    assert (
        subprocess.run(
            [f"{generation.made.prefix}/bin/python", "-c", "import six, ipykernel"], timeout=60
        ).returncode
        == 0
    )
    replace(builder, test=False).create(venv(), replace=True)
    folder = builder.store.data / "kernels" / builder.store.find("demo").id
    assert all((folder / n / "complete").exists() for n in os.listdir(folder) if n.isdecimal())
    assert not list(builder.store.specs.glob("**/.kw-*"))


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(2, id="few"),
        pytest.param(40, id="many", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_sigkill_at_random_moments(builder, number):
    begun = time.monotonic()
    replace(builder, test=False).create(venv())
    whole = time.monotonic() - begun
    moments = random.Random(7)
    for _ in range(number):
        kill_during_create(builder, moments.uniform(0.05, whole))
        check_after_kill(builder)


def test_removing_a_running_kernel_leaves_its_files(builder, home):
    from kernelwright.store.prune import remove_kernel

    generation = builder.create(venv())
    script = generation.folder / "launch.sh"
    script.write_text("#!/bin/sh\necho up\nsleep 60 & wait\n")
    child = subprocess.Popen([script], start_new_session=True, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"up\n"
    try:
        assert remove_kernel(builder.store, generation.kernel_id) == 1
        assert Path(generation.made.prefix).is_dir()
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    assert remove_kernel(Store(home, SiteConfig(), {}), generation.kernel_id) == 0
    assert not generation.folder.parent.exists()
    shutil.rmtree(home / ".local", ignore_errors=True)
