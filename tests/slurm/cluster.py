"""A private, throw-away Slurm cluster on this machine, for the tests and benchmarks of Slurm kernels.

    python -m tests.slurm.cluster [--isolated]      start one, print its SLURM_CONF, stop it at Ctrl-C

Every daemon is a child of this process in the foreground, so that it is ended by its own pid. Needs
root: jobs then run as whoever submits them. `isolated=True` gives every node its own network, host
name and process ids (network namespaces), so that nodes really have addresses of their own.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import conf


class ClusterError(Exception):
    """The cluster did not come up; the text holds the end of its logs."""


def missing_parts() -> list[str]:
    """The names of the programs that a cluster needs and this machine lacks."""
    names = "setpriv munged slurmctld slurmd sbatch squeue scontrol ip nsenter".split()
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return [name for name in names if shutil.which(name, path=path) is None]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Cluster:
    """Two nodes; partitions: `debug` (default), `long`, and `closed`, which starts nothing.

    A job in `closed` stays PENDING until `open_partition()`. With a third node there is a partition
    `apart` on it, for jobs that outlive a test; `jobs` leaves them out.
    """

    def __init__(
        self, *, nodes: int = 2, isolated: bool = False, settings: str = "", cgroup: str = ""
    ) -> None:
        """`settings`: lines of slurm.conf instead of or after the usual ones; `cgroup`: cgroup.conf."""
        self.settings, self.cgroup = settings, cgroup
        self.dir = Path(tempfile.mkdtemp(prefix="kwslurm-", dir="/tmp"))
        self.nodes = [f"n{i}" for i in range(1, nodes + 1)]
        self.isolated = isolated
        self.tag = f"{os.getpid() % 100000}{random.randrange(10)}"
        self.net = f"10.{random.randrange(64, 250)}.{random.randrange(250)}"
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))},
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "SLURM_CONF": str(self.dir / "etc/slurm.conf"),
        }

    @property
    def address(self) -> str:
        """Where the controller listens: the submit side's address on the cluster's network."""
        return f"{self.net}.1" if self.isolated else "127.0.0.1"

    # --- starting ---------------------------------------------------------------------------

    def start(self) -> Cluster:
        """Start everything and wait until every node is idle."""
        try:
            self._prepare()
            if self.isolated:
                self._bridge()
            self._daemon("munged", ["munged", "--foreground", *self._munge_options()])
            self.start_controller()
            for node in self.nodes:
                self._start_node(node)
            self.wait(lambda: self.idle_nodes() == 2, 90, "nodes to be idle")
        except BaseException:
            logs = self._logs()
            self.stop()
            print(logs, file=sys.stderr)
            raise
        return self

    def _prepare(self) -> None:
        self.dir.chmod(0o755)
        for name in ("etc", "munge", "ctld", "log", "run"):
            (self.dir / name).mkdir()
            (self.dir / name).chmod(0o755)
        shutil.chown(self.dir / "ctld", "slurm")
        key = self.dir / "munge/key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        ctld_port, *node_ports = free_ports(1 + len(self.nodes))
        text = conf.text(
            folder=self.dir,
            host=socket.gethostname().split(".")[0],
            controller=(self.address, ctld_port),
            nodes=dict(zip(self.nodes, node_ports, strict=True)),
            net=self.net if self.isolated else None,
        )
        (self.dir / "etc/slurm.conf").write_text(conf.with_settings(text, self.settings))
        if self.cgroup:
            (self.dir / "etc/cgroup.conf").write_text(self.cgroup)

    def _munge_options(self) -> list[str]:
        names = "socket=sock key-file=key pid-file=pid log-file=log seed-file=seed"
        return [f"--{pair.replace('=', f'={self.dir}/munge/')}" for pair in names.split()]

    def _daemon(self, name: str, argv: list[str]) -> None:
        with open(self.dir / "log" / f"{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],  # a killed test run leaves no daemon
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self.environ,
                start_new_session=True,
                cwd="/",
            )

    def start_controller(self) -> None:
        """Start slurmctld; it finds the state of an earlier one."""
        self._daemon("slurmctld", ["slurmctld", "-D", "-f", self.environ["SLURM_CONF"]])
        self.wait(
            lambda: "UP" in self.run("scontrol", "ping", timeout=5), 60, "slurmctld to answer"
        )

    def stop_controller(self) -> None:
        """End slurmctld cleanly: a killed one may forget the jobs of its last seconds."""
        child = self.daemons.pop("slurmctld")
        child.terminate()
        child.wait(60)

    def _bridge(self) -> None:
        bridge = f"kwb{self.tag}"
        self._ip("link", "add", bridge, "type", "bridge")
        self._ip("addr", "add", f"{self.net}.1/24", "dev", bridge)
        self._ip("link", "set", bridge, "up")

    def _ip(self, *argv: str) -> None:
        subprocess.run(["ip", *argv], env=self.environ, check=True, timeout=30)

    def _start_node(self, node: str) -> None:
        (self.dir / "run" / node).mkdir(exist_ok=True)
        argv = ["slurmd", "-D", "-f", self.environ["SLURM_CONF"], "-N", node, "-b"]
        if self.isolated:
            argv = self._into_namespaces(node, argv)
        self._daemon(node, argv)

    def _into_namespaces(self, node: str, argv: list[str]) -> list[str]:
        number = 11 + self.nodes.index(node)
        space, veth = f"kw{self.tag}-{node}", f"kwv{self.tag}{number}"
        self._ip("netns", "add", space)
        self._ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", space)
        self._ip("link", "set", veth, "master", f"kwb{self.tag}", "up")
        self._ip("-n", space, "addr", "add", f"{self.net}.{number}/24", "dev", "eth0")
        self._ip("-n", space, "link", "set", "eth0", "up")
        self._ip("-n", space, "link", "set", "lo", "up")
        inner = f"hostname {node}; exec {' '.join(argv)}"
        return [
            "nsenter", f"--net=/run/netns/{space}", "unshare", "--uts", "--mount", "--pid", "--fork",
            "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c", inner,
        ]  # fmt: skip

    # --- asking and changing ----------------------------------------------------------------

    def run(self, *argv: str, timeout: float = 30) -> str:
        """The stdout of a Slurm client; a failure or a timeout gives what was printed, or ''."""
        try:
            done = subprocess.run(
                argv,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout

    def idle_nodes(self) -> int:
        """How many nodes are idle."""
        found = self.run("sinfo", "-h", "-t", "idle", "-p", "debug", "-o", "%D", timeout=5).strip()
        return int(found or 0)

    def jobs(self, name: str | None = None) -> list[tuple[str, str]]:
        """(job id, state) of the jobs that are not over."""
        pick = ["-p", "debug,long,closed", *([f"--name={name}"] if name else [])]
        rows = self.run("squeue", "-h", "-o", "%i|%T", *pick).split()
        return [tuple(row.split("|")) for row in rows]  # type: ignore[misc]

    def open_partition(self, name: str = "closed") -> None:
        """Let the jobs of a partition start."""
        self.run("scontrol", "update", f"PartitionName={name}", "State=UP")

    def close_partition(self, name: str = "closed") -> None:
        """Let no further job of a partition start."""
        self.run("scontrol", "update", f"PartitionName={name}", "State=DOWN")

    def wait(self, condition, seconds: float, what: str) -> None:
        """Poll `condition` until it holds; ClusterError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise ClusterError(f"waited {seconds} s for {what}\n{self._logs()}")
            for name, child in self.daemons.items():
                if child.poll() is not None:
                    raise ClusterError(f"{name} ended with {child.returncode}\n{self._logs()}")
            time.sleep(0.1)

    def wait_no_jobs(self, seconds: float = 60) -> float:
        """Wait until no job is left; the seconds it took."""
        begun = time.monotonic()
        self.wait(lambda: not self.jobs(), seconds, "the queue to be empty")
        return time.monotonic() - begun

    def _logs(self) -> str:
        found = [*self.dir.glob("log/*"), *self.dir.glob("ctld/*.log"), self.dir / "munge/log"]
        return "\n".join(
            f"== {p}\n{p.read_text(errors='replace')[-1500:]}" for p in found if p.is_file()
        )

    # --- stopping ---------------------------------------------------------------------------

    def stop(self) -> None:
        """Cancel every job, then end the daemons: killing slurmd alone would leave the jobs alive."""
        if self._alive("slurmctld"):
            with contextlib.suppress(ClusterError):
                self.run("scancel", *self.run("squeue", "-h", "-o", "%i").split())
                self.wait(
                    lambda: not self.run("squeue", "-h", "-o", "%i"), 30, "the queue to be empty"
                )
                self.wait(lambda: not self.users(), 60, "brokers and reapers to end")
        for pid in self.users():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in [n for n in self.daemons if n != "munged"] + ["munged"]:
            child = self.daemons.pop(name, None)
            if child is not None and child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait(30)
        if self.isolated:
            for node in self.nodes:
                subprocess.run(
                    ["ip", "netns", "del", f"kw{self.tag}-{node}"],
                    env=self.environ,
                    stderr=subprocess.DEVNULL,
                )
            subprocess.run(
                ["ip", "link", "del", f"kwb{self.tag}"], env=self.environ, stderr=subprocess.DEVNULL
            )
        shutil.rmtree(self.dir, ignore_errors=True)

    def users(self) -> list[int]:
        """The processes of kernels that belong to this cluster and no other."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                ours = self.environ["SLURM_CONF"].encode() in (folder / "environ").read_bytes()
                if ours and b"kernelwright.slurm" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def _alive(self, name: str) -> bool:
        return name in self.daemons and self.daemons[name].poll() is None


def main() -> int:
    """Run a cluster until Ctrl-C, for work by hand."""
    cluster = Cluster(isolated="--isolated" in sys.argv).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        print(f"export SLURM_CONF={cluster.environ['SLURM_CONF']}", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
