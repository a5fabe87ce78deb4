"""How long a kernel takes until its first reply: launch.sh beside a bare ipykernel and what people use instead.

    python benchmarks/launch.py [--pairs 40] [--only NAME,...]

Each variant is started in turn with the bare kernel (interleaved pairs, so that a busy machine counts for both).
The table has the median of each, the median ratio of its pairs and the 95 % confidence interval of that median.
Budget: launch.sh without modules <= 1.02 x the bare start.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zmq
from jupyter_client.session import Session
from throwaway import Missing, environment

from kernelwright import paths
from kernelwright.config.model import SiteConfig
from kernelwright.launch.render import render, write
from kernelwright.model import Command, Made, Modules, PrefixSpec, Recipe

BARE = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
MODULES = {
    f"thing{n}/1.0.lua": f'setenv("THING{n}", "1")\nprepend_path("PATH", "/opt/thing{n}/bin")\n'
    for n in (1, 2, 3)
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kernelwright-bench-") as name:
        folder = Path(name)
        wanted = {
            k: v for k, v in variants(folder).items() if not args.only or k in args.only.split(",")
        }
        for argv in (BARE, *wanted.values()):
            start(argv, folder)  # once for the caches
        print(f"{args.pairs} pairs each on {os.cpu_count()} cores")
        print(
            f"{'variant':28}{'median s':>10}{'bare s':>10}{'ratio':>8}   95 % of the median ratio"
        )
        for title, argv in wanted.items():
            pairs = [measure(argv, folder) for _ in range(args.pairs)]
            report(title, pairs)
    return 0


def variants(folder: Path) -> dict[str, tuple[str, ...]]:
    """What is compared; a part that is not installed is left out and said."""
    hooks = []
    for number in range(3):
        hook = folder / f"hook{number}.sh"
        hook.write_text(f"export HOOK{number}=1\n")
        hooks.append(str(hook))
    modulefiles = folder / "modulefiles"
    for name, text in MODULES.items():
        (modulefiles / name).parent.mkdir(parents=True, exist_ok=True)
        (modulefiles / name).write_text(text)
    login = folder / "login.sh"
    login.write_text(f'#!/bin/bash -l\nexec "{sys.executable}" -m ipykernel_launcher "$@"\n')
    login.chmod(0o755)
    found = {
        "launch.sh": launch(folder / "plain", Command(BARE)),
        "launch.sh, conda hooks": launch(
            folder / "hooks",
            Command(BARE, env={"CONDA_PREFIX": "/x"}, path=("/x/bin",), hooks=tuple(hooks)),
        ),
        "bash -l": (str(login), "-f", "{connection_file}"),
    }
    if Path("/etc/profile.d/lmod.sh").exists():
        names = tuple(name.removesuffix(".lua") for name in MODULES)
        wanted = Modules(use=(str(modulefiles),), load=names)
        found["launch.sh, 3 Lmod modules"] = launch(folder / "modules", Command(BARE), wanted)
        line = f'source /etc/profile.d/lmod.sh; module use {modulefiles}; module load {" ".join(names)}; exec "$@"'
        found["bash, 3 Lmod modules by hand"] = ("/bin/bash", "-c", line, "x", *BARE)
    else:
        print("not measured: Lmod is missing")
    try:
        found["envkernel"] = envkernel(folder)
    except Missing as error:
        print(f"not measured: envkernel: {error}")
    return found


def envkernel(folder: Path) -> tuple[str, ...]:
    """What envkernel itself writes for the bare kernel; it is installed beside a current jupyter_client."""
    programs = environment(folder / "envkernel", "envkernel", "jupyter_client")
    words = ["--name=bench", f"--prefix={folder}", f"--kernel-cmd={' '.join(BARE)}", sys.prefix]
    done = subprocess.run(
        [programs / "envkernel", "virtualenv", *words], capture_output=True, text=True, timeout=120
    )
    try:
        spec = json.loads((folder / "share/jupyter/kernels/bench/kernel.json").read_text())
    except FileNotFoundError:
        raise Missing((done.stderr.strip() or "no kernel.json").splitlines()[-1]) from None
    try:
        start(spec["argv"], folder)
    except SystemExit as error:
        raise Missing(str(error)) from None
    return tuple(spec["argv"])


def launch(folder: Path, command: Command, modules: Modules = Modules()) -> tuple[str, ...]:
    """A generation, as `builder` writes it."""
    folder.mkdir()
    recipe = Recipe(name="bench", environment=PrefixSpec("/x"), modules=modules)
    runtime = paths.runtime_folder()
    files = render(
        recipe, command, generation=folder, runtime=runtime, made=Made("prefix"), site=SiteConfig()
    )
    write(folder, files)
    return (str(folder / "launch.sh"), "{connection_file}")


def measure(argv: tuple[str, ...], folder: Path) -> tuple[float, float]:
    """(seconds of the variant, seconds of the bare kernel), in random order."""
    order = [argv, BARE]
    random.shuffle(order)
    seconds = {one: start(one, folder) for one in order}
    return seconds[argv], seconds[BARE]


def start(argv: tuple[str, ...], folder: Path) -> float:
    """Seconds from the start of the process to the reply to kernel_info."""
    ports = free_ports(5)
    names = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
    session = Session(key=os.urandom(16).hex().encode())
    info = {
        "transport": "tcp",
        "ip": "127.0.0.1",
        "key": session.key.decode(),
        "signature_scheme": "hmac-sha256",
        **dict(zip(names, ports)),
    }
    file = folder / f"kernel-{os.urandom(4).hex()}.json"
    file.write_text(json.dumps(info))
    words = [word.replace("{connection_file}", str(file)) for word in argv]
    context = zmq.Context()
    shell = context.socket(zmq.DEALER)
    shell.linger = 0
    shell.setsockopt(zmq.RECONNECT_IVL, 1)  # else the client's own waiting is measured
    begun = time.perf_counter()
    child = subprocess.Popen(
        words,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        shell.connect(f"tcp://127.0.0.1:{ports[0]}")
        session.send(shell, "kernel_info_request")
        if not shell.poll(120_000):
            raise SystemExit(f"no reply from {words}")
        seconds = time.perf_counter() - begun
        session.send(shell, "shutdown_request", {"restart": False})
        child.wait(60)
        return seconds
    finally:
        child.kill()
        child.wait()
        context.destroy(linger=0)
        file.unlink(missing_ok=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def report(title: str, pairs: list[tuple[float, float]]) -> None:
    """One row; the interval by resampling the pairs."""
    ratios = [own / bare for own, bare in pairs]
    medians = sorted(statistics.median(random.choices(ratios, k=len(ratios))) for _ in range(2000))
    own, bare = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    print(
        f"{title:28}{own:10.3f}{bare:10.3f}{statistics.median(ratios):8.3f}   {medians[50]:.3f} to {medians[1949]:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
