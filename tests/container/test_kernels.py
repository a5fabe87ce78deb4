"""Real kernels from real images, as an unprivileged user: what a person does with them, and how they end."""

from __future__ import annotations

import json

import pytest

WHERE = {"run": "print(open('/image.txt').read().strip(), __import__('os').getuid())"}
SLEEP = "print('going', flush=True)\nimport time\nfor _ in range(600): time.sleep(0.1)"


def spec(person, name):
    return json.loads(
        (person.user.home / ".local/share/jupyter/kernels" / name / "kernel.json").read_text()
    )


@pytest.mark.parametrize("image", ["sandbox", "sif", "registry"])
def test_kernel_lives_a_whole_life(image, person, imagery, registry):
    """Cell, input, restart and 20 interrupts, each seen as KeyboardInterrupt; nothing is left."""
    address = {
        "sandbox": imagery.mini,
        "sif": imagery.sif,
        "registry": lambda: f"docker://{registry.host}/lab/bare:1",
    }[image]()
    person.create("one", address)
    assert spec(person, "one")["interrupt_mode"] == "message"
    cell, typed, hits, _, again, _ = person.drive(
        "one",
        WHERE,
        {"run": "print('hello', input())", "input": "world"},
        {"interrupt": 20, "code": SLEEP},
        {"restart": True},
        WHERE,
        {"shutdown": True},
    )
    assert cell == {"text": f"inside {person.user.uid}\n", "status": "ok", "error": None}
    assert typed["text"] == "hello world\n"
    assert set(hits["errors"]) == {"KeyboardInterrupt"}, hits
    assert again["text"] == cell["text"]


def test_older_python_gets_its_own_ipykernel(person, imagery):
    """Python 3.9 over an older C library: the wheels are chosen for it, its own packages win."""
    try:
        image = imagery.old_python()
    except OSError as error:
        pytest.skip(f"NOT TESTED: Debian 11's packages cannot be had: {error}")
    person.create("older", image)
    versions, hits = person.drive(
        "older",
        {
            "run": "import sys, ipykernel; print(sys.version_info[:2], ipykernel.__version__.split('.')[0] >= '6')"
        },
        {"interrupt": 3, "code": SLEEP},
    )
    assert versions["text"] == "(3, 9) True\n"
    assert set(hits["errors"]) == {"KeyboardInterrupt"}
    injected = list(
        person.user.home.glob(".local/share/kernelwright/images/injected/ipykernel-py3.9-*")
    )
    assert len([p for p in injected if p.is_dir()]) == 1


def test_old_ipykernel_is_interrupted_by_signals(person, imagery):
    """An ipykernel of the image that knows no interrupt message: each signal arrives once."""
    person.create("signals", imagery.sif("old-kernel"))
    assert spec(person, "signals")["interrupt_mode"] == "signal"
    version, hits, after = person.drive(
        "signals",
        {"run": "import ipykernel; print(ipykernel.version_info[0])"},
        {"interrupt": 20, "code": SLEEP},
        {"run": "print(6 * 7)"},
    )
    assert version["text"] == "5\n"
    assert hits["errors"] == ["KeyboardInterrupt"] * 20
    assert after["text"] == "42\n"


def test_r_without_python(person, imagery):
    """R and IRkernel alone in the image; interrupted for real."""
    person.create("stats", imagery.r_only(), "--language", "r")
    assert spec(person, "stats")["interrupt_mode"] == "signal"
    cell, hits, after, _, again = person.drive(
        "stats",
        {"run": "cat(6 * 7, file.exists('/image.txt'))"},
        {
            "interrupt": 5,
            "code": "cat('going\\n'); flush.console(); for (i in 1:600) Sys.sleep(0.1)",
        },
        {"run": "cat('after')"},
        {"restart": True},
        {"run": "cat('again')"},
    )
    assert cell["text"] == "42 TRUE"
    assert after["text"] == "after", hits
    assert again["text"] == "again"


def test_bash_kernel_is_brought_to_a_python_image(person, imagery):
    person.create("shell", imagery.mini(), "--language", "bash")
    (cell,) = person.drive("shell", {"run": "cat /image.txt; echo $((6 * 7))"})
    assert cell["text"] == "inside\n42\n"


def test_image_without_a_shell(person, imagery):
    person.create("bare", imagery.no_shell())
    (cell,) = person.drive(
        "bare", {"run": "import os; print(os.path.exists('/bin/sh'), open('/image.txt').read())"}
    )
    assert cell["text"] == "False inside\n\n"


@pytest.mark.parametrize(
    ("image", "language", "code", "says"),
    [
        ("shell_only", "python", "image-has-no-kernel", "no python kernel can be started"),
        ("shell_only", "bash", "image-has-no-kernel", "no bash kernel"),
        ("shell_only", "r", "image-has-no-kernel", "no r kernel"),
        ("r_only", "python", "image-has-no-kernel", "no python kernel"),
        ("bare", "bash", "image-has-no-kernel", "no bash kernel"),
        ("mini", "julia", "image-has-no-kernel", "no julia kernel"),
        ("other_machine", "python", "image-wrong-architecture", "made for ppc64le"),
        ("sif_for", "python", "image-wrong-architecture", "made for aarch64"),
        ("truncated", "python", "image-truncated", "cut short"),
    ],
)  # fmt: skip
def test_image_that_cannot_serve_says_why(image, language, code, says, person, imagery):
    error = person.refused("no", getattr(imagery, image)(), "--language", language)
    assert error["code"] == code
    assert says in error["message"]
    assert error["hint"]
    person.assert_nothing_left()
