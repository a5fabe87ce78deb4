"""The session's card: every state in words, everything escaped, small, and never in the way of the dashboard."""

import json
import re
import time
from pathlib import Path

import pytest
from ood.rubyside import ROOT, call

RENDER = Path(__file__).with_name("card.rb")
REPORT = {
    "version": 1, "state": "running", "code": None, "message": None, "hint": None, "log": [], "node": "n1", "interface": "lab", "problems": [],
    "kernel": {"name": "rna", "label": "RNA", "origin": "user", "made": False}, "updated_at": 1.0, "ends_at": None,
}  # fmt: skip
PROGRESS = {
    "version": 1, "step": 2, "steps": 4, "phase": "download", "text": "downloading", "done": 310e6, "total": 900e6, "unit": "bytes",
    "started_at": 0, "updated_at": 0, "ends_at": None, "kernel": "RNA",
}  # fmt: skip
EVIL = (
    "<script>alert(1)</script> \"'&\n\n    code\n# head\n*x* [a](javascript:x) `y` \u202e\x1b[31m"
)


@pytest.fixture
def card(tmp_path, home):
    def render(
        status, *, report=None, progress=None, connection=None, completed_at=None, release="4.2"
    ):
        for name, value in (("report.json", report), ("progress.json", progress)):
            if value is not None:
                (tmp_path / name).write_text(value if isinstance(value, str) else json.dumps(value))
        if connection is not None:
            (tmp_path / "connection.yml").write_text(connection)
        record = {
            "id": "0-1",
            "token": "sys/kernelwright",
            "staged_root": str(tmp_path),
            "status": status,
            "completed_at": completed_at,
            "release": release,
        }
        return call(RENDER, {"app": str(ROOT), "record": record}, home=home)

    return render


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html)).strip()


def test_queued(card):
    assert (
        text(card("queued")["info"])
        == "Waiting for a free place on the cluster. You can close this page."
    )


def test_progress_in_words_and_as_a_bar(card):
    ends = time.mktime((2026, 11, 29, 14, 20, 0, 0, 0, -1))
    info = card("starting", progress={**PROGRESS, "started_at": time.time() - 65, "ends_at": ends})[
        "info"
    ]
    assert "Making “RNA”. Step 2 of 4: downloading, 310 of 900 MB" in text(info)
    assert "1 min " in text(info)
    assert text(info).endswith("You can close this page; the session ends at 14:20.")
    assert '<progress value="34" max="100"' in info
    assert "style=" not in info


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"done": 12, "total": 40, "unit": "packages"}, "12 of 40 packages"), ({"done": 1.5e9, "total": 3e9, "unit": "bytes"}, "1.5 of 3.0 GB"), ({"done": 500, "total": None, "unit": "bytes"}, "500 bytes"),
        ({"done": 3, "total": None, "unit": ""}, "downloading, 3"), ({"done": None, "total": None, "unit": ""}, "downloading"),
    ],
)  # fmt: skip
def test_amounts(card, part, words):
    assert words in text(card("starting", progress={**PROGRESS, **part})["info"])


def test_running_names_kernel_and_node(card):
    assert (
        text(card("running", report=REPORT, connection="host: h\nport: 1\npassword: x\n")["info"])
        == "Kernel: RNA on n1"
    )


def test_a_kernel_that_was_made_is_ready_and_old_notebooks_keep_theirs(card):
    report = {**REPORT, "kernel": {**REPORT["kernel"], "made": True}}
    info = card("running", report=report, connection="host: h\nport: 1\npassword: x\n")["info"]
    assert (
        text(info)
        == "Ready: RNA. Old notebooks keep their kernel: Kernel &gt; Change Kernel &gt; RNA"
    )


def test_only_made(card):
    assert text(card("completed", report={**REPORT, "state": "ready"})["completed"]).startswith(
        "Ready: RNA. Old notebooks"
    )


def test_commands_and_paths_stand_out_and_stay_text(card):
    report = {
        **REPORT,
        "state": "failed",
        "code": "x",
        "message": "no `a` <b>`c<i>`",
        "hint": "run `d",
    }
    html = card("completed", report=report)["completed"]
    assert "No <code>a</code> &lt;b&gt;<code>c&lt;i&gt;</code>." in html
    assert "Run &#96;d." in html


def test_where_no_notebook_was_wanted_the_software_could_not_be_made(card, tmp_path):
    report = {**REPORT, "state": "failed", "code": "x", "message": "no"}
    given = {"kw_kernel": "new:packages", "kw_only": "1"}
    (tmp_path / "user_defined_context.json").write_text(json.dumps(given))
    html = card("completed", report=report)["completed"]
    assert "The software could not be made" in html


def test_a_failure_gives_reason_hint_log_and_the_way_back(card):
    report = {
        **REPORT,
        "state": "failed",
        "code": "runtime-missing",
        "message": "The runtime is gone",
        "hint": "Tell the support",
        "log": ["one", "", "two"],
    }
    html = card("completed", report=report)["completed"]
    assert "The session could not start" in html
    assert "The runtime is gone runtime&#45;missing" not in html
    for part in (
        "The runtime is gone",
        "runtime-missing",
        "Tell the support",
        "one&#10;&#10;two",
        'href="/pun/sys/dashboard/batch_connect/sys/kernelwright/session_contexts/new?session_id=0-1"',
    ):
        assert part in html


