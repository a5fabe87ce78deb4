"""Nodes with addresses of their own: dialling back, being unable to, and a break on the way."""

import contextlib
import random
import subprocess
import time

import pytest

from slurm.notebook import is_idle


def ip(*argv):
    subprocess.run(["ip", *argv], check=True, timeout=30)


def cable(cluster, node, state):
    """Cut (`down`) or mend (`up`) the way from the node to the notebook's host, silently."""
    ip("link", "set", f"kwv{cluster.tag}{11 + cluster.nodes.index(node)}", state)


@contextlib.contextmanager
def more_addresses(cluster, count=1):
    """More addresses of the notebook's host, offered first, with a way from the nodes to them.

    Yields the first one and what takes all away: packets to them are then lost without an answer.
    """
    net = f"10.63.{random.randrange(250)}"
    bridge = ("dev", f"kwb{cluster.tag}")
    added = [f"{net}.{i}" for i in range(1, count + 1)]
    spaces = [f"kw{cluster.tag}-{node}" for node in cluster.nodes]
    for each in added:
        ip("addr", "add", f"{each}/32", *bridge)

    def take_away():
        while added:
            address = added.pop()
            ip("addr", "del", f"{address}/32", *bridge)
            for space in spaces:
                nobody = ("lladdr", "02:00:00:00:00:01", "nud", "permanent")
                ip("-n", space, "neigh", "replace", address, *nobody, "dev", "eth0")

    for space in spaces:
        ip("-n", space, "route", "add", f"{net}.0/24", "dev", "eth0")
    try:
        yield f"{net}.1", take_away
    finally:
        take_away()
        for space in spaces:
            ip("-n", space, "route", "del", f"{net}.0/24", "dev", "eth0")


def test_dial_back_over_the_sites_network(isolated_bench):
    bench = isolated_bench
    bench.site(network=f"{bench.cluster.net}.0/24", ports="42000-42999")
    bench.kernel(slurm={"ntasks": 2, "nodes": 2})
    notebook = bench.start()
    assert notebook.text_of("import socket; print(socket.gethostname())") == "n1\n"
    agent = notebook.text_of("import os; print(open('/proc/net/tcp').read())")
    remote = {line.split()[2] for line in agent.splitlines()[1:] if line.strip()}
    assert any(42000 <= int(r.split(":")[1], 16) <= 42999 for r in remote)
    notebook.shutdown()
    bench.cluster.wait_no_jobs()


def test_a_node_that_cannot_dial_back_says_so(isolated_bench):
    bench = isolated_bench
    bench.site(network="127.0.0.0/8", lease=8)  # a wrong setting: the node's own loopback
    bench.kernel()
    notebook = bench.start()
    begun = time.monotonic()
    error = notebook.run("1")
    text = "\n".join(error["traceback"])
    assert "the node cannot reach the notebook" in error["evalue"]
    assert f"the node's addresses: {bench.cluster.net}.11" in text
    assert "the notebook's addresses: 127.0.0.1" in text
    assert time.monotonic() - begun < 60  # with the usual lease 30 s on an idle machine
    bench.cluster.wait_no_jobs()


def test_no_address_in_the_sites_network(isolated_bench):
    bench = isolated_bench
    bench.site(network="203.0.113.0/24")
    bench.kernel()
    assert "no address in `203.0.113.0/24`" in bench.start().run("1")["evalue"]


def counting(notebook):
    """Send a cell that prints 0 to 29 in three seconds, and wait for its first number."""
    cell = notebook.send(
        "import time\nfor i in range(30):\n    print(i, flush=True); time.sleep(0.1)"
    )
    notebook.wait(lambda m: m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == cell)
    return cell


def all_arrives(bench, notebook, cell):
    notebook.wait(lambda m: is_idle(m, cell), 240)
    text = "".join(m["content"]["text"] for m in notebook.of(cell, "stream"))
    assert text.split() == [str(i) for i in range(30)]
    assert notebook.text_of("print('still here')") == "still here\n"
    notebook.shutdown()
    bench.cluster.wait_no_jobs()


def network_break(bench, seconds):
    bench.site(network=f"{bench.cluster.net}.0/24", lease=seconds + 60)
    bench.kernel()
    notebook = bench.start()
    notebook.ready()
    cell = counting(notebook)
    cable(bench.cluster, "n1", "down")
    time.sleep(seconds)
    cable(bench.cluster, "n1", "up")
    all_arrives(bench, notebook, cell)


def test_a_short_network_break_loses_nothing(isolated_bench):
    network_break(isolated_bench, 5)


@pytest.mark.soak
def test_a_long_network_break_loses_nothing(isolated_bench):
    network_break(isolated_bench, 40)


def test_an_address_that_goes_away_is_left_for_another(isolated_bench):
    """A bridge, a tunnel or an interface of the host may end while its other addresses stay."""
    bench = isolated_bench
    with more_addresses(bench.cluster) as (address, take_away):
        bench.kernel()
        notebook = bench.start()
        notebook.ready()
        (log,) = bench.jobs_folder.glob("*/*.log")
        assert f"in contact with the notebook at {address}" in log.read_text()
        cell = counting(notebook)
        take_away()
        all_arrives(bench, notebook, cell)


def test_addresses_that_answer_nothing_cost_a_moment_each(isolated_bench):
    """A host has addresses that nodes cannot reach; one after the other they would use up the patience."""
    bench = isolated_bench
    with more_addresses(bench.cluster, count=16) as (_, take_away):
        bench.kernel(slurm={"partition": "closed"})
        notebook = bench.start()
        cell = notebook.send("print('reached')")
        notebook.wait_line(cell, "PENDING")
        take_away()
        bench.cluster.open_partition()
        notebook.wait(lambda m: is_idle(m, cell), 60)
        assert notebook.reply(cell)["status"] == "ok"
        (log,) = bench.jobs_folder.glob("*/*.log")
        assert f"in contact with the notebook at {bench.cluster.net}.1" in log.read_text()
        notebook.shutdown()
        bench.cluster.wait_no_jobs()
