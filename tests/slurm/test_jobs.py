"""`kernelwright jobs`: what is listed, cancelled and swept."""

import json
import os
import signal
import subprocess
import time

import pytest

from kernelwright.errors import UserError
from kernelwright.slurm.jobs import listed as listed_by
from kernelwright.slurm.jobs import select
from kernelwright.slurm.scheduler import Job
from slurm.test_kills import processes


def jobs(bench, *words):
    done = subprocess.run(
        [bench.runtime / "bin/kernelwright", "jobs", *words],
        env=bench.environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def listed(bench):
    """The jobs that are not those of slow_kernels."""
    document = json.loads(jobs(bench, "list", "--json")[1])
    assert document["version"] == 1
    return [job for job in document["jobs"] if job["partition"] != "apart"]


def test_list_and_cancel(bench):
    bench.kernel(slurm={"partition": "closed"})
    assert listed(bench) == []
    notebook = bench.start({"KERNELWRIGHT_SESSION": "ood-12"})
    cell = notebook.send("1")
    notebook.wait_line(cell, "PENDING")
    ((job, _),) = bench.cluster.jobs()
    (row,) = listed(bench)
    assert row["job"] == job
    assert (row["kernel"], row["state"], row["session"], row["notebook"], row["partition"]) == (
        "demo",
        "PENDING",
        "ood-12",
        True,
        "closed",
    )
    assert "demo" in jobs(bench)[1]
    assert jobs(bench, "cancel")[0] == 2
    status, _, said = jobs(bench, "cancel", "nosuch")
    assert (status, "no-such-job" in said) == (1, True)
    assert json.loads(jobs(bench, "cancel", "--session", "another", "--json")[1])["cancelled"] == []
    assert [
        j["job"]
        for j in json.loads(jobs(bench, "cancel", "--session", "ood-12", "--json")[1])["cancelled"]
    ] == [job]
    assert "it was cancelled" in notebook.reply(cell)["evalue"]


def test_clean_cancels_what_no_notebook_looks_after(bench):
    bench.kernel(slurm={"partition": "closed"})
    kept, lost = bench.start(), bench.start()
    for notebook in (kept, lost):
        notebook.wait_line(notebook.send("1"), "PENDING")
    before = dict(bench.cluster.jobs())
    for pid, parent in processes(f"slurm.broker {bench.generation}"):
        if (
            pid == lost.pid or parent == lost.pid
        ):  # the reaper too: what the end of an OOD session does
            os.kill(pid, signal.SIGKILL)
    assert len(bench.cluster.jobs()) == 2
    (cleaned,) = json.loads(jobs(bench, "clean", "--json")[1])["cleaned"]
    deadline = time.monotonic() + 60
    while len(left := dict(bench.cluster.jobs())) > 1:
        assert time.monotonic() < deadline
    assert set(before) - set(left) == {cleaned["job"]}
    assert kept.manager.is_alive()


def test_a_pending_job_without_its_notebook_ends_when_it_starts(bench):
    """The whole session killed at once: nobody is left to cancel, so the agent ends by itself."""
    bench.site(lease=5)
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    notebook.wait_line(notebook.send("1"), "PENDING")
    for pid, _ in processes(f"slurm.broker {bench.generation}"):
        os.kill(pid, signal.SIGKILL)
    bench.cluster.open_partition()
    assert bench.cluster.wait_no_jobs(90) < 60


class Queue:
    """Slurm with these jobs: (name, comment) by their ids."""

    def __init__(self, *rows):
        self.rows = rows

    def own(self, user):
        assert user == "alice"
        return [
            Job(str(number), "PENDING", name=name, comment=comment)
            for number, (name, comment) in enumerate(self.rows, 1)
        ]


NONCE = "0123456789ab"


def test_only_jobs_of_kernels_are_listed():
    queue = Queue(
        ("kw-analysis", ""),
        ("kw-demo-thesis", "kernel=demo"),
        (f"kw-demo-{NONCE}", "kernelwright:kernel=demo;session=s"),
        (f"kw-de-mo-{NONCE}", ""),  # a site where Slurm drops comments
        ("renamed", "kernelwright:kernel=other"),
        (f"kw-demo-{NONCE}5", "(null)"),
        (f"xkw-demo-{NONCE}", ""),
    )
    found = listed_by(queue, [], "alice")
    assert [(j.job, j.kernel, j.session) for j in found] == [
        ("3", "demo", "s"),
        ("4", "de-mo", ""),
        ("5", "other", ""),
    ]


def test_words_name_kernels_exactly_and_empty_ones_nothing():
    queue = Queue(*((f"kw-{k}-{NONCE}", "") for k in ("demo", "demo-2")), ("x", "kernelwright:"))
    found = listed_by(queue, [], "alice")

    def chosen(*words, session=None):
        return [j.job for j in select(found, words, session=session, everything=False)]

    assert chosen("demo") == ["1"]
    assert chosen("demo-2", "3") == ["2", "3"]
    for words, session in ((("",), None), (("1", ""), None), (("1",), "")):
        with pytest.raises(UserError) as caught:
            chosen(*words, session=session)
        assert caught.value.code == "no-such-job"
