"""Nothing of Jupyter's protocol is lost on the way: held against a real kernel in a real job."""

import asyncio
import os
import unittest

import nbformat
import pytest

from slurm.notebook import Notebook, is_idle


def test_big_output_arrives_whole(bench):
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    big_output(notebook, 20)


@pytest.mark.soak
def test_hundred_megabytes(bench):
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    big_output(notebook, 100)


def big_output(notebook, megabytes):
    line = "x" * 99_999
    text = notebook.text_of(
        f"line = 'x' * 99_999 + chr(10)\nimport sys\nfor _ in range({megabytes * 10}): sys.stdout.write(line)"
    )
    assert len(text) == megabytes * 1_000_000
    assert set(text.split("\n")) == {line, ""}
    notebook.messages.clear()
    cell = notebook.send(
        "from comm import create_comm; import hashlib; data = __import__('os').urandom("
        f"{megabytes} * 1_000_000); c = create_comm(target_name='t', data={{}}, buffers=[data, b'small', data[:3_000_000]]);"
        "print(hashlib.sha256(data).hexdigest())"
    )
    notebook.wait(lambda m: is_idle(m, cell))
    (opened,) = notebook.of(cell, "comm_open")
    (printed,) = notebook.of(cell, "stream")
    import hashlib

    whole, small, part = [bytes(b) for b in opened["buffers"]]
    assert hashlib.sha256(whole).hexdigest() == printed["content"]["text"].strip()
    assert (small, part) == (b"small", whole[:3_000_000])


def test_ten_thousand_messages_in_order(bench):
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    # the pauses: ipykernel's own socket drops what it could not send once 1000 messages wait in it,
    # which a loaded machine brings about without any broker too
    cell = notebook.send(
        "import time; from IPython.display import publish_display_data as d\nfor i in range(10_000):\n"
        "    d({'text/plain': str(i)})\n    i % 250 or time.sleep(0.05)"
    )
    notebook.wait(lambda m: is_idle(m, cell))
    seen = [m["content"]["data"]["text/plain"] for m in notebook.of(cell, "display_data")]
    lost = sorted(set(range(10_000)) - {int(s) for s in seen})
    assert not lost, f"{len(lost)} lost, from {lost[0]} to {lost[-1]}"
    assert seen == [str(i) for i in range(10_000)]


def test_comm_round_trip_with_buffers(bench):
    """What ipywidgets does: open a comm, send state and buffers both ways."""
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    cell = notebook.send(
        "from comm import create_comm\ngot = []\nc = create_comm(target_name='jupyter.widget', data={'state': {'value': 1}})\n"
        "c.on_msg(lambda m: (got.append(m), c.send({'value': m['content']['data']['value'] + 1}, buffers=m['buffers'])))"
    )
    notebook.wait(lambda m: is_idle(m, cell))
    (opened,) = notebook.of(cell, "comm_open")
    session = notebook.client.session
    message = session.msg(
        "comm_msg", {"comm_id": opened["content"]["comm_id"], "data": {"value": 41}}
    )
    session.send(notebook.client.shell_channel.socket, message, buffers=[b"\0\1\2"])
    back = notebook.wait(lambda m: m["msg_type"] == "comm_msg")
    assert back["content"]["data"] == {"value": 42}
    assert bytes(back["buffers"][0]) == b"\0\1\2"


def test_stdin_several_front_ends_and_debugger(bench):
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    client, other = notebook.client, notebook.connect()
    try:
        client.execute("print('hello', input('name? '))", allow_stdin=True)
        request = client.get_stdin_msg(timeout=90)
        assert request["content"]["prompt"] == "name? "
        client.input("you")
        notebook.wait(lambda m: m["msg_type"] == "stream" and m["content"]["text"] == "hello you\n")
        mid = other.execute("2 + 2")
        shown = notebook.wait(
            lambda m: m["msg_type"] == "execute_result" and m["parent_header"].get("msg_id") == mid
        )
        assert shown["content"]["data"]["text/plain"] == "4"
        debug = {"type": "request", "seq": 1, "command": "debugInfo", "arguments": {}}
        client.control_channel.send(client.session.msg("debug_request", debug))
        assert client.get_control_msg(timeout=90)["content"]["success"] is True
    finally:
        other.stop_channels()


@pytest.mark.parametrize("how", ["signal", "message"])
def test_interrupt_of_a_running_cell(bench, how):
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    # ipykernel aborts what comes just after a cell that failed, unless that cell says otherwise
    cell = notebook.send("import time; print('up'); time.sleep(600)", stop_on_error=False)
    notebook.wait(lambda m: m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == cell)
    if how == "signal":
        notebook.manager.interrupt_kernel()
    else:
        notebook.client.control_channel.send(notebook.client.session.msg("interrupt_request", {}))
    assert notebook.reply(cell)["ename"] == "KeyboardInterrupt"
    assert notebook.text_of("print(1)") == "1\n"


