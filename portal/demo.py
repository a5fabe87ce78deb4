"""`make demo`: a kernel called demo, the app in the preview, and an address to open.

Everything lies in a throw-away home, so that the person's own is not touched. `--check` drives the whole
path without a person and ends: form, launch, card, login through the proxy, one cell in the chosen kernel.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from aiohttp import web

from .client import Person, PreviewError
from .server import build
from .settings import Settings

HERE = Path(__file__).resolve().parent.parent
KERNEL = "demo"
CREATE_TIMEOUT = 600.0


def main(words: list[str] | None = None) -> int:
    """Make the kernel, start the preview, and stay or check."""
    parser = argparse.ArgumentParser(
        prog="demo", description="Kernelwright in a preview of Open OnDemand."
    )
    parser.add_argument(
        "--runtime",
        type=Path,
        default=HERE / ".runtime",
        help="the runtime that `make install` made",
    )
    parser.add_argument(
        "--home", type=Path, default=HERE / ".demo/home", help="the throw-away home"
    )
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--check", action="store_true", help="drive the whole path and end")
    given = parser.parse_args(words)
    home, runtime = given.home.absolute(), given.runtime.absolute()
    if any(letter.isspace() for letter in str(home)):
        print(
            "demo: Open OnDemand cannot use a home with blanks in its path: name another with --home",
            file=sys.stderr,
        )
        return 2
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    environ = surroundings(home, runtime)
    try:
        make_kernel(runtime, environ)
        return asyncio.run(_serve(home, environ, given.port, check=given.check))
    except PreviewError as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        return 1


def surroundings(home: Path, runtime: Path) -> dict[str, str]:
    """The environment in which the demonstration's home is the home."""
    dropped = {
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "JUPYTER_PATH",
        "JUPYTER_DATA_DIR",
        "XDG_DATA_HOME",
    }
    kept = {k: v for k, v in os.environ.items() if k not in dropped}
    return {
        **kept,
        "HOME": str(home),
        "KERNELWRIGHT_HOME": str(home),
        "KERNELWRIGHT_RUNTIME": str(runtime),
    }


def make_kernel(runtime: Path, environ: dict[str, str]) -> None:
    """`kernelwright create venv demo`, unless it is there already."""
    command = str(runtime / "bin/kernelwright")
    try:
        there = subprocess.run(
            [command, "show", KERNEL, "--json"],
            env=environ,
            capture_output=True,
            timeout=60,
            check=False,
        )
        if there.returncode == 0:
            return
        made = subprocess.run(
            [command, "create", "venv", KERNEL, "--display-name", "Demo"],
            env=environ,
            timeout=CREATE_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PreviewError(f"`{command}` cannot be run: {error}") from error
    if made.returncode != 0:
        raise PreviewError(f"the kernel {KERNEL} could not be made; the lines above say why")


async def _serve(home: Path, environ: dict[str, str], port: int, *, check: bool) -> int:
    scheduler = environ.get("PORTAL_SCHEDULER", "local" if check else "auto")
    settings = Settings(
        app=HERE, home=home, scheduler=scheduler, environ=environ, poll=2.0 if check else 5.0
    )
    runner = web.AppRunner(build(settings), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/?key={settings.key}"
        if check:
            return await _check(address)
        print(
            f"\nThe preview is ready. Open this address:\n\n    {address}\n\nCtrl-C ends it, with its sessions.",
            flush=True,
        )
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
        return 0
    finally:
        await runner.cleanup()


async def _check(address: str) -> int:
    """Form, launch, card, login, one cell; the answer must come from the chosen kernel's environment."""
    async with Person(address) as person:
        card = await person.launch(kw_kernel=f"user:{KERNEL}")
        jupyter = await person.connect(card)
        known = await jupyter.get("/api/kernelspecs")
        if known["default"] != KERNEL:
            raise PreviewError(
                f"a new notebook would start with {known['default']}, not with {KERNEL}"
            )
        said = (await jupyter.run(KERNEL, "import sys; print(6 * 7, sys.prefix)")).split(maxsplit=1)
        await person.act(card, "cancel")
    if len(said) != 2 or said[0] != "42" or ".local/share/kernelwright/kernels/" not in said[1]:
        raise PreviewError(f"the cell answered {said}")
    print(f"demo: ok: kernel {KERNEL} answered {said[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
