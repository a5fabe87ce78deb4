"""When the job ends the cell says so: the state, the log's end, the remedy. Restart submits anew."""

import json
import queue

import pytest


def sleeping(notebook):
    cell = notebook.send("import time; print('up', flush=True); time.sleep(600)")
    notebook.wait(lambda m: m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == cell)
    return cell


def test_scancel_from_outside_and_restart(bench):
    bench.kernel()
    notebook = bench.start()
    job = notebook.ready()
    notebook.run("import sys; sys.__stderr__.write('a line in the log\\n'); sys.__stderr__.flush()")
    cell = sleeping(notebook)
    bench.cluster.run("scancel", job)
    error = notebook.reply(cell)
    assert error["ename"] == "SlurmJobEnded"
    assert f"Slurm job {job} on node n1 is over: it was cancelled (CANCELLED)" == error["evalue"]
    text = "\n".join(error["traceback"])
    assert "Kernel > Restart submits a new job" in text
    assert "a line in the log" in text
    again = notebook.run("1")  # the broker stays, and says the same
    assert again["ename"] == "SlurmJobEnded"
    assert not bench.cluster.jobs()
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=90)
    assert notebook.ready() != job


def test_scancel_while_pending(bench):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    cell = notebook.send("1")
    notebook.wait_line(cell, "PENDING")
    bench.cluster.run("scancel", bench.cluster.jobs()[0][0])
    assert "it was cancelled" in notebook.reply(cell)["evalue"]
    notebook.wait_line(cell, "it was cancelled")


def ask(notebook, kind):
    """A question on the control channel that only a kernel knows the answer to; a way to its reply."""
    message = notebook.client.session.msg(kind, {})
    notebook.client.control_channel.send(message)

    def reply():
        found = notebook.client.get_control_msg(timeout=30)
        assert found["parent_header"]["msg_id"] == message["header"]["msg_id"]
        assert found["msg_type"] == kind.replace("_request", "_reply")
        return found["content"]

    return reply


def test_questions_that_wait_for_a_kernel_get_an_answer_when_there_will_be_none(bench):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    waiting = [ask(notebook, kind) for kind in ("debug_request", "usage_request")]
    cell = notebook.send("1")
    notebook.wait_line(cell, "PENDING")
    with pytest.raises(queue.Empty):
        notebook.client.get_control_msg(timeout=0.5)
    bench.cluster.run("scancel", bench.cluster.jobs()[0][0])
    assert notebook.reply(cell)["ename"] == "SlurmJobEnded"
    for reply in [*waiting, ask(notebook, "create_subshell_request")]:
        content = reply()
        assert (content["status"], content["ename"]) == ("error", "SlurmJobEnded")
        assert "it was cancelled" in content["evalue"]


def test_node_failure(bench):
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    cell = sleeping(notebook)
    bench.cluster.run("scontrol", "update", "NodeName=n1", "State=DOWN", "Reason=test")
    error = notebook.reply(cell)
    assert "its node failed (NODE_FAIL" in error["evalue"]
    assert "on another node" in "\n".join(error["traceback"])


def test_killed_agent(bench):
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    cell = notebook.send(
        "import os, signal, time; os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)"
    )
    error = notebook.reply(cell)
    assert error["ename"] == "SlurmJobEnded"
    assert "killed by signal 9" in error["evalue"]


def test_refused_submission_in_slurms_own_words(bench):
    bench.kernel(slurm={"partition": "nosuch"})
    notebook = bench.start()
    error = notebook.run("1")
    assert error["ename"] == "SlurmJobRefused"
    assert "invalid partition specified: nosuch" in error["evalue"]
    assert not bench.cluster.jobs()


def test_a_job_that_never_starts_says_what_to_change(bench):
    bench.kernel(slurm={"time": "5:00:00"})
    notebook = bench.start()
    notebook.wait_line(
        notebook.send("1"),
        "it will not start: its time limit is longer than the partition allows; choose a shorter `time`",
    )


def test_site_limit(bench):
    bench.site(limits={"ntasks": 2})
    bench.kernel(slurm={"ntasks": 4})
    error = bench.start().run("1")
    assert "`ntasks=4` is more than kernels may have here" in error["evalue"]


@pytest.mark.parametrize(("limit", "has"), [("5", "00:05:00"), ("1-00", "00:10:00")])
def test_a_kernel_that_names_no_time_stays_within_partition_and_site(bench, limit, has):
    """The partition allows ten minutes: what the site allows may be less, or more."""
    bench.site(limits={"time": limit})
    bench.kernel()
    notebook = bench.start()
    job = notebook.ready()
    shown = lambda: bench.cluster.run("scontrol", "show", "job", "-o", job)  # noqa: E731
    bench.cluster.wait(lambda: f"TimeLimit={has}" in shown(), 20, f"the limit of {has}")
    notebook.shutdown()
    bench.cluster.wait_no_jobs()


def test_a_session_overrides_the_kernels_settings(bench):
    bench.kernel(slurm={"partition": "nosuch", "ntasks": 2})
    notebook = bench.start({"KERNELWRIGHT_SLURM": json.dumps({"partition": "long"})})
    assert (
        notebook.text_of(
            "import os; print(os.environ['SLURM_JOB_PARTITION'], os.environ['SLURM_NTASKS'])"
        )
        == "long 2\n"
    )


def test_kernel_that_cannot_start(bench):
    bench.kernel(
        launch="#!/bin/sh\n[ \"$1\" = --local ] && {{ echo 'no such library'; exit 3; }}\n"
        'exec {runtime}/venv/bin/python -I -m kernelwright.slurm.broker {folder} "$1"\n'
    )
    error = bench.start().run("1")
    text = "\n".join(error["traceback"])
    assert "the kernel ended each time before it answered" in text
    assert "no such library" in text


def test_cancel_from_the_kernel(bench):
    bench.kernel()
    notebook = bench.start()
    job = notebook.ready()
    state = json.loads(
        notebook.text_of("import os; print(open(os.environ['KERNELWRIGHT_JOB_STATE']).read())")
    )
    assert state["job"] == job
    assert state["node"] == "n1"
    assert state["memory"]["peak"] > 1 << 20
    asked = notebook.run(
        "import os, json; open(json.load(open(os.environ['KERNELWRIGHT_JOB_STATE']))['cancel_file'], 'w')"
    )
    assert asked["status"] == "ok", asked
    bench.cluster.wait_no_jobs()
    assert "you cancelled it" in notebook.run("1")["evalue"]


def test_time_left_reaches_the_kernel_and_the_warning_the_cell(bench):
    bench.kernel(slurm={"time": "2"})
    notebook = bench.start()
    notebook.ready()
    # in the running cell, or in the last one: two minutes before the end is now
    warning = notebook.wait(
        lambda m: (
            m["msg_type"] == "display_data" and "it reaches its time limit" in str(m["content"])
        )
    )
    assert "save what you need" in warning["content"]["data"]["text/plain"]
    assert warning["parent_header"]["msg_type"] == "execute_request"
    text = notebook.text_of(
        "import os, time, json; print(json.load(open(os.environ['KERNELWRIGHT_JOB_STATE']))['ends'] - time.time())"
    )
    assert 0 < float(text) < 125
