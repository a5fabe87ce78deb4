"""`kernelwright doctor` over 100 and 1000 kernels, and the quick part that a session waits for.

python benchmarks/doctor.py [--runs N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.list import make_home
from kernelwright.config.model import SiteConfig
from kernelwright.doctor import diagnose, quick
from kernelwright.doctor.subject import Around


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=5)
    args = options.parse_args()
    for count in (100, 1000):
        with tempfile.TemporaryDirectory() as folder:
            home = make_home(Path(folder), count)
            around = Around(
                home,
                {"HOME": str(home), "PATH": os.environ["PATH"]},
                SiteConfig(),
                Path(sys.prefix),
            )
            times, brief = [], []
            for _ in range(args.runs):
                begun = time.perf_counter()
                found, _ = diagnose(around)
                times.append(time.perf_counter() - begun)
                begun = time.perf_counter()
                quick(around, found[0].kernel)
                brief.append(time.perf_counter() - begun)
            whole = statistics.median(times)
            print(
                f"{count:5} kernels: {whole * 1000:8.1f} ms, {whole / count * 1000:.2f} ms a kernel; the quick part of a session: {statistics.median(brief) * 1000:.1f} ms"
            )


if __name__ == "__main__":
    main()
