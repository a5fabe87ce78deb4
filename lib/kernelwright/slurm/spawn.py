"""Starting the kernel's process. Imports no zmq, so that the first kernel starts before that is loaded."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .transport import log_size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ANSWERED = ".answered"  # behind the connection file's name: the mark of a kernel that has replied
PORTS = ("shell", "iopub", "stdin", "control", "hb")


@dataclass(frozen=True)
class Spawned:
    """A kernel's process and where it listens (or will)."""

    process: subprocess.Popen[bytes]
    connection: Mapping[str, Any]
    transport: str
    started: float
    log_size: int  # bytes that the job's log had before


@dataclass(frozen=True)
class Spawner:
    """Starts one kernel after another from the same launch.sh, in the same folder."""

    launch: Path
    folder: Path
    environ: Mapping[str, str]

    def spawn(self, key: str, scheme: str, transport: str = "ipc") -> Spawned:
        """Write the connection file and start `launch.sh --local` in a session of its own."""
        for number in range(1, 6):
            for name in (f"s-{number}", f"s:{number}"):
                with contextlib.suppress(OSError):
                    os.unlink(self.folder / name)
        connection = self._connection(key, scheme, transport)
        path = self.folder / "kernel.json"
        for old in (path, self._answered):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(connection, file)
        size = log_size()
        process = subprocess.Popen(
            [str(self.launch), "--local", str(path)],
            stdin=subprocess.DEVNULL,
            env={**self.environ, "JPY_PARENT_PID": str(os.getpid())},
            start_new_session=True,
        )
        return Spawned(process, connection, transport, time.monotonic(), size)

    @property
    def _answered(self) -> Path:
        return self.folder / f"kernel.json{ANSWERED}"

    def mark_answered(self) -> None:
        """Tell watch.sh that the kernel has replied: sockets in files count no bytes that would show it."""
        with contextlib.suppress(OSError):
            self._answered.touch(0o600)

    def _connection(self, key: str, scheme: str, transport: str) -> dict[str, Any]:
        ipc = transport == "ipc"
        ports = range(1, 6) if ipc else _free_ports(5)
        return {
            "transport": transport,
            "ip": str(self.folder / "s") if ipc else "127.0.0.1",
            "key": key,
            "signature_scheme": scheme,
            "kernel_name": "",
            **{f"{name}_port": port for name, port in zip(PORTS, ports, strict=True)},
        }


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
