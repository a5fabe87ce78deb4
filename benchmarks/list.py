"""`kernelwright list --json` beside a stdlib script and `jupyter kernelspec list --json`.

    python benchmarks/list.py [--runs N] [--kernels 100]

The second table lists 1000 kernels of a slow home: each open, stat, read and listdir costs 1 ms there (played in
the process that lists). Operations a kernelspec are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = """\
import json, os, sys
rows = []
folder = os.path.expanduser("~/.local/share/jupyter/kernels")
with os.scandir(folder) as entries:
    for entry in entries:
        with open(entry.path + "/kernel.json") as stream:
            spec = json.load(stream)
        rows.append({"name": entry.name, "display_name": spec["display_name"], "language": spec["language"]})
json.dump(rows, sys.stdout)
"""
SLOW = """\
import os, resource, sys, threading, time
count = {"n": 0}
lock = threading.Lock()
def slowed(real):
    def call(path, *args, **keys):
        if isinstance(path, (str, bytes, os.PathLike)) and "/slowhome/" in os.fspath(path) + "/" and "/kernels" in str(path):
            with lock:
                count["n"] += 1
            time.sleep(0.001)
        return real(path, *args, **keys)
    return call
os.stat, os.open, os.listdir = slowed(os.stat), slowed(os.open), slowed(os.listdir)
from pathlib import Path
from kernelwright.config.model import SiteConfig
from kernelwright.discovery import discover, write_index
home = Path(os.environ["HOME"])
for turn in ("cold", "warm"):
    count["n"] = 0
    begun = time.perf_counter()
    kernels = discover(home=home, environ=os.environ, site=SiteConfig())
    spent = time.perf_counter() - begun
    write_index(home, kernels)
    print(turn, round(spent, 3), count["n"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def make_home(folder: Path, count: int) -> Path:
    """A home with `count` sound kernels of an interpreter that exists, old enough to be believed."""
    for number in range(count):
        kernel = folder / f".local/share/jupyter/kernels/kernel-{number:04d}"
        kernel.mkdir(parents=True)
        spec = {
            "argv": ["/usr/bin/python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": f"Kernel {number}",
            "language": "python",
        }
        (kernel / "kernel.json").write_text(json.dumps(spec))
        os.utime(kernel / "kernel.json", (1_700_000_000, 1_700_000_000))
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


def seconds(argv: list[str], home: Path, runs: int) -> float:
    """The median time of a command."""
    environ = {"HOME": str(home), "KERNELWRIGHT_HOME": str(home), "PATH": os.environ["PATH"]}
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run(argv, env=environ, check=True, stdout=subprocess.DEVNULL, timeout=120)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=15)
    options.add_argument("--kernels", type=int, default=100)
    args = options.parse_args()
    python = [sys.executable, "-I"]
    commands = {
        "kernelwright list --json": [*python, "-m", "kernelwright", "list", "--json"],
        "stdlib scandir + json": [*python, "-c", SCRIPT],
        "jupyter kernelspec list --json": [
            str(Path(sys.executable).with_name("jupyter")),
            "kernelspec",
            "list",
            "--json",
        ],
        "an empty Python": [*python, "-c", ""],
    }
    with tempfile.TemporaryDirectory() as folder:
        home = make_home(Path(folder), args.kernels)
        seconds(commands["kernelwright list --json"], home, 2)
        found = {name: seconds(argv, home, args.runs) for name, argv in commands.items()}
    base = found["stdlib scandir + json"]
    print(f"{args.kernels} kernels, warm, median of {args.runs}")
    for name, value in found.items():
        print(f"  {name:34} {value * 1000:8.1f} ms   {value / base:5.2f} x the script")
    ratio = found["jupyter kernelspec list --json"] / found["kernelwright list --json"]
    print(f"  jupyter / kernelwright: {ratio:.1f} (budget: at least 4)\n")
    with tempfile.TemporaryDirectory() as folder:
        home = make_home(Path(folder) / "slowhome", 1000)
        environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
        text = subprocess.run(
            [sys.executable, "-c", SLOW],
            env=environ,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout
    print("1000 kernels, 1 ms an operation (budget warm: 0.5 s, 2 operations a kernelspec, 40 MiB)")
    for line in text.splitlines():
        turn, spent, operations, memory = line.split()
        print(
            f"  {turn}: {spent} s, {int(operations) / 1000:.2f} operations a kernelspec, {memory} MiB"
        )


if __name__ == "__main__":
    main()
