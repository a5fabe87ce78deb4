"""Runs every benchmark here, one after the other, and writes docs/reference/benchmarks.md.

Each of the others can be run alone: it prints what it measured as a Markdown table, side by side with what
people would use instead, as ratios. Name some to run only these: `benchmarks/all.py list launch`.
"""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs/reference/benchmarks.md"
TIMEOUT = 3600  # seconds for one benchmark

HEAD = """\
# Benchmarks

Made by `make bench` on {date}: {cpu}, {cores} cores, Linux {kernel}, Python {python}. Each table comes from one run of one file in `benchmarks/`,
in which both sides are measured in turns; what counts are the ratios.
"""


def cpu():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main(names):
    found = [
        p
        for p in sorted(HERE.glob("*.py"))
        if p.name != "all.py" and (HERE / p).read_text().find("__main__") > 0
    ]
    parts = [
        HEAD.format(
            date=time.strftime("%Y-%m-%d"),
            cpu=cpu(),
            cores=os.cpu_count(),
            kernel=platform.release(),
            python=platform.python_version(),
        )
    ]
    failed = 0
    for path in found:
        if names and path.stem not in names:
            continue
        print(f"== {path.stem}", flush=True)
        try:
            out = subprocess.run(
                [sys.executable, path],
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                cwd=HERE.parent,
            )
        except subprocess.TimeoutExpired:
            out = subprocess.CompletedProcess([], 1, "", f"did not end within {TIMEOUT} s")
        failed += out.returncode != 0
        text = out.stdout if out.returncode == 0 else f"failed: {out.stderr.strip()[-300:]}\n"
        print(text, flush=True)
        plain = not text.lstrip().startswith(("|", "#", "Form"))
        shown = f"```text\n{text.strip()}\n```" if plain else text.strip()
        parts.append(f"## {path.stem}\n\n`python benchmarks/{path.name}`\n\n{shown}\n")
    if not names:
        PAGE.write_text("\n".join(parts))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
