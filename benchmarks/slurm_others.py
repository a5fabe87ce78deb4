"""Kernels in Slurm jobs beside the two packages that one would use instead, on a private cluster of this machine.

    python benchmarks/slurm_others.py [--runs 3] [--pending 15] [--runtime PREFIX]

jupyter-slurm-provisioner (FZJ) and slurm-jupyter-kernel (PC2) are installed from PyPI into environments of this
run, with a current ipykernel and jupyter_client. First each is started as it is, and what it says is printed. Then
the parts of their sites that it asks for have stand-ins, so that what is measured is its own work:

* `jutil` of FZJ, which names an account; its path in the installed package is changed, as its README suggests
* `sacct`, answered from squeue: the cluster has no accounting database
* `ssh` to a login node: the command runs here, and the ports to forward are this machine's already

All three are driven by the same server (server.py), in turns. Needs root and Slurm's daemons.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from slurm_tools import Failed, Server, Tool, fzj, ours, pc2
from tests.slurm.cluster import Cluster
from throwaway import ROOT, Missing, runtime

AFTER = 30  # seconds after kill -9 at which squeue is looked at


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pending", type=float, default=15.0)
    parser.add_argument("--runtime", type=Path, default=ROOT / ".dev-runtime")
    options = parser.parse_args()
    runtime(options.runtime)
    print("### A kernel whose job waits, is restarted, and loses its server\n")
    base = Path(tempfile.mkdtemp(prefix="kernelwright-bench-"))
    cluster = Cluster().start()
    try:
        tools = [ours(base / "ours", cluster, options.runtime)]
        for make, package in ((fzj, "jupyter-slurm-provisioner"), (pc2, "slurm-jupyter-kernel")):
            try:
                tools.append(make(base / package, cluster, package))
            except Missing as error:
                print(f"* {package} is not measured: {error}")
        for number in range(options.runs):
            for tool in tools:
                attempt(tool, cluster, base, options.pending, kill=number == 0)
        report(tools, options)
    finally:
        cluster.stop()
        shutil.rmtree(base, ignore_errors=True)
    return 0


# --- measuring -------------------------------------------------------------------------------


def attempt(tool: Tool, cluster: Cluster, base: Path, pending: float, *, kill: bool) -> None:
    """One life of a kernel; what went wrong stays in `tool.failed`."""
    if tool.failed:
        return
    server = Server(tool, cluster, base)
    try:
        measure(tool, cluster, server, pending)
        if kill:
            tool.left["running"] = after_kill(server, cluster)
            cluster.close_partition()
            cluster.run("scancel", "--user=root")
            cluster.wait_no_jobs()
            server = Server(tool, cluster, base)
            cluster.wait(cluster.jobs, 60, "a job")
            time.sleep(2)
            tool.left["pending"] = after_kill(server, cluster)
    except Failed as error:
        tool.failed = str(error)
    finally:
        server.kill()
        cluster.run("scancel", "--user=root")
        cluster.close_partition()
        cluster.wait_no_jobs()


def measure(tool: Tool, cluster: Cluster, server: Server, pending: float) -> None:
    begun = server.wait("start")["at"]
    started = []

    def meanwhile():
        if not started and any(state == "RUNNING" for _, state in cluster.jobs()):
            started.append(time.time())
        elif not started and time.time() > begun + pending:
            cluster.open_partition()

    sign = server.wait("sign", meanwhile)
    tool.signs.append(sign["at"] - begun)
    tool.what = {"display_data": "says what it waits for", "execute_input": "the cell runs"}[
        sign["what"]
    ]
    tool.ready.append(server.wait("ran", meanwhile)["at"] - started[0])
    job = server.wait("job")["job"]
    server.go_on()
    tool.restarts.add("the same job" if server.wait("job")["job"] == job else "another job")


def after_kill(server: Server, cluster: Cluster) -> str:
    """What squeue has some time after kill -9 of the server."""
    server.kill()
    time.sleep(AFTER)
    return ", ".join(state for _, state in cluster.jobs()) or "none"


def report(tools, options) -> None:
    print("* The two are measured with stand-ins for `jutil`, `sacct` and `ssh`: see the file.\n")
    named = " | ".join(tool.name for tool in tools)
    print(f"| the job waits {options.pending:g} s; median of {options.runs} | {named} |")
    print("|---" * (len(tools) + 1) + "|")
    ended = f"jobs {AFTER} s after kill -9 of the server, the job"
    rows = {
        "first sign in the notebook": lambda t: f"{statistics.median(t.signs):.1f} s: {t.what}",
        "the cell runs after the job has started": lambda t: f"{statistics.median(t.ready):.1f} s",
        "after a restart": lambda t: " or ".join(sorted(t.restarts)),
        f"{ended} pending": lambda t: t.left["pending"],
        f"{ended} running": lambda t: t.left["running"],
    }
    for what, value in rows.items():
        print(f"| {what} | " + " | ".join(tool.failed or value(tool) for tool in tools) + " |")


if __name__ == "__main__":
    sys.exit(main())
