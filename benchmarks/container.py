"""How long a container kernel takes until its first reply, and a pull with a warm cache, beside what people do by hand.

    python benchmarks/container.py [--pairs 20]

Each start is paired with the same kernel without a container (the machine's Python, where the image's packages come from) and, for
ours, with the same image started by a kernel.json as TACC's tutorial has it. Pairs are interleaved. Apptainer, the images and the
registry are those of the tests.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from launch import BARE, start

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from container.conftest import SHARED, serve  # noqa: E402 - below tests/
from container.imagery import Imagery  # noqa: E402 - below tests/

from kernelwright.config.model import SiteConfig  # noqa: E402 - after the path
from kernelwright.environments import container  # noqa: E402 - after the path
from kernelwright.environments.base import Place  # noqa: E402 - after the path
from kernelwright.environments.container.images import ImageStore  # noqa: E402 - after the path
from kernelwright.environments.container.pull import Puller  # noqa: E402 - after the path
from kernelwright.environments.container.reference import parse  # noqa: E402 - after the path
from kernelwright.environments.container.runtimes import find  # noqa: E402 - after the path
from kernelwright.launch.render import render, write  # noqa: E402 - after the path
from kernelwright.model import ContainerSpec, Recipe  # noqa: E402 - after the path
from kernelwright.progress import Silent  # noqa: E402 - after the path

SITE = SiteConfig()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=20)
    args = parser.parse_args()
    apptainer = installed()
    os.environ["PATH"] = f"{apptainer.parent}:{os.environ['PATH']}"
    imagery = Imagery(SHARED, apptainer)
    with tempfile.TemporaryDirectory(prefix="kernelwright-bench-") as name:
        folder = Path(name)
        print(
            "| start until the first reply | median s | other s | ratio | 95 % of the median ratio |\n|---|---|---|---|---|"
        )
        for title, image in (("sandbox", imagery.mini()), ("sif", imagery.sif())):
            if title == "sif" and not os.access("/dev/fuse", os.W_OK):
                print("| (no .sif: /dev/fuse cannot be opened) | | | | |")
                continue
            hand = (
                str(apptainer),
                "exec",
                "--nv",
                str(image),
                "python3",
                "-m",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
            )
            ours = launcher(folder / title, image)
            row(f"{title}: ours / kernel.json by hand", ours, hand, args.pairs, folder)
            row(f"{title}: ours / without container", ours, BARE, args.pairs, folder)
        pulls(imagery, apptainer, folder, max(3, args.pairs // 4))
    return 0


def installed() -> Path:
    """The program that the tests use; installed when it is not there."""
    if found := sorted(SHARED.glob("apptainer-*/ready")):
        return found[-1].parent / "usr/bin/apptainer"
    target = SHARED / "apptainer-bench"
    subprocess.run([ROOT / "scripts/get-apptainer.sh", target], check=True, timeout=600)
    return target / "usr/bin/apptainer"


def place(folder: Path) -> Place:
    """Surroundings of a build below `folder`."""
    (folder / "keep").mkdir(parents=True, exist_ok=True)
    return Place(
        folder / "prefix", folder / "keep", folder, dict(os.environ), SITE, Path(sys.prefix)
    )


def launcher(folder: Path, image: Path) -> tuple[str, ...]:
    """A generation, as `builder` writes it."""
    folder.mkdir()
    recipe = Recipe(name="bench", environment=ContainerSpec(str(image)))
    made = container.make(recipe, place(folder / "build"), Silent())
    files = render(
        recipe,
        container.command(recipe, made),
        generation=folder,
        runtime=Path(sys.prefix),
        made=made,
        site=SITE,
    )
    write(folder, files)
    return (str(folder / "launch.sh"), "{connection_file}")


def row(
    title: str, ours: tuple[str, ...], other: tuple[str, ...], count: int, folder: Path
) -> None:
    """Interleaved pairs of starts, as one line of the table."""
    pairs = []
    for argv in (ours, other):
        start(argv, folder)  # once for the caches
    for _ in range(count):
        order = [ours, other]
        random.shuffle(order)
        seconds = {argv: start(argv, folder) for argv in order}
        pairs.append((seconds[ours], seconds[other]))
    report(title, pairs)


def pulls(imagery: Imagery, apptainer: Path, folder: Path, count: int) -> None:
    """Ours (look-up, checks, pull, store) beside a bare `apptainer pull`, both from the runtime's warm cache."""
    if not (shutil.which("docker-registry") and shutil.which("skopeo")):
        print("| (no pull: docker-registry or skopeo is missing) | | | | |")
        return
    (folder / "registry").mkdir()
    served = serve(folder / "registry")
    try:
        served.put(imagery.oci_layout("bare"), "lab/bare:1")
        address = f"docker://{served.host}/lab/bare:1"
        os.environ["APPTAINER_CACHEDIR"] = str(folder / "cache")
        runtime = find(None, SITE, os.environ)

        def hand(number: int) -> None:
            target = str(folder / f"hand{number}.sif")
            subprocess.run(
                [apptainer, "-s", "pull", "--no-https", target, address], check=True, timeout=600
            )

        def ours(number: int) -> None:
            Puller(runtime, place(folder), Silent()).obtain(
                parse(address, folder), ImageStore(folder / f"store{number}")
            )

        hand(0)
        ours(0)
        pairs = [(clock(ours, n), clock(hand, n)) for n in range(1, count + 1)]
        report("pull, warm cache: ours / apptainer pull", pairs)
        again = [(clock(ours, n), clock(hand, count + n)) for n in range(1, count + 1)]
        report("the same image for a second kernel / apptainer pull", again)
    finally:
        served.process.terminate()
        served.process.wait(30)


def clock(call, number: int) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    call(number)
    return time.perf_counter() - begun


def report(title: str, pairs: list[tuple[float, float]]) -> None:
    """One row; the interval by resampling the pairs."""
    ratios = [own / other for own, other in pairs]
    medians = sorted(statistics.median(random.choices(ratios, k=len(ratios))) for _ in range(2000))
    own, other = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    print(
        f"| {title} | {own:.3f} | {other:.3f} | {statistics.median(ratios):.2f} | {medians[50]:.2f} to {medians[1949]:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
