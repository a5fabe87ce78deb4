"""What `session prepare` costs beyond a Python start, with 100 kernels; beside the start of JupyterLab.

    python benchmarks/prepare.py [--pairs 20] [--sessions 100]

A bare `python -I -c pass` and `session prepare` are run in turns; the argon2 hash is part of it. Then many sessions of
one central kernel are prepared, as many at once as there are cores: nothing is built or downloaded. Budgets: <= 150 ms
beyond a Python start, <= 10 % of the JupyterLab start.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lib")]

from kernelwright.catalog.document import document  # noqa: E402
from kernelwright.config.model import SiteConfig  # noqa: E402

KERNELS = 100


class Bench:
    """A home with 50 kernels, a site with 50 more, and a folder for each session."""

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "home"
        entries = []
        for number in range(KERNELS):
            central = number % 2 == 0
            name = f"k{number}"
            place = folder / "site" if central else self.home / ".local/share/jupyter/kernels"
            spec = {
                "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": f"Kernel {number}",
                "language": "python",
            }
            (place / name).mkdir(parents=True)
            (place / name / "kernel.json").write_text(json.dumps(spec))
            if central:
                entries.append(
                    {
                        "name": name,
                        "label": f"Central {number}",
                        "path": str(place / name),
                        "default": number == 0,
                    }
                )
        catalog = folder / "catalog.json"
        catalog.write_text(json.dumps(document(SiteConfig(kernels=tuple(entries)), environ={})))
        runtime = folder / "runtime"
        runtime.mkdir()
        (runtime / "venv").symlink_to(sys.prefix)
        self.environ = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "KERNELWRIGHT_HOME": str(self.home),
            "KERNELWRIGHT_CATALOG": str(catalog), "KERNELWRIGHT_RUNTIME": str(runtime),
        }  # fmt: skip
        self.made = 0

    def session(self, kernel="site:k0"):
        """A fresh staged root with its private folder."""
        self.made += 1
        root, private = self.folder / f"s{self.made}", self.folder / f"p{self.made}"
        root.mkdir()
        private.mkdir(mode=0o700)
        request = {
            "version": 1,
            "answers": {"kw_kernel": kernel},
            "session": {"id": "x"},
            "runtime": "/",
            "catalog": {"sha": None},
        }
        (root / "request.json").write_text(json.dumps(request))
        return root, private

    def prepare(self, place):
        """Seconds of one `session prepare`, process and all."""
        root, private = place
        words = [
            sys.executable,
            "-I",
            "-m",
            "kernelwright",
            "session",
            "prepare",
            str(root / "request.json"),
            "--dir",
            str(private),
            "--host",
            "127.0.0.1",
            "--port",
            "5000",
        ]
        return timed(words, self.environ)

    def lab(self):
        """Seconds until a prepared JupyterLab listens."""
        root, private = self.session()
        self.prepare((root, private))
        words = ["bash", "-c", f'. "{private}/server.sh"; exec "${{kw_command[@]}}"']
        begun = time.perf_counter()
        child = subprocess.Popen(
            words,
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while not list((private / "runtime").glob("jpserver-*.json")):
                if child.poll() is not None or time.perf_counter() - begun > 120:
                    raise SystemExit("JupyterLab did not start")
                time.sleep(0.005)
            return time.perf_counter() - begun
        finally:
            child.terminate()
            child.wait()


def timed(words, environ):
    begun = time.perf_counter()
    subprocess.run(
        words,
        env=environ,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=300,
    )
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--starts", type=int, default=5, help="starts of JupyterLab")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kernelwright-prepare-"))
    try:
        bench = Bench(folder)
        bench.prepare(bench.session())
        bare, prepared = [], []
        for _ in range(args.pairs):
            bare.append(timed([sys.executable, "-I", "-c", "pass"], bench.environ))
            prepared.append(bench.prepare(bench.session()))
        lab = statistics.median(bench.lab() for _ in range(args.starts))
        beyond = statistics.median(b - a for a, b in zip(bare, prepared, strict=True))
        places = [bench.session() for _ in range(args.sessions)]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            times = sorted(pool.map(bench.prepare, places))
        p95 = times[int(len(times) * 0.95) - 1]
        built = len(list((bench.home / ".local/share/kernelwright").glob("kernels/*/*")))
        print(f"| {KERNELS} kernels | measured | budget |\n|---|---|---|")
        print(f"| Python start | {1000 * statistics.median(bare):.0f} ms | |")
        print(f"| `session prepare` beyond it, argon2 included | {1000 * beyond:.0f} ms | 150 ms |")
        print(f"| JupyterLab start | {1000 * lab:.0f} ms | |")
        print(f"| prepare / JupyterLab start | {100 * beyond / lab:.1f} % | 10 % |")
        print(
            f"| {len(times)} sessions of one central kernel, {os.cpu_count()} at once: p95 of prepare | {1000 * p95:.0f} ms | |"
        )
        print(f"| builds in these sessions | {built} | 0 |")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
