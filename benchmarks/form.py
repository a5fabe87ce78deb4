"""The form's Ruby: options with 300 central and 1000 own kernels, against what a form could do instead.

    python benchmarks/form.py [--rounds N]

Budget: 1 ms for 100 kernels, unchanged kernels not parsed again. Instead a form could start the leanest
Python to read the same JSON, or ask Jupyter; both start a process on every page of the dashboard.
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

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "lib"), str(ROOT)]

from ood.rubyside import ask, catalog_file, central, render  # noqa: E402

CENTRAL, OWN = 300, 1000
BUDGET_MS = 1.0  # for 100 kernels
LEAN = "import json,sys; d=json.load(open(sys.argv[1])); print(len(d['kernels']))"


def make_home(folder: Path) -> tuple[Path, Path]:
    """A home with 1000 kernelspecs and a fresh index, and a catalog with 300 central kernels."""
    home = folder / "home"
    kernels = []
    for number in range(OWN):
        spec = home / f".local/share/jupyter/kernels/kernel-{number:04}"
        spec.mkdir(parents=True)
        file = spec / "kernel.json"
        file.write_text(
            json.dumps(
                {
                    "argv": [
                        "/usr/bin/python3",
                        "-m",
                        "ipykernel_launcher",
                        "-f",
                        "{connection_file}",
                    ],
                    "display_name": f"Kernel number {number} of a project",
                    "language": "python",
                }
            )
        )
        stat = file.stat()
        kernels.append(
            {
                "value": f"user:kernel-{number:04}",
                "name": f"kernel-{number:04}",
                "label": f"Kernel number {number} of a project",
                "group": "Mine",
                "language": "python",
                "state": "broken" if number % 50 == 0 else "ok",
                "problem": None,
                "path": str(spec),
                "stat": [stat.st_mtime_ns, stat.st_size],
            }
        )
    index = home / ".local/share/kernelwright/index.json"
    index.parent.mkdir(parents=True)
    index.write_text(
        json.dumps({"version": 1, "written_at": time.time(), "host": "n", "kernels": kernels})
    )
    catalog = catalog_file(
        folder,
        kernels=[
            central(f"central-{n:03}", f"Central kernel {n}, Python 3.12 with much")
            for n in range(CENTRAL)
        ],
    )
    return home, catalog


def seconds(argv: list[str], env: dict[str, str], rounds: int) -> float:
    """Median wall time of a command."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        subprocess.run(argv, env=env, check=True, capture_output=True, timeout=120)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kwform-") as temporary:
        home, catalog = make_home(Path(temporary))
        ruby = ask("budget", home=home, catalog=catalog, rounds=given.rounds)["seconds"]
        options = statistics.median(ruby)
        begun = time.perf_counter()
        definition = render("evaluate", home=home, catalog=catalog)["definition"]
        whole = time.perf_counter() - begun
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "JUPYTER_PREFER_ENV_PATH": "0"}
        index = str(home / ".local/share/kernelwright/index.json")
        lean = seconds(["python3", "-I", "-S", "-c", LEAN, index], env, max(5, given.rounds // 3))
        jupyter = seconds([sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"], env, 3)
    count = sum(len(entries) for _, entries in definition["attributes"]["kw_kernel"]["options"])
    limit = BUDGET_MS * (CENTRAL + OWN) / 100 / 1000
    rows = [
        (
            "form options in Ruby, in the dashboard's process",
            options,
            f"budget {limit * 1000:.1f} ms: {'kept' if options <= limit else 'EXCEEDED'}",
        ),
        ("a process of Ruby that evaluates the whole form.yml.erb", whole, ""),
        ("instead: the leanest Python reads the index alone", lean, f"{lean / options:.1f} x"),
        ("instead: jupyter kernelspec list --json", jupyter, f"{jupyter / options:.0f} x"),
    ]
    print(
        f"Form with {count} options ({CENTRAL} central, {OWN} own, new ones); median of {given.rounds}, fastest {min(ruby) * 1000:.1f} ms\n"
    )
    print("| what | ms | |\n|---|---|---|")
    for name, value, note in rows:
        print(f"| {name} | {value * 1000:.1f} | {note} |")
    return 0 if options <= limit else 1


if __name__ == "__main__":
    sys.exit(main())
