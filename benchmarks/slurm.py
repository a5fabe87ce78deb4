"""The Slurm budgets, on a private two-node cluster of this machine, beside what one would use instead.

    python benchmarks/slurm.py [--runs 5] [--megabytes 100] [--runtime PREFIX]

* first word: from `start_kernel` to the waiting line of a cell, the job pending
* ready: from the first line of the batch script to the first message of a cell, beside the same
  ipykernel in a bare sbatch
* hop: a kernel_info round trip, and megabytes per second of stdout and of buffers, beside an ipykernel
  on this host with Curve on its sockets (the same secrecy)
* memory: broker and agent, idle and after the megabytes

Needs root and Slurm's daemons, as tests/slurm does. Kernel, agent, broker and client share this
machine's cores, so that ratios are pessimistic.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "lib")]

from jupyter_client import BlockingKernelClient, KernelManager  # noqa: E402
from tests.slurm.cluster import Cluster  # noqa: E402
from tests.slurm.notebook import Notebook, is_idle, make_generation, publish  # noqa: E402
from throwaway import runtime  # noqa: E402

STDOUT = "line = 'x' * 999_999 + chr(10)\nimport sys\nfor _ in range({n}): sys.stdout.write(line)"
ONE = "from comm import create_comm\ncreate_comm(target_name='t', data={{}}, buffers=[bytes({n} * 1_000_000)])"
MANY = "from comm import create_comm\nc = create_comm(target_name='t', data={{}})\nfor _ in range({n}): c.send({{}}, buffers=[bytes(1_000_000)])"


class Direct:
    """The same ipykernel without Slurm and broker, encrypted as the link is."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3", transport_encryption="required")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.messages = []

    send, reply, wait, of = Notebook.send, Notebook.reply, Notebook.wait, Notebook.of

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def round_trips(notebook, count=200):
    client, took = notebook.client, []
    for _ in range(count):
        begun = time.perf_counter()
        mid = client.kernel_info()
        while client.get_shell_msg(timeout=60)["parent_header"]["msg_id"] != mid:
            pass
        took.append(time.perf_counter() - begun)
    while client.iopub_channel.msg_ready():
        client.get_iopub_msg(timeout=1)
    return statistics.median(took) * 1000


def megabytes_per_second(notebook, code, n, runs):
    speeds = []
    for _ in range(runs):
        notebook.messages.clear()
        begun = time.perf_counter()
        mid = notebook.send(code.format(n=n))
        notebook.wait(lambda m: is_idle(m, mid), 300)
        speeds.append(n / (time.perf_counter() - begun))
        notebook.reply(mid)
    notebook.messages.clear()
    return statistics.median(speeds)


