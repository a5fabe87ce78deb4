"""The three that slurm_others.py compares: how each is installed and configured, and a server that runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from throwaway import ROOT, environment

sys.path[:0] = [str(ROOT), str(ROOT / "lib")]

from tests.slurm.cluster import Cluster  # noqa: E402
from tests.slurm.notebook import make_generation, publish  # noqa: E402

LIMIT = 240.0  # seconds for one event
PARTITION = "closed"


@dataclass
class Tool:
    """What is measured: its name, its Python, its kernel and what it found."""

    name: str
    python: Path
    environ: dict
    signs: list = field(default_factory=list)
    ready: list = field(default_factory=list)
    what: str = ""
    restarts: set = field(default_factory=set)
    left: dict = field(default_factory=dict)
    failed: str = ""


class Server:
    """server.py at work; its events as they come."""

    def __init__(self, tool: Tool, cluster: Cluster, folder: Path):
        self.log = folder / "server.log"
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [tool.python, ROOT / "benchmarks/server.py", "bench", *cluster.nodes],
                env=tool.environ,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        os.set_blocking(self.child.stdout.fileno(), False)
        self.rest, self.seen = b"", []

    def look(self) -> None:
        while text := self.child.stdout.read():
            *lines, self.rest = (self.rest + text).split(b"\n")
            self.seen += [json.loads(line) for line in lines if line.startswith(b"{")]

    def go_on(self) -> None:
        self.child.stdin.write(b"go\n")
        self.child.stdin.flush()

    def wait(self, event: str, meanwhile=lambda: None) -> dict:
        """The next event of that name; the events up to it are forgotten."""
        deadline = time.time() + LIMIT
        while time.time() < deadline:
            self.look()
            for number, one in enumerate(self.seen):
                if one["event"] in {"failed", "silent"} and event != one["event"]:
                    raise Failed(
                        one.get("why", f"no sign of the cell within {one.get('seconds')} s")
                    )
                if one["event"] == event:
                    self.seen = self.seen[number + 1 :]
                    return one
            if self.child.poll() is not None:
                raise Failed(f"the server ended with {self.child.returncode}")
            meanwhile()
            time.sleep(0.05)
        raise Failed(f"no `{event}` within {LIMIT:.0f} s")

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()  # its children may keep its streams open
        self.child.stdin.close()
        self.child.stdout.close()


class Failed(Exception):
    """It did not do what it should; the text is what was seen."""


# --- the three -------------------------------------------------------------------------------


def around(folder: Path, cluster: Cluster) -> dict:
    """The environment of a server with a home and kernels of its own; stand-ins come first."""
    for name in ("home", "run", "bin"):
        (folder / name).mkdir(parents=True, mode=0o700)
    return {
        **cluster.environ,
        "PATH": f"{folder / 'bin'}:{cluster.environ['PATH']}",
        "HOME": str(folder / "home"),
        "JUPYTER_PATH": str(folder / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
    }


def ours(folder: Path, cluster: Cluster, prefix: Path) -> Tool:
    environ = {
        **around(folder, cluster),
        "KERNELWRIGHT_HOME": str(folder / "home"),
        "KERNELWRIGHT_RUNTIME": str(prefix),
        "KERNELWRIGHT_CATALOG": str(folder / "catalog.json"),
    }
    (folder / "catalog.json").write_text('{"version": 1, "config": {}}')
    publish(
        folder / "jupyter", make_generation(folder, prefix, slurm={"partition": PARTITION}), "bench"
    )
    return Tool("Kernelwright", Path(sys.executable), environ)


def fzj(folder: Path, cluster: Cluster, package: str) -> Tool:
    bin = environment(folder / "env", package, "ipykernel", "jupyter_server", "requests")
    argv = [str(bin / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    config = {
        "project": "bench", "partition": PARTITION, "nodes": "1", "runtime": 30, "kernel_argv": argv,
    }  # fmt: skip
    tool = other(folder, cluster, package, bin, [], "slurm-provisioner", config)
    as_it_is(tool, cluster, folder)
    print(f"* `sacct`: {refused(['sacct'], tool.environ)}")
    (source,) = (folder / "env/lib").glob("python*/site-packages/jupyter_slurm_provisioner/p*r.py")
    source.write_text(
        source.read_text().replace("/usr/libexec/jutil-exe", str(folder / "bin/jutil"))
    )
    stand_in(folder, "jutil")
    stand_in(folder, "sacct")
    return tool


def pc2(folder: Path, cluster: Cluster, package: str) -> Tool:
    bin = environment(folder / "env", package, "ipykernel")
    argv = [str(bin / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    config = {
        "sbatch_flags": {"partition": PARTITION, "time": "30"},
        "proxyjump": "jump", "loginnode": "localhost", "username": "root",
    }  # fmt: skip
    tool = other(folder, cluster, package, bin, argv, "remote-slurm-provisioner", config)
    as_it_is(tool, cluster, folder)
    tool.environ["SSH_AUTH_SOCK"] = "a stand-in"
    as_it_is(tool, cluster, folder)
    stand_in(folder, "ssh")
    return tool


def other(folder, cluster, package, bin, argv, provisioner, config) -> Tool:
    """A kernel as the package's own documentation has it."""
    environ = around(folder, cluster)
    spec = {
        "argv": argv,
        "display_name": package,
        "language": "python",
        "metadata": {
            "kernel_provisioner": {"provisioner_name": provisioner, "config": config},
        },
    }
    (folder / "jupyter/kernels/bench").mkdir(parents=True)
    (folder / "jupyter/kernels/bench/kernel.json").write_text(json.dumps(spec))
    ask = f"from importlib.metadata import version; print(version('{package}'))"
    version = subprocess.run(
        [bin / "python", "-c", ask], capture_output=True, text=True, check=True
    ).stdout.strip()
    return Tool(f"{package} {version}", bin / "python", environ)


def stand_in(folder: Path, name: str) -> None:
    """Put a stand-in for a program of the site where the server finds it first."""
    shutil.copy(ROOT / f"benchmarks/standins/{name}.sh", folder / "bin" / name)


def refused(argv, environ) -> str:
    done = subprocess.run(argv, env=environ, capture_output=True, text=True)
    return (done.stderr or done.stdout).strip().splitlines()[-1]


def as_it_is(tool: Tool, cluster: Cluster, folder: Path) -> None:
    """What it says where nothing of its site is there."""
    server = Server(tool, cluster, folder)
    try:
        print(f"* {tool.name} as it is: {server.wait('failed')['why']}")
    finally:
        server.kill()
