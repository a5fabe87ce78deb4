"""How long a conda kernel takes to make: `create` beside py-rattler's bare install of the same lock and beside uv.

    python benchmarks/conda.py [--pairs 9]

Everything is served by a local channel and a local package index over loopback HTTP, so that the network does not
count. Each side is a process of its own; both are run in turns and each pair gives one ratio. The table has the median of each
and the median ratio with its range. Budget: from a warm package cache `create` <= 1.3 x the bare install of the lock.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "lib")]

from tests.conda.channel import BASE, build  # noqa: E402
from tests.conda.server import ChannelServer  # noqa: E402

SPECS = ("greetings", "ipykernel", "python")
# py-rattler's own call, with records that were solved beforehand: no conda tool can do less
BARE = """
import asyncio, json, sys, os, rattler
records = []
for row in json.load(open(sys.argv[1])):
    fd = os.memfd_create("record"); os.write(fd, json.dumps(row).encode())
    inner = rattler.PackageRecord.from_index_json(f"/proc/self/fd/{fd}", row["size"], row["sha256"], row["md5"])
    records.append(rattler.RepoDataRecord(inner, row["fn"], row["url"], row["channel"]))
asyncio.run(rattler.install(records, sys.argv[2], cache_dir=sys.argv[3], show_progress=False, execute_link_scripts=True))
os._exit(0)  # as our own command ends: a thread of the engine may still hold on to Python
"""
SOLVE = """
import asyncio, json, os, sys, rattler
virtual = [v.into_generic() for v in rattler.VirtualPackage.detect()]
found = asyncio.run(rattler.solve([rattler.Channel(sys.argv[1])], sys.argv[3:], virtual_packages=virtual))
with open(sys.argv[2], "w") as out:
    json.dump([json.loads(r.to_json()) for r in found], out)
os._exit(0)
"""


class Bench:
    """A folder for everything, and one method a side."""

    def __init__(self, server, work):
        self.server, self.work, self.count = server, work, 0
        self.records = work / "records.json"
        self.lock = work / "conda.lock"
        self.call([sys.executable, "-c", SOLVE, server.url, self.records, *SPECS])
        home = self.home()
        self.create(home, *SPECS)
        shutil.copy(next(home.glob(".local/share/kernelwright/kernels/*/1/conda.lock")), self.lock)
        self.warm_home, self.warm_cache = home, work / "bare-cache"
        self.bare(self.warm_cache)
        self.uv_cache = work / "uv-cache"
        self.uv(self.uv_cache)

    def call(self, words, **environ):
        begun = time.perf_counter()
        done = subprocess.run(
            list(map(str, words)), env={**os.environ, **environ}, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        return time.perf_counter() - begun

    def home(self):
        self.count += 1
        home = self.work / f"home{self.count}"
        home.mkdir()
        return home

    def create(self, home, *specs, lock=None):
        """`kernelwright create`, without the start test, which all ways of making a kernel would need."""
        self.count += 1
        name = f"k{self.count}"
        words = [
            "create",
            "conda",
            name,
            *specs,
            "--channel",
            self.server.url,
            "--no-test",
            "--progress",
            "none",
        ]
        if lock is not None:
            file = self.work / f"{name}.json"
            file.write_text(
                json.dumps(
                    {"version": 1, "name": name, "environment": {"conda": {"lock": str(lock)}}}
                )
            )
            words = ["create", "recipe", file, "--no-test", "--progress", "none"]
        return self.call(
            [sys.executable, "-m", "kernelwright", *words],
            KERNELWRIGHT_HOME=str(home),
            KERNELWRIGHT_COMPILE="never",
        )

    def bare(self, cache):
        self.count += 1
        return self.call(
            [sys.executable, "-c", BARE, self.records, self.work / f"bare{self.count}", cache]
        )

    def uv(self, cache):
        """The usual way without conda: a venv over the machine's Python, and ipykernel into it."""
        self.count += 1
        venv = self.work / f"venv{self.count}"
        wheels = next((ROOT / ".cache/conda-channel").glob("wheels-*"))
        environ = {"UV_CACHE_DIR": str(cache), "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels)}
        tool = ROOT / ".venv/bin/uv"
        uv = str(tool) if tool.exists() else shutil.which("uv")
        spent = self.call([uv, "venv", "--python", BASE, venv], **environ)
        return spent + self.call(
            [uv, "pip", "install", "--python", venv / "bin/python", "ipykernel"], **environ
        )


def row(name, pairs):
    """One line of the table."""
    ours, theirs = (statistics.median(side) for side in zip(*pairs))
    ratios = sorted(a / b for a, b in pairs)
    return f"| {name} | {ours:.2f} s | {theirs:.2f} s | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    pairs = parser.parse_args().pairs
    server = ChannelServer(build(ROOT / ".cache/conda-channel"))
    work = Path(tempfile.mkdtemp(prefix="bench-conda-"))
    try:
        bench = Bench(server, work)
        rows = [
            row(
                "warm cache, from the lock, beside py-rattler's install of it",
                [
                    (bench.create(bench.warm_home, lock=bench.lock), bench.bare(bench.warm_cache))
                    for _ in range(pairs)
                ],
            ),
            row(
                "warm cache, solved anew, beside py-rattler's install of the lock",
                [
                    (bench.create(bench.warm_home, *SPECS), bench.bare(bench.warm_cache))
                    for _ in range(pairs)
                ],
            ),
            row(
                "cold cache, from the lock, beside py-rattler's install of it",
                [
                    (bench.create(bench.home(), lock=bench.lock), bench.bare(work / f"cold{n}"))
                    for n in range(max(3, pairs // 3))
                ],
            ),
            row(
                "warm cache, solved anew, beside `uv venv` + `uv pip install ipykernel`",
                [
                    (bench.create(bench.warm_home, *SPECS), bench.uv(bench.uv_cache))
                    for _ in range(pairs)
                ],
            ),
        ]
    finally:
        server.close()
        shutil.rmtree(work, ignore_errors=True)
    print("### A conda kernel is made\n")
    print(
        f"Python and ipykernel, 31 packages, 8,550 files; {pairs} interleaved pairs, no start test.\n"
    )
    print("| what | create | the other | ratio |\n|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