def test_a_kernel_that_could_not_be_made_is_said_while_the_session_runs(card):
    report = {
        **REPORT,
        "code": "solve-failed",
        "message": "no such package",
        "hint": "check the name",
        "log": ["x"],
    }
    info = card("running", report=report, connection="host: h\nport: 1\npassword: x\n")["info"]
    assert "The software could not be made" in info
    assert "No such package." in info
    assert "Edit and try again" in info
    assert "Ready" not in info


@pytest.mark.parametrize(
    ("report", "completed_at", "words"),
    [
        (None, 5, "The job ended before it said anything"), ({**REPORT, "ends_at": 1000}, 1001, "The time of the session was over"), ({**REPORT, "ends_at": 9000}, 1001, "was ended from outside"),
        ({**REPORT, "state": "ended", "code": None}, 5, "The session is over."), ({**REPORT, "state": "ended", "code": "out-of-memory", "message": "it took too much"}, 5, "It took too much."),
    ],
)  # fmt: skip
def test_why_it_ended(card, report, completed_at, words):
    assert words in card("completed", report=report, completed_at=completed_at)["completed"]


def test_ended_while_making_says_that_the_work_is_kept(card):
    assert (
        "goes on where this one stopped"
        in card("completed", report=REPORT, progress=PROGRESS, completed_at=5)["completed"]
    )


@pytest.mark.parametrize("status", ["starting", "running", "completed"])
def test_nothing_of_others_becomes_html_or_markdown(card, status):
    report = {
        **REPORT, "state": "failed" if status == "completed" else "running", "code": EVIL, "message": EVIL, "hint": EVIL, "log": [EVIL] * 30, "node": EVIL,
        "kernel": {"name": EVIL, "label": EVIL, "origin": "user", "made": False}, "problems": [{"code": "x", "severity": "note", "message": EVIL, "hint": EVIL}],
    }  # fmt: skip
    progress = {**PROGRESS, "text": EVIL, "kernel": EVIL}
    parts = card(
        status, report=report, progress=progress, connection="host: h\nport: 1\npassword: x\n"
    )
    html = "".join(parts.values())
    assert "<script" not in html
    assert "<em>" not in html
    assert "<pre><code>" not in html
    assert "<h1>" not in html
    assert "javascript:x)" not in html.replace("&#91;a&#93;(javascript:x)", "")
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert html.count("&lt;script&gt;") >= 2


BAD = [
    "",
    "{",
    "[]",
    "null",
    '{"version": 1}',
    '{"step": "x", "steps": 0, "problems": 7, "log": "x", "kernel": 3, "state": []}',
    '{"step": 1, "steps": 0}',
    "\x00",
    "9" * 5000,
]


@pytest.mark.parametrize("content", BAD)
def test_broken_files_never_break_the_card(card, content):
    for status in ("queued", "starting", "running", "completed"):
        parts = card(
            status, report=content, progress=content, connection="host: h\nport: 1\npassword: x\n"
        )
        assert "because of error" not in "".join(parts.values())
        if status == "completed":
            assert "session_contexts/new?session_id=0-1" in parts["completed"]


def test_a_link_in_the_place_of_a_report_is_not_followed(card, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({**REPORT, "state": "failed", "code": "x", "message": "a secret"}))
    (tmp_path / "report.json").symlink_to(secret)
    assert "a secret" not in card("completed", completed_at=5)["completed"]


@pytest.mark.parametrize("release", ["3.1", "4.2"])
def test_connect_posts_the_password_and_never_links_it(card, release):
    view = card(
        "running",
        connection="host: n1.example.org\nport: 4711\npassword: Abc123\n",
        release=release,
    )["view"]
    assert (
        '<form action="/node/n1.example.org/4711/login?next=%2Fnode%2Fn1.example.org%2F4711%2F" method="post" target="_blank">'
        in view
    )
    assert '<input type="hidden" name="password" value="Abc123">' in view
    assert not re.search(r'(href|action)="[^"]*Abc123', view)
    assert "<pre><code>" not in view


@pytest.mark.parametrize("host", ["a/b", 'x"><script>alert(1)</script>', "-x", "a b", "é", ""])
def test_a_host_that_is_none_gives_no_button(card, host):
    view = card("running", connection=json.dumps({"host": host, "port": 1, "password": "p"}))[
        "view"
    ]
    assert "<form" not in view
    assert "<script" not in view


def test_a_hostile_password_is_text(card):
    view = card(
        "running",
        connection=json.dumps({"host": "h", "port": 1, "password": '"><script>x</script>'}),
    )["view"]
    assert "<script" not in view


def test_templates_and_cards_do_without_a_trim_mode():
    """Dashboards promise `<%-` for the form and for submit only: elsewhere it would be a syntax error on some."""
    for file in [*(ROOT / "template").rglob("*.erb"), *ROOT.glob("*.html.erb")]:
        assert not re.search(r"<%-|-%>", file.read_text()), file
