"""`python -m kernelwright`: the same as the command; a listing that nothing has changed is only read."""

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # the name from typing would cost more than the listing
    from typing import NoReturn


def _open_streams() -> None:
    """A job or a daemon may have closed them: what is opened next would be taken for the terminal."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for the life of the process


def _run() -> int:
    if sys.argv[1:] == ["list", "--json"]:
        from .known import answer

        text = answer(os.environ)
        if text is not None:
            print(text)
            _end(0)  # nothing of Python's own tidying up is needed: a tenth of the call
    from .cli import main

    return main()


def _leave(status: int) -> None:
    """End the process; at once where the conda engine was at work, and where a session waits for us.

    A thread of the engine that lets go of Python while the interpreter shuts down ends in a fatal error
    ("PyGILState_Release") and status 134, after everything was done; one in some hundred calls. Tidying up
    also takes a tenth of `session prepare`.
    """
    if "rattler" in sys.modules or sys.argv[1:3] == ["session", "prepare"]:
        _end(status)
    sys.exit(status)


def _end(status: int) -> "NoReturn":
    """Write out what was said, and be gone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or 1
    os._exit(status)


gc.set_threshold(100_000)  # a command leaves few cycles: looking for them is 4 % of its imports
_open_streams()
_leave(_run())