def resident(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return next(
        int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS")
    )


def first_words(start, runs):
    took = []
    for _ in range(runs):
        notebook = start()
        mid = notebook.send("1")
        notebook.wait(
            lambda m: m["msg_type"] == "display_data" and m["parent_header"].get("msg_id") == mid
        )
        took.append(time.monotonic() - notebook.begun)
        notebook.close()
    return statistics.median(took)


def ready_with_us(start, runs):
    took = []
    for _ in range(runs):
        notebook = start()
        mid = notebook.send("1")
        notebook.wait(
            lambda m: m["msg_type"] == "execute_input" and m["parent_header"].get("msg_id") == mid
        )
        now = time.time()
        took.append(now - born(int(printed(notebook, "import os; print(os.getppid())"))))
        notebook.close()
    return statistics.median(took)


def born(pid):
    """When a process began: the agent is what the batch script became, so this is the script's start."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    since_boot = float(Path("/proc/uptime").read_text().split()[0])
    age = since_boot - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def ready_bare(cluster, python, runs):
    """An ipykernel in a bare sbatch, with the ports it chose itself read from its connection file."""
    took = []
    for _ in range(runs):
        folder = Path(tempfile.mkdtemp(prefix="kernelwright-bench-"))
        connection = folder / "kernel.json"
        ports = {f"{c}_port": 0 for c in ("shell", "iopub", "stdin", "control", "hb")}
        connection.write_text(
            json.dumps(
                {
                    "ip": "127.0.0.1",
                    "transport": "tcp",
                    "key": uuid.uuid4().hex,
                    "signature_scheme": "hmac-sha256",
                    **ports,
                }
            )
        )
        script = f"#!/bin/bash\ndate +%s.%N > {folder}/stamp\nexec {python} -m ipykernel_launcher -f {connection}\n"
        job = subprocess.run(
            ["sbatch", "--parsable", f"--output={folder}/out"],
            input=script,
            text=True,
            env=cluster.environ,
            capture_output=True,
            check=True,
        ).stdout.strip()
        while True:
            try:
                info = json.loads(connection.read_text())
            except (
                ValueError,
                FileNotFoundError,
            ):  # ipykernel rewrites it, and it is gone for a moment
                continue
            if info["hb_port"]:
                break
            time.sleep(0.005)
        client = BlockingKernelClient()
        client.load_connection_info(info)
        client.start_channels()
        client.wait_for_ready(timeout=60)
        mid = client.execute("1")
        while (m := client.get_iopub_msg(timeout=60))["msg_type"] != "execute_input" or m[
            "parent_header"
        ].get("msg_id") != mid:
            pass
        took.append(time.time() - float((folder / "stamp").read_text()))
        client.stop_channels()
        subprocess.run(["scancel", job], env=cluster.environ, check=True)
        shutil.rmtree(folder, ignore_errors=True)
    return statistics.median(took)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--runtime", type=Path, default=ROOT / ".dev-runtime")
    options = parser.parse_args()
    runtime(options.runtime)
    base = Path(tempfile.mkdtemp(prefix="kernelwright-bench-"))
    cluster = Cluster().start()
    try:
        rows = measure(cluster, base, options)
    finally:
        cluster.stop()
        shutil.rmtree(base, ignore_errors=True)
    width = max(len(r[0]) for r in rows)
    print(f"{'what':{width}}  {'measured':>12}  {'beside':>12}  {'ratio':>6}  budget")
    for what, value, beside, ratio, budget in rows:
        print(f"{what:{width}}  {value:>12}  {beside:>12}  {ratio:>6}  {budget}")
    return 0


def measure(cluster, base, options):
    (base / "run").mkdir(mode=0o700)
    (base / "home").mkdir()
    (base / "catalog.json").write_text('{"version": 1, "config": {}}')
    environ = {
        **cluster.environ,
        "KERNELWRIGHT_HOME": str(base / "home"),
        "KERNELWRIGHT_RUNTIME": str(options.runtime),
        "KERNELWRIGHT_CATALOG": str(base / "catalog.json"),
        "JUPYTER_PATH": str(base / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(base / "run"),
    }
    os.environ.update({k: environ[k] for k in ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR")})
    for name, partition in (("waits", "closed"), ("runs", "debug")):
        generation = make_generation(base / name, options.runtime, slurm={"partition": partition})
        publish(base / "jupyter", generation, name)
    python = options.runtime / "venv/bin/python"
    runs, size = options.runs, options.megabytes
    word = first_words(lambda: Notebook(environ, name="waits"), runs)
    cluster.wait_no_jobs()
    ours = ready_with_us(lambda: Notebook(environ, name="runs"), runs)
    bare = ready_bare(cluster, python, runs)
    cluster.wait_no_jobs()
    rows = [
        ("first word in a queued kernel", f"{word:.2f} s", "-", "-", "<= 0.5 s"),
        (
            "ready after the job started",
            f"{ours:.2f} s",
            f"{bare:.2f} s",
            f"{ours / bare:.2f}",
            "<= 1.15 x bare sbatch",
        ),
    ]
    notebook, direct = Notebook(environ, name="runs"), Direct()
    agent = int(printed(notebook, "import os; print(os.getppid())"))
    memory = {"broker": resident(notebook.pid), "agent": resident(agent)}
    round_trips(notebook, 30), round_trips(direct, 30)
    hop, plain = round_trips(notebook), round_trips(direct)
    rows.append(
        (
            "kernel_info round trip",
            f"{hop:.2f} ms",
            f"{plain:.2f} ms",
            f"+{hop - plain:.2f}",
            "<= 1 ms more",
        )
    )
    for what, code, budget in (
        (f"{size} MB of stdout", STDOUT, 0.8),
        (f"one buffer of {size} MB", ONE, 0.8),
        (f"{size} buffers of 1 MB", MANY, 0.5),
    ):
        a, b = (
            megabytes_per_second(notebook, code, size, runs),
            megabytes_per_second(direct, code, size, runs),
        )
        rows.append(
            (
                what,
                f"{a:.0f} MB/s",
                f"{b:.0f} MB/s",
                f"{a / b:.2f}",
                f">= {budget} x direct with Curve",
            )
        )
    for who, pid, most in (("broker", notebook.pid, 64), ("agent", agent, 40)):
        rows.append((f"{who}, idle", f"{memory[who]:.0f} MiB", "-", "-", f"<= {most} MiB"))
        rows.append((f"{who}, after the megabytes", f"{resident(pid):.0f} MiB", "-", "-", "-"))
    notebook.close()
    direct.close()
    cluster.wait_no_jobs()
    return rows


def printed(notebook, code):
    return notebook.text_of(code).strip()


if __name__ == "__main__":
    sys.exit(main())
