"""`kernelwright shell NAME [-- COMMAND...]`: a shell in exactly the environment of the kernel."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from ..errors import UserError
from ..store.store import Store

if TYPE_CHECKING:
    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    del verb
    parser.add_argument("name", metavar="NAME", help="the kernel")
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        metavar="-- COMMAND...",
        help="run this instead of a shell",
    )


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Become the shell or the command: its exit status is ours."""
    del verb
    store = Store(context.home, context.site)
    owned = store.find(args.name)
    launch = store.generation(owned.id, owned.number).folder / "launch.sh"
    if not os.access(launch, os.X_OK):
        raise UserError(
            "launch-script-missing",
            f"`{launch}` cannot be run",
            hint=f"`kernelwright repair {owned.name}` writes it again",
        )
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    for stream in (context.stdout, context.stderr):
        stream.flush()
    argv = [str(launch), "--shell", "--", *words]
    try:
        os.execve(argv[0], argv, dict(context.environ))  # noqa: S606 - the environment is launch.sh's matter
    except OSError as error:
        raise UserError(
            "launch-script-missing", f"`{launch}` cannot be run: {error.strerror}"
        ) from error
    sys.exit(127)
