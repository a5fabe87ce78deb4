"""Starts ipykernel inside a kernel's environment. Standard library only, Python 3.6 or later.

Kernelwright copies this file into each generation, and launch.sh runs it as
`PYTHON entry.py [--inject FOLDER] -f CONNECTION_FILE [ipykernel's options]`. With --inject, ipykernel
comes from FOLDER where the environment has none: FOLDER stands last, so that the environment's own wins.
Whatever fails here beyond starting ipykernel is left out in silence: the kernel comes first.
"""

import contextlib
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are strings: Python 3.6 must not evaluate them
    from typing import Any

NETWORK = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "afs", "panfs", "ceph", "wekafs", "9p")  # fmt: skip


def main(argv: "list[str]") -> None:
    """Start the kernel; returns when it has ended."""
    gc.disable()  # imports make many objects that live on: looking through them is 5 % of a start
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if p not in ("", here)]
    ready = os.environ.pop("KERNELWRIGHT_READY", "")
    if argv[:1] == ["--inject"]:
        sys.path.append(argv[1])
        argv = argv[2:]
    if "-f" in argv[:-1] and not os.access(argv[argv.index("-f") + 1], os.R_OK):
        sys.exit(f"connection file {argv[argv.index('-f') + 1]} cannot be read")
    _watch_time(os.environ.get("KERNELWRIGHT_START_LIMIT", ""))
    app = _application()
    _initialize(app, [*argv, *_quiet_places()])
    with contextlib.suppress(Exception):  # a kernel without IPython's events works all the same
        FirstCell(app, here).wait()
    gc.enable()
    _tell(ready)
    app.start()


def _application() -> "Any":
    """ipykernel's own application, without its limit on output that nobody has read yet."""
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    bind = app._bind_socket  # noqa: SLF001 - there is no other place before the socket is bound

    def bind_unlimited(socket: "Any", port: int) -> "Any":
        import zmq

        if socket.type in (zmq.PUB, getattr(zmq, "XPUB", None)):
            socket.setsockopt(zmq.SNDHWM, 0)
        return bind(socket, port)

    app._bind_socket = bind_unlimited  # noqa: SLF001 - see above
    return app


def _initialize(app: "Any", argv: "list[str]") -> None:
    """A failure ends the process at once: ipykernel would wait for ever for threads that it did not start.

    It does so where somebody else has the port of its output; Jupyter chooses others for the next start.
    """
    try:
        app.initialize(argv)
    except Exception:  # noqa: BLE001 - whatever it is, it is shown
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


class FirstCell:
    """Brings companion.py in when the first cell comes: until then it costs the start nothing."""

    def __init__(self, app: "Any", here: str) -> None:
        self.app = app
        self.here = here

    def wait(self) -> None:
        """Ask IPython to tell."""
        self.app.shell.events.register("pre_run_cell", self.come)

    def come(self, *_: "Any") -> None:
        """Called by IPython before the first cell runs."""
        self.app.shell.events.unregister("pre_run_cell", self.come)
        with contextlib.suppress(Exception):  # the cell comes first
            import importlib.util

            path = os.path.join(self.here, "companion.py")
            spec = importlib.util.spec_from_file_location("kernelwright_companion", path)
            module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type] # the file is there
            spec.loader.exec_module(module)  # type: ignore[union-attr] # a file has a loader
            key = os.path.splitext(os.path.basename(self.app.connection_file))[0]
            module.Companion(self.app.shell, self.here, key).register()


def _tell(ready: str) -> None:
    """Say to watch.sh that the kernel is up; the file descriptor may not have come through a container."""
    import faulthandler

    faulthandler.cancel_dump_traceback_later()
    with contextlib.suppress(OSError, ValueError):
        os.write(int(ready), b"up\n")
        os.close(int(ready))


def _watch_time(limit: str) -> None:
    """Show where Python hangs, just before watch.sh gives up waiting."""
    import faulthandler

    with contextlib.suppress(ValueError, OSError):
        faulthandler.dump_traceback_later(max(1.0, float(limit or 40) - 2), file=2)


def _quiet_places() -> "list[str]":
    """Options that keep IPython's files away from a home that is full or on a network file system.

    SQLite's locks hang for a minute on NFS and Lustre, and IPython cannot start without its profile.
    """
    folder = os.environ.get("IPYTHONDIR") or os.path.join(os.path.expanduser("~"), ".ipython")
    if os.environ.pop("KERNELWRIGHT_HOME_FULL", "") or not _can_write(folder):
        import atexit
        import shutil
        import tempfile

        folder = tempfile.mkdtemp(prefix="kernelwright-ipython-")
        atexit.register(shutil.rmtree, folder, True)
        os.environ["IPYTHONDIR"] = folder
    elif os.environ.get("KERNELWRIGHT_HISTORY") == "keep" or _file_system(folder) not in NETWORK:
        return []
    return ["--HistoryManager.hist_file=:memory:"]


def _can_write(folder: str) -> bool:
    """Whether IPython can keep files there; a missing folder is made, as IPython would."""
    probe = os.path.join(folder, f".kernelwright-{os.getpid()}")
    try:
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o700)
        with open(probe, "wb") as file:
            file.write(b"\0" * 4096)
        os.unlink(probe)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(probe)
        return False
    return True


def _file_system(path: str) -> str:
    """The type of the file system that holds `path`, from the kernel's list of mounts."""
    real = os.path.realpath(path)
    best = ("", "")
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    for line in lines:
        words = line.split(" ")
        point = words[1].rstrip("/") + "/" if len(words) > 2 else ""
        if point and (real + "/").startswith(point) and len(point) >= len(best[0]):
            best = (point, words[2])
    return best[1]


if __name__ == "__main__":
    main(sys.argv[1:])
