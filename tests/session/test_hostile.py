"""Every field with hostile text, from the web node's Ruby to the prepared session: an error in words, or it works."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from kernelwright.config.model import Policy, SiteConfig
from kernelwright.errors import UserError
from kernelwright.session import request, server
from kernelwright.session.prepare import prepare

from .conftest import report_of, specs_of, values_of
from .ood import FIELDS, stage

HOSTILE = {
    "empty": "",
    "spaces": "   ",
    "quotes": 'it\'s "quoted" `so`',
    "substitution": "$(touch {mark})",
    "backticks": "`touch {mark}`",
    "newlines": "a\nb: c\n- d",
    "rm": "; rm -rf {mark}.keep",
    "parent": "../../etc/passwd",
    "dot": ".",
    "dots": "..",
    "dash": "-rf",
    "option": "--config=/etc/passwd",
    "long": "x" * 10_000,
    "nul": "a\0b",
    "emoji": "💥 kernel",
    "bidi": "abc\u202edef\u2066",
    "surrogate": "a\ud800b",
    "template": "{{ 7*7 }}{% raise %}",
    "erb": "<%= `touch {mark}` %>",
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "value": "new:packages",
    "values": "user:../../x",
    "group": "group:../../x/y",
}
FIELDS_TRIED = [*FIELDS, "kw_installer", "kwt_env"]


@pytest.mark.parametrize("name", FIELDS_TRIED)
def test_no_answer_does_more_than_it_says(name, request_of, home, tmp_path, valid, monkeypatch):
    monkeypatch.setattr(server, "hash_password", lambda _: "argon2:quick")
    keep = tmp_path / "mark.keep"
    keep.touch()
    before = sorted(os.listdir(home))
    for case, text in HOSTILE.items():
        answers = {
            "kw_kernel": "new:file"
            if name == "kw_file"
            else "new:container"
            if name == "kw_image"
            else "new:packages"
        }
        answers |= {
            "kw_title": "T",
            "kw_packages": "six",
            name: text.replace("{mark}", str(tmp_path / "mark")),
        }
        session = request_of(SiteConfig(policy=Policy(kinds=())), **answers)
        try:
            prepare(session, host="127.0.0.1", port="5000")
        except UserError as error:
            assert name in {"kw_modules", "kw_only"}, (case, error.code)
            assert error.message and error.code
            report = valid("report", report_of(session))
            assert (report["state"], report["code"]) == ("failed", error.code)
        else:
            assert_sound(session, valid, shell=name in {"kw_modules", "kw_folder", "kw_kernel"})
        assert not (tmp_path / "mark").exists(), case
        assert keep.exists(), case
        assert sorted(os.listdir(home)) == before, case


def assert_sound(session, valid, *, shell):
    """A session that can be started: its files say what they should and nothing of the answers became shell."""
    report = valid("report", report_of(session))
    assert report["state"] == "starting"
    for text in [report["message"] or "", report["hint"] or "", *report["log"]]:
        assert not any(ord(c) < 32 and c not in "\n\t" for c in text), text
    assert values_of(session)["default_kernel_name"] in {"python3", *specs_of(session)}
    for name in specs_of(session):
        assert name == os.path.basename(name) and not name.startswith((".", "-"))
    if not shell:
        return
    lines = subprocess.run(
        ["bash", "-c", f'. "{session.private}/server.sh"; declare -p kw_modules kw_command | wc -l; compgen -v kw_ | sort'],
        capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert lines.stdout.split() == [
        "2",
        "kw_command",
        "kw_modules",
        "kw_modules_init",
        "kw_modules_use",
    ], lines.stderr


def test_the_answers_cross_from_ruby_unchanged(tmp_path, valid):
    answers = {
        name: text.replace("\ud800", "").replace("\0", "")
        for name, text in zip(FIELDS, list(HOSTILE.values())[2:], strict=False)
    }
    root = stage(answers, tmp_path / "staged", runtime="/opt/it's a $(runtime)")
    document = valid("request", json.loads((root / "request.json").read_text()))
    assert {k: v for k, v in document["answers"].items() if k in answers} == answers
    assert request.read(root / "request.json").runtime == "/opt/it's a $(runtime)"
    said = subprocess.run(
        ["bash", "-c", "clean_up() { exit; }; . ./before.sh; :"], cwd=root, capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert "not found: /opt/it's a $(runtime)/bin/kernelwright" in said.stderr
    assert json.loads((root / "report.json").read_text())["code"] == "runtime-unreachable"
    valid("report", json.loads((root / "report.json").read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2, "answers": {}}',
        '{"version": 1}',
        '{"version": 1, "answers": []}',
        "[" * 100_000,
        '"' + "x" * (2 << 20) + '"',
        b"\xff\xfe",
    ],
    ids=[
        "empty",
        "cut",
        "list",
        "null",
        "newer",
        "no-answers",
        "answers-list",
        "deep",
        "huge",
        "bytes",
    ],
)
def test_a_broken_request_is_named(text, request_of):
    session = request_of()
    data = text if isinstance(text, bytes) else text.encode()
    (session.root / "request.json").write_bytes(data)
    with pytest.raises(UserError) as caught:
        prepare(session, host="127.0.0.1", port="5000")
    assert caught.value.code == "bad-request"
    assert report_of(session)["code"] == "bad-request"


def test_a_request_that_is_no_file(request_of):
    session = request_of()
    (session.root / "request.json").unlink()
    with pytest.raises(UserError):
        prepare(session, host="127.0.0.1", port="5000")


def test_answers_of_other_types_are_left_out(tmp_path):
    (tmp_path / "request.json").write_text(
        json.dumps(
            {
                "version": 1,
                "answers": {"kw_kernel": 7, "kw_ui": ["lab"], "kw_folder": "x"},
                "session": 3,
                "catalog": [],
            }
        )
    )
    found = request.read(tmp_path / "request.json")
    assert dict(found.answers) == {"kw_folder": "x"}
    assert found.interface == "lab"
