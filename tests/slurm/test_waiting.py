"""A cell in a kernel whose job waits: never silent, kept in order, run by itself."""

import signal
import tempfile
from pathlib import Path

import pytest

from slurm.notebook import is_idle


def test_cells_wait_with_a_line_each_and_run_in_order(bench):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    first = notebook.send("print('one'); x = 1")
    second = notebook.send("print('two', x)")
    third = notebook.send("y = 3")
    line = notebook.wait_line(first, "PENDING: the partition is closed at the moment")
    assert "waited" in line
    assert len(notebook.of(first, "display_data")) == 1
    begun = len(notebook.lines(second))
    notebook.wait(lambda m: len(notebook.lines(second)) > begun)
    html = notebook.of(first, "update_display_data")[-1]["content"]["data"]["text/html"]
    assert "PENDING" in html
    ((job, state),) = bench.cluster.jobs()
    assert state == "PENDING"
    bench.cluster.open_partition()
    notebook.wait(lambda m: is_idle(m, third))
    assert [notebook.reply(mid)["status"] for mid in (first, second, third)] == ["ok"] * 3
    assert notebook.lines(first)[-1].startswith(f"Slurm job {job} on node n1 after ")
    assert [m["content"]["text"] for m in notebook.of(second, "stream")] == ["two 1\n"]
    assert [m["content"] for m in notebook.of(first, "clear_output")] == [{"wait": True}]
    for mid in (first, second, third):
        states = [m["content"]["execution_state"] for m in notebook.of(mid, "status")]
        assert states == ["busy", "idle"]
    notebook.shutdown()
    bench.cluster.wait_no_jobs()


def test_no_stray_message_reaches_the_front_end(bench):
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    sessions = {m["parent_header"].get("session") for m in notebook.messages if m["parent_header"]}
    assert sessions == {notebook.client.session.session}


@pytest.mark.parametrize("how", ["signal", "message"])
def test_interrupt_drops_waiting_cells_and_keeps_the_place(bench, how):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    first, second = notebook.send("1"), notebook.send("2")
    notebook.wait_line(second, "PENDING")
    job = bench.cluster.jobs()
    if how == "signal":
        notebook.manager.interrupt_kernel()
    else:
        client = notebook.client
        client.control_channel.send(client.session.msg("interrupt_request", {}))
    assert notebook.reply(first)["ename"] == "KeyboardInterrupt"
    assert notebook.reply(second)["status"] == "aborted"
    assert bench.cluster.jobs() == job
    after = notebook.send("print('after')")
    bench.cluster.open_partition()
    notebook.wait(lambda m: is_idle(m, after))
    assert notebook.reply(after)["status"] == "ok"


def test_questions_that_need_no_kernel_are_answered_at_once(bench):
    bench.kernel(slurm={"partition": "closed"})
    client = bench.start().client
    assert client.comm_info(reply=True, timeout=60)["content"] == {"status": "ok", "comms": {}}
    assert client.complete("impor", reply=True, timeout=60)["content"]["matches"] == []
    assert client.history(reply=True, timeout=60)["content"]["history"] == []
    client.is_complete("1")
    assert client.get_shell_msg(timeout=60)["content"]["status"] == "unknown"
    assert (
        client.kernel_info(reply=True, timeout=60)["content"]["language_info"]["name"] == "python"
    )


def test_kernel_info_is_the_real_one_from_the_second_start_on(bench):
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    notebook.client.kernel_info(reply=True, timeout=60)
    notebook.shutdown()
    bench.cluster.wait_no_jobs()
    (bench.generation.parent / "launcher.json").write_text('{"slurm": {"partition": "closed"}}')
    info = bench.start().client.kernel_info(reply=True, timeout=60)["content"]
    assert info["implementation"] == "ipython"


def test_shutdown_while_pending_frees_the_place(bench):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    notebook.wait_line(notebook.send("1"), "PENDING")
    notebook.shutdown()
    assert bench.cluster.wait_no_jobs() < 20
    assert not list(bench.jobs_folder.glob("*/owner-*"))


def test_silent_cells_and_terminate(bench):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    quiet = notebook.send("1", silent=True)
    loud = notebook.send("1")
    notebook.wait_line(loud, "PENDING")
    assert not notebook.lines(quiet)
    notebook.manager.signal_kernel(signal.SIGTERM)
    bench.cluster.wait_no_jobs()


def test_a_working_folder_that_the_node_lacks_is_named(bench, monkeypatch):
    bench.kernel(slurm={"partition": "closed"})
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))  # a folder in /tmp is never asked for
    monkeypatch.chdir(folder)
    notebook = bench.start()
    cells = [notebook.send("import os; print(os.getcwd())"), notebook.send("1")]
    notebook.wait_line(cells[0], "PENDING")
    monkeypatch.chdir("/")
    folder.rmdir()
    bench.cluster.open_partition()
    line = notebook.wait_line(cells[0], "cannot be entered on node n1")
    assert str(folder) in line
    assert "No such file or directory" in line
    notebook.wait(lambda m: is_idle(m, cells[1]))
    assert not any("cannot be entered" in line for line in notebook.lines(cells[1]))
    notebook.manager.restart_kernel()  # the same job: its kernel is there, too
    notebook.client.wait_for_ready(timeout=90)
    notebook.wait_line(notebook.send("1"), "cannot be entered")
