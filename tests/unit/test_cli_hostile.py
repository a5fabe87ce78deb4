"""Hostile words on the command line, and other people's text on the terminal."""

import os
import re

import pytest

from kernelwright.cli.context import printable

HOSTILE = {
    "empty": "",
    "space": "a b",
    "quotes": "a'b\"c",
    "substitution": "$(touch /tmp/kw-owned)",
    "backticks": "`id`",
    "line end": "a\nb",
    "command": "; rm -rf x",
    "up": "../x",
    "dot": ".",
    "dots": "..",
    "dash": "-x",
    "long": "x" * 10_000,
    "nul": "a\0b",
    "surrogate": "a\udcffb",
    "emoji": "😀",
    "rtl": "\u202eabc",
    "escape": "\x1b[31mred",
}


@pytest.mark.parametrize("case", HOSTILE, ids=HOSTILE)
@pytest.mark.parametrize(
    "words",
    [
        ("show",),
        ("remove",),
        ("test",),
        ("doctor",),
        ("rollback",),
        ("export",),
        ("create", "venv"),
        ("create", "prefix", "a"),
        ("create", "script", "a"),
        ("create", "container", "a"),
        ("create", "recipe"),
        ("create", "venv", "a", "--python"),
        ("create", "venv", "a", "--env"),
        ("create", "venv", "a", "--slurm"),
        ("create", "venv", "a", "--module"),
        ("create", "venv", "a", "--display-name"),
    ],
    ids=" ".join,
)
def test_hostile_words_end_in_a_clear_error_and_touch_nothing(kw, home, words, case):
    before = sorted(p.name for p in home.rglob("*") if "locks" not in str(p))
    value = HOSTILE[case]
    words = (
        [*words, value] if not words[-1].startswith("--") else [*words[:-1], f"{words[-1]}={value}"]
    )
    answer = kw(*words, *(["--dry-run"] if words[0] == "create" else []))
    assert answer.status in {0, 1, 2}
    assert "Traceback" not in answer.err
    assert not os.path.exists("/tmp/kw-owned")
    assert "\x1b" not in answer.err.replace("\x1b[31merror", "")
    left = sorted(
        p.name
        for p in home.rglob("*")
        if "locks" not in str(p)
        and p.name
        not in {"index.json", ".local", "share", "kernelwright", "logs", "cache", "probes"}
    )
    assert [n for n in left if n not in before] == []


def test_removing_dot_dot_removes_nothing(kw, home):
    kernel = home / ".local/share/jupyter/kernels/mine"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text("{}")
    for name in (".", "..", "", "../kernels", "mine/../mine"):
        assert kw("remove", name, "--force").status != 0
    assert (kernel / "kernel.json").exists()


@pytest.mark.parametrize("text", ["\x1b]0;title\x07x", "\x9b31m", "a\x08b", "\u202e", "\x1b[2J"])
def test_other_peoples_text_cannot_drive_the_terminal(text):
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", printable(text).replace("\ufffd", "")
    )
