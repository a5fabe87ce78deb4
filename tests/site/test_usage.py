"""The usage log: whole lines, nothing else in them, and never a failure."""

import json
import os
import threading

import pytest

from kernelwright import usage
from kernelwright.config.model import SiteConfig


def test_it_is_off_by_default(tmp_path):
    assert usage.log(SiteConfig(), "u", "k", "venv", "ok") is False


def test_one_line_with_the_four_facts_and_the_time(tmp_path):
    path = tmp_path / "log"
    assert usage.log(SiteConfig(usage_log=str(path)), "ann", "bert\nx", "conda", "ok")
    entry = json.loads(path.read_text())
    assert set(entry) == {"time", "user", "kernel", "kind", "code"}
    assert (entry["user"], entry["kernel"]) == ("ann", "bert\nx")


def test_many_writers_never_mix_their_lines(tmp_path):
    site = SiteConfig(usage_log=str(tmp_path / "log"))
    writers = [
        threading.Thread(
            target=lambda n=n: [
                usage.log(site, f"u{n}", "k" * 150, "venv", "ok") for _ in range(200)
            ]
        )
        for n in range(8)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 1600
    assert all(json.loads(line)["kind"] == "venv" for line in lines)


def test_a_file_for_each_user(tmp_path):
    site = SiteConfig(usage_log=str(tmp_path / "{user}.jsonl"))
    assert usage.log(site, "ann", "k", "venv", "ok")
    assert not usage.log(site, "../ann", "k", "venv", "ok")
    assert os.listdir(tmp_path) == ["ann.jsonl"]


@pytest.mark.parametrize("kind", ["no folder", "fifo", "link", "folder", "full disk"])
def test_what_cannot_be_written_is_not_the_users_problem(tmp_path, kind):
    path = tmp_path / "log"
    {
        "no folder": lambda: None,
        "fifo": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to(tmp_path / "elsewhere"),
        "folder": path.mkdir,
        "full disk": lambda: path.symlink_to("/dev/full"),
    }[kind]()
    target = tmp_path / "no/such/log" if kind == "no folder" else path
    assert usage.log(SiteConfig(usage_log=str(target)), "u", "k", "venv", "ok") is False
    assert not (tmp_path / "elsewhere").exists()
