"""`python -m portal`: start the preview and print its address."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from .server import build
from .settings import Settings

HERE = Path(__file__).resolve().parent.parent


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="portal",
        description="A preview of the app in a stand-in for the Open OnDemand dashboard.",
    )
    parser.add_argument("--app", type=Path, default=HERE, help="the app's folder")
    parser.add_argument("--subapp", type=Path, help="a sub-app's YAML file, merged over the form")
    parser.add_argument(
        "--home", type=Path, default=Path(os.environ.get("KERNELWRIGHT_HOME") or Path.home())
    )
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument(
        "--release",
        default="4.2",
        choices=["3.1", "4.0", "4.1", "4.2"],
        help="whose caching to imitate",
    )
    parser.add_argument("--dynamic", action="store_true", help="bc_dynamic_js on")
    parser.add_argument("--csp", action="store_true", help="content security policy on")
    parser.add_argument(
        "--poll", type=float, default=10.0, help="seconds between two looks at the cards"
    )
    parser.add_argument("--queues", default="", help="names for auto_queues, with commas")
    default = os.environ.get("PORTAL_SCHEDULER", "auto")
    parser.add_argument("--scheduler", default=default, choices=["local", "slurm", "auto"])
    return parser.parse_args(words)


async def serve(settings: Settings, port: int) -> None:
    """Run until INT or TERM; the first line on stdout is the address."""
    runner = web.AppRunner(build(settings), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = runner.addresses[0][1]
    print(f"http://127.0.0.1:{bound}/?key={settings.key}", flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await runner.cleanup()


def main() -> int:
    """Start the preview."""
    given = parse()
    settings = Settings(
        app=given.app.resolve(),
        home=given.home.resolve(),
        release=given.release,
        dynamic=given.dynamic,
        csp=given.csp,
        scheduler=given.scheduler,
        poll=given.poll,
        queues=tuple(name for name in given.queues.split(",") if name),
        subapp=given.subapp.resolve() if given.subapp else None,
    )
    asyncio.run(serve(settings, given.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
