"""However a container kernel ends, nothing of it stays: no starter, no squashfuse, no kernel."""

from __future__ import annotations

import json
import time

import pytest

from container.conftest import DRIVER_COPY

STUBBORN = {"run": "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf')"}
FORK = {
    "run": "import subprocess; child = subprocess.Popen(['/bin/sleep', '600']); print(child.pid > 0)"
}
CELL = {"run": "print(6 * 7)"}


@pytest.fixture
def kernel(person, imagery):
    person.create("k", imagery.sif(), "--no-test")
    return "k"


@pytest.mark.parametrize(
    "how",
    [{"shutdown": True}, {"shutdown": "now"}, {"kill": True}],
    ids=["shutdown", "shutdown-now", "launch-script-killed"],
)
def test_nothing_is_left(how, person, kernel):
    """With a child of the notebook's own, and a kernel that does not listen to TERM."""
    (*_,) = person.drive(kernel, FORK, STUBBORN, how)  # drive() asserts it


def test_nothing_is_left_after_the_server_was_killed(person, kernel):
    words = [person.runtime / "venv/bin/python", DRIVER_COPY(), kernel]
    done = person.user.run(words, env=person.environ, stdin=json.dumps([CELL, {"die": True}]))
    assert done.status == -9
    person.assert_nothing_left()


def restarts(person, kernel, count):
    answers = person.drive(kernel, *[CELL, {"restart": "now"}] * count, CELL)
    assert [answer["text"] for answer in answers[::2]] == ["42\n"] * (count + 1)


def test_restarts_at_once(person, kernel):
    """The old kernel's ports are free when the new one wants them."""
    restarts(person, kernel, 3)


@pytest.mark.soak
def test_ten_restarts(person, kernel):
    restarts(person, kernel, 10)


def test_unpacked_images_are_removed(person, imagery):
    """Where no image can be mounted it is unpacked at each start; that goes too."""
    person.create("u", imagery.sif(), "--no-test")
    script = next(person.user.home.glob(".local/share/kernelwright/kernels/*/1/launch.sh"))
    text = script.read_text()
    script.write_text(text.replace("kw_enter ", "kw_options+=(--unsquash)\nkw_enter "))
    folder = person.user.home / "tmp"
    person.user.run(["mkdir", folder])
    (answer,) = person.drive("u", CELL, env={"APPTAINER_TMPDIR": str(folder)})
    assert answer["text"] == "42\n"
    deadline = time.monotonic() + 30
    while any(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(folder.iterdir())


def test_the_word_that_the_kernel_is_up_comes_through_the_container(person, kernel):
    """Else the launch script would take an idle kernel for a silent one when its time is over."""
    *_, answer = person.drive(
        kernel, {"run": "import time; time.sleep(6)"}, CELL, env={"KERNELWRIGHT_START_LIMIT": "5"}
    )
    assert answer["text"] == "42\n"
    state = person.user.home.glob(".local/share/kernelwright/kernels/*/1/starts/*.died")
    assert not list(state)


def test_a_runtime_that_closes_what_it_inherits(person, kernel):
    """Old runtimes pass no file descriptors on: the kernel is up when its port answers, and ends as usual."""
    script = next(person.user.home.glob(".local/share/kernelwright/kernels/*/1/container.sh"))
    text = script.read_text()
    script.write_text(
        text.replace(
            "  kw_give KERNELWRIGHT_READY\n",
            "  kw_give KERNELWRIGHT_READY\n  exec {KERNELWRIGHT_READY}>&-\n",
        )
    )
    assert script.read_text() != text
    answer, _ = person.drive(kernel, CELL, {"shutdown": True})
    assert answer["text"] == "42\n"
    left = person.user.home.glob(".local/share/kernelwright/kernels/*/1/starts/*")
    assert not list(left)
