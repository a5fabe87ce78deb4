"""`kernelwright shell NAME [-- COMMAND...]`: a shell in exactly the environment of the kernel."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from ..errors import UserError
from .look import find
from .start import environment

if TYPE_CHECKING:
    from ..model import Kernel
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
    from ..discovery import refuse_untrusted

    del verb
    kernel = find(args.name, context)
    refuse_untrusted(kernel)
    launch = _launch_script(kernel)
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    for stream in (context.stdout, context.stderr):
        stream.flush()
    argv = [launch, "--shell", "--", *words]
    try:
        os.execve(launch, argv, environment(kernel, context.environ))  # noqa: S606 - launch.sh makes the environment
    except OSError as error:
        raise UserError(
            "launch-script-missing",
            f"`{launch}` cannot be run: {error.strerror}",
            hint=f"`kernelwright repair {args.name}` writes it again",
        ) from error


def _launch_script(kernel: Kernel) -> str:
    """The launch.sh of a kernel of one's own, of the group or of the site; others have none to ask."""
    argv = kernel.spec.get("argv")
    program = str(argv[0]) if isinstance(argv, list) and argv else ""
    if os.path.basename(program) != "launch.sh":
        raise UserError(
            "environment-unknown",
            f"`{kernel.name}` was not made by Kernelwright: only its start command knows its environment",
            hint=f"`kernelwright adopt {kernel.name}` takes it into care, then call this again",
        )
    return program
