"""What the broker asks and writes aside, and where a job's script begins; without a cluster."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from kernelwright.config.model import SlurmConfig
from kernelwright.slurm import notices, submission
from kernelwright.slurm.alerts import Alerts
from kernelwright.slurm.background import Background
from kernelwright.slurm.clients import Unreachable
from kernelwright.slurm.watcher import Watcher


def test_a_session_without_room_for_a_thread_is_an_outage(monkeypatch):
    def start(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    background, answers = Background(), []
    assert background.ask("queue", lambda: 1, answers.append)
    background.finish()
    assert isinstance(answers[0], Unreachable)
    assert not background.busy("queue")


@pytest.mark.parametrize("error", [OSError("too many open files"), Unreachable("timed out")])
def test_no_answer_ends_the_watch(error):
    """Neither about the queue nor about the job's end: the job is as it was."""
    heard = []
    listener = SimpleNamespace(outage=lambda: heard.append("outage"), over=heard.append)
    watcher = Watcher(None, None, None, listener)
    watcher.watch("1")
    watcher._answered(error)
    watcher._end_known(error)
    assert heard == ["outage", "outage"]


@pytest.mark.parametrize(("name", "kept"), [("tmpdir-of-site", True), ("tmp", False)])
def test_only_the_nodes_own_folder_is_left_for_the_home(name, kept, monkeypatch):
    folder = Path("/") / name / f"kernelwright-{os.getpid()}"
    monkeypatch.setattr(os, "getcwd", lambda: str(folder))
    found = submission._working_folder(SimpleNamespace(home=Path("/home/alice")))
    assert found == (str(folder) if kept else "/home/alice")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("RUNNING", "Slurm job 7 still runs, waiting for contact"),
        ("SUSPENDED", "Slurm job 7 is suspended at the moment"),
        ("PENDING", "Slurm job 7 is PENDING"),
    ],
)
def test_silence_is_told_with_what_slurm_says(state, words):
    assert words in notices.contact_lost("7", "n1", 20, state).text


def test_each_stretch_of_idleness_is_warned_of_once():
    """A cell or a widget's callback begins the next one."""
    said = []
    cells = SimpleNamespace(idle_since=lambda: idle, say=lambda notice, _: said.append(notice.text))
    agents = SimpleNamespace(silent=0.0)
    allocation = SimpleNamespace(job="7", agents=agents, ends=None, stop=said.append)
    alerts = Alerts(cells, SlurmConfig(limits={"idle": 10}))
    for idle in (0, 299, 301, 350, 5, 310, 320):  # noqa: B007 - what cells.idle_since says
        alerts.running(allocation)
    assert [text.rpartition("ends in ")[2] for text in said] == ["4 min", "4 min"]