def test_encryption_required(bench):
    bench.kernel()
    notebook = bench.start(encryption="required")
    assert notebook.manager.get_connection_info()["curve_secretkey"]
    assert notebook.text_of("print(6 * 7)") == "42\n"


def test_subscribers_are_welcomed(bench):
    """ipykernel 7 greets each subscriber; clients wait for it before they send a cell."""
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    import zmq

    context = zmq.Context()
    for _ in range(2):
        socket = context.socket(zmq.SUB)
        socket.subscribe(b"")
        socket.connect(notebook.manager._make_url("iopub"))
        assert socket.poll(60_000)
        frames = socket.recv_multipart()
        message = notebook.client.session.deserialize(frames[frames.index(b"<IDS|MSG>") + 1 :])
        assert (message["msg_type"], message["content"]) == ("iopub_welcome", {"subscription": ""})
        socket.close(0)
    context.term()


def test_a_forged_message_does_nothing(bench):
    bench.kernel(slurm={"partition": "closed"})
    notebook = bench.start()
    notebook.client.session.key = b"another key"
    notebook.client.execute("1")
    notebook.client.control_channel.send(
        notebook.client.session.msg("shutdown_request", {"restart": False})
    )
    notebook.client.session.key = notebook.manager.session.key
    cell = notebook.send("2")
    notebook.wait_line(cell, "PENDING")
    assert notebook.manager.is_alive()
    assert (
        len(
            {
                m["parent_header"].get("msg_id")
                for m in notebook.messages
                if m["msg_type"] == "display_data"
            }
        )
        == 1
    )


def test_nbclient_runs_a_notebook(bench):
    from nbclient import NotebookClient

    bench.kernel()
    node = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("x = 20"), nbformat.v4.new_code_cell("print(x + 1)")]
    )
    client = NotebookClient(node, kernel_name="demo", timeout=90)
    old = dict(os.environ)
    os.environ.update(bench.environ)
    try:
        client.execute()
    finally:
        os.environ.clear()
        os.environ.update(old)
    assert [o["text"] for o in node.cells[1].outputs] == ["21\n"]
    bench.cluster.wait_no_jobs()


def test_jupyter_kernel_test(bench, monkeypatch):
    """The field's own conformance suite, as it runs against ipykernel."""
    import jupyter_kernel_test

    bench.kernel()
    for name, value in bench.environ.items():
        monkeypatch.setenv(name, value)

    class Conformance(jupyter_kernel_test.KernelTests):
        kernel_name = "demo"
        language_name = "python"
        file_extension = ".py"
        code_hello_world = "print('hello, world')"
        code_stderr = "import sys; print('test', file=sys.stderr)"
        completion_samples = [{"text": "zi", "matches": {"zip"}}]
        complete_code_samples = ["1", "print('hello, world')"]
        incomplete_code_samples = ["print('''hello"]
        invalid_code_samples = ["import = 7q"]
        code_page_something = "zip?"
        code_generate_error = "raise"
        code_execute_result = [{"code": "1+2+3", "result": "6"}]
        code_display_data = [
            {
                "code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))",
                "mime": "text/html",
            }
        ]
        code_inspect_sample = "zip"
        code_clear_output = "from IPython.display import clear_output; clear_output()"

        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.kc.execute_interactive("1", timeout=90)  # the job has started

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Conformance)
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun >= 10
    assert [str(case) for case, _ in result.errors + result.failures] == [], (
        result.errors + result.failures
    )[:1]
    asyncio.set_event_loop(None)


def test_memory_budgets(bench):
    """An idle broker and agent; and no growth over 10,000 messages."""
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    agent = int(notebook.text_of("import os; print(os.getppid())"))
    before = {pid: resident(pid) for pid in (notebook.pid, agent)}
    assert before[notebook.pid] <= 64
    assert before[agent] <= 40
    flood(notebook)
    middle = {pid: resident(pid) for pid in before}
    flood(notebook)
    for pid, mib in middle.items():
        assert resident(pid) <= mib + 6


def flood(notebook: Notebook):
    cell = notebook.send(
        "from IPython.display import publish_display_data as d\nimport time\nfor i in range(5_000):\n    d({'text/plain': str(i)})\n    i % 250 or time.sleep(0.05)"
    )
    notebook.wait(lambda m: is_idle(m, cell))
    notebook.messages.clear()


def resident(pid) -> float:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))
