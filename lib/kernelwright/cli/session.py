"""`kernelwright session`: machinery that the Open OnDemand templates call; nothing for people to type."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from .context import Context


def configure(_verb: str, parser: argparse.ArgumentParser) -> None:
    """The subcommands, each called by one file of template/."""
    sub = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    prepare = sub.add_parser(
        "prepare", help="before.sh: check the answers, make the kernel, write the server's config"
    )
    prepare.add_argument("request", type=Path, help="request.json in the session's folder")
    prepare.add_argument(
        "--dir", type=Path, required=True, help="private folder (0700) of the session"
    )
    prepare.add_argument("--host", default="", help="name under which the portal reaches this node")
    prepare.add_argument("--port", default="", help="port that OOD found free")
    port = sub.add_parser("port", help="script.sh: another process took the port; use this one")
    port.add_argument("port")
    port.add_argument("--dir", type=Path, required=True)
    ended = sub.add_parser("ended", help="script.sh: the server is over; say why on the card")
    ended.add_argument("--dir", type=Path, required=True)
    ended.add_argument("--root", type=Path, required=True, help="the session's folder")
    ended.add_argument("--status", type=int, required=True, help="exit status of the server")
    ended.add_argument("--asked", action="store_true", help="the job was told to end")
    running = sub.add_parser("running", help="after.sh: the server answers")
    running.add_argument("--root", type=Path, required=True)
    clean = sub.add_parser(
        "clean", help="clean.sh: end the session's kernels, remove its private folder"
    )
    clean.add_argument("--dir", type=Path, required=True)
    sub.add_parser("index", help="script.sh: refresh the list of kernels that the form shows")


def run(_verb: str, args: argparse.Namespace, context: Context) -> int:
    """Run one step; 0 done, 1 failed, 3 (prepare only): done, and no server is wanted."""
    return STEPS[args.step](args, context)


def _prepare(args: argparse.Namespace, context: Context) -> int:
    from ..session.prepare import prepare
    from ..session.session import Session

    signal.signal(signal.SIGTERM, _interrupt)
    session = Session(
        root=args.request.resolve().parent,
        private=args.dir,
        home=context.home,
        environ=context.environ,
        site=context.site,
        runtime=context.runtime,
    )
    return 0 if prepare(session, host=args.host, port=args.port) else 3


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _port(args: argparse.Namespace, _context: Context) -> int:
    from ..session.server import move_port

    move_port(args.dir, args.port)
    return 0


def _running(args: argparse.Namespace, _context: Context) -> int:
    from ..session.ending import running

    running(args.root)
    return 0


def _ended(args: argparse.Namespace, context: Context) -> int:
    from ..session.cleaning import end_jobs
    from ..session.ending import Ended, ended

    ended(Ended(args.root, args.dir, args.status, asked=args.asked), context.environ)
    end_jobs(args.dir, home=context.home, environ=context.environ, site=context.site)
    return 0


def _clean(args: argparse.Namespace, context: Context) -> int:
    from ..session.cleaning import clean, end_jobs

    clean(args.dir)
    end_jobs(args.dir, home=context.home, environ=context.environ, site=context.site)
    return 0


def _index(_args: argparse.Namespace, context: Context) -> int:
    import socket

    from ..discovery import discover, write_index

    kernels = discover(home=context.home, environ=context.environ, site=context.site)
    write_index(context.home, kernels, socket.gethostname())
    return 0


STEPS: dict[str, Callable[[argparse.Namespace, Context], int]] = {
    "prepare": _prepare,
    "port": _port,
    "running": _running,
    "ended": _ended,
    "clean": _clean,
    "index": _index,
}
