"""Real kernels from real images, as an unprivileged user: what a person does with them, and how they end."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.container, pytest.mark.root]

WHERE = {"run": "print(open('/image.txt').read().strip(), __import__('os').getuid())"}
SLEEP = "print('going', flush=True)\nimport time\nfor _ in range(600): time.sleep(0.1)"


def spec(person, name):
    return json.loads((person.user.home / ".local/share/jupyter/kernels" / name / "kernel.json").read_text())


@pytest.mark.parametrize("image", ["sandbox", "sif", "registry"])
def test_kernel_lives_a_whole_life(image, person, imagery, registry):
    """Cell, input, restart and 20 interrupts, each seen as KeyboardInterrupt; nothing is left."""
    address = {"sandbox": imagery.mini, "sif": imagery.sif, "registry": lambda: f"docker://{registry.host}/lab/bare:1"}[image]()
    person.create("one", address)
    assert spec(person, "one")["interrupt_mode"] == "message"
    cell, typed, hits, _, again, _ = person.drive(
        "one",
        WHERE,
        {"run": "print('hello', input())", "input": "world"},
        {"interrupt": 20 if image == "sif" else 5, "code": SLEEP},
        {"restart": True},
        WHERE,
        {"shutdown": True},
    )
    assert cell == {"text": f"inside {person.user.uid}\n", "status": "ok", "error": None}
    assert typed["text"] == "hello world\n"
    assert set(hits["errors"]) == {"KeyboardInterrupt"}, hits
    assert again["text"] == cell["text"]
