"""The documentation: links that lead somewhere, pages that are current, a site that builds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_pictures_are_there(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    missing = []
    for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
            missing.append(target)
    assert missing == []


def test_the_command_line_page_is_current():
    out = subprocess.run(
        [sys.executable, ROOT / "docs/make_cli_reference.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert out.returncode == 0, out.stderr


def test_the_site_builds_without_a_warning(tmp_path):
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path / "site"]
    out = subprocess.run(
        words,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert out.returncode == 0, out.stderr[-2000:]
    assert (tmp_path / "site/index.html").exists()


def test_no_page_is_an_orphan():
    linked = set()
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text()):
            linked.add((page.parent / target).resolve())
    nav = (ROOT / "mkdocs.yml").read_text()
    orphans = [
        str(p.relative_to(ROOT))
        for p in PAGES
        if p.parent != ROOT
        and p.resolve() not in linked
        and str(p.relative_to(ROOT / "docs")) not in nav
    ]
    assert orphans == []
