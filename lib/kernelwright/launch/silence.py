"""Whether a kernel that cannot tell us has ever answered; called by watch.sh once its time is up.

`python -I -m kernelwright.launch.silence CONNECTION_FILE GROUP PATIENCE TIME`: exit status 3 when the process
group GROUP has its port open and answers nobody, else 0. Kernels of scripts and of other languages open
their ports before they can answer; one that then hangs would leave the notebook waiting without a word.

The evidence of an answer is what TCP counts: bytes that front ends have acknowledged. Only a kernel that
shows none is asked, so that one which is busy with its first cell is let be.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import struct
import sys
import time
from queue import Empty
from typing import TYPE_CHECKING, Any

from ..slurm.jobstate import VARIABLE
from ..slurm.spawn import ANSWERED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SILENT = 3  # exit status
# Bytes on one connection (measured: ipykernel 7.4, IRkernel 1.3). ZMTP's greeting takes 107, a kernel_info_reply
# 800 and more. On iopub ipykernel says 2100 by itself before it can answer, and an exchange adds 1100.
REPLIED = ASKED = 400
HEARD, HEARD_FOR_CERTAIN = 1500, 3000
BUSY = 0.01  # part of one core above which a kernel is taken to be loading
SOCK_DIAG, BY_FAMILY, DUMP = 4, 20, 0x301  # linux/netlink.h, linux/sock_diag.h
INFO, ESTABLISHED = 2, 1  # linux/inet_diag.h
COUNTS = 120  # offset of tcpi_bytes_acked and tcpi_bytes_received in tcp_info
SETTLE = 1.0  # seconds in which a front end finds a port that has just been opened, and asks


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    path, group, patience, limit = list(sys.argv[1:] if argv is None else argv)
    try:
        connection = read_connection(path)
        silent = is_silent(connection, path, int(group), float(patience), float(limit))
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return 0  # what cannot be known ends no kernel
    return SILENT if silent else 0


def read_connection(path: str, tries: int = 20) -> dict[str, Any]:
    """The connection file; ipykernel writes it anew while it starts, so that it may be gone or empty for a moment."""
    while True:
        try:
            with open(path, encoding="utf-8") as file:
                return dict(json.load(file))
        except (OSError, ValueError):
            tries -= 1
            if tries == 0:
                raise
        time.sleep(0.1)


def is_silent(
    connection: Mapping[str, Any], path: str, group: int, patience: float, limit: float
) -> bool:
    """Ask until the kernel has answered or ended, or has neither worked nor answered for `patience` seconds."""
    deadline = time.monotonic() + limit
    time.sleep(SETTLE)
    while not has_answered(connection, path):
        before = work(group)
        if has_reply(connection, patience):
            return False
        after = work(group)
        if before is None or after is None:
            return False
        busy = math.inf in (before, after) or after - before > BUSY * patience
        if not busy or time.monotonic() > deadline:
            return True
    return False


def has_answered(connection: Mapping[str, Any], path: str) -> bool:
    """Whether anyone has got an answer: by the agent's mark in a Slurm job, else by what TCP counted."""
    if os.path.exists(path + ANSWERED):
        return True
    if connection.get("transport") == "ipc":
        return VARIABLE not in os.environ
    of = {int(connection[f"{name}_port"]): name for name in ("shell", "control", "iopub")}
    seen = [(of[port], acked, received) for port, acked, received in counted() if port in of]
    asked = [(acked, received) for name, acked, received in seen if name != "iopub"]
    if any(acked > REPLIED for acked, _ in asked):
        return True
    # a page that was loaded again waits for the cell that the kernel is busy with: then iopub must say more
    waits = any(received > ASKED for _, received in asked)
    floor = HEARD_FOR_CERTAIN if waits else HEARD
    return any(name == "iopub" and acked > floor for name, acked, _ in seen)


def has_reply(connection: Mapping[str, Any], patience: float) -> bool:
    """Ask kernel_info ourselves; the agent of a Slurm job does so all the time."""
    if connection.get("transport") == "ipc":
        time.sleep(patience)
        return False
    from jupyter_client import BlockingKernelClient

    client = BlockingKernelClient()
    client.load_connection_info(dict(connection))
    client.start_channels(iopub=False, stdin=False, hb=False, control=False)
    try:
        client.kernel_info()
        client.get_shell_msg(timeout=patience)
    except Empty:
        return False
    finally:
        client.stop_channels()
    return True


def counted() -> Iterator[tuple[int, int, int]]:
    """(own port, bytes that the peer acknowledged, bytes received) of every TCP connection of this network."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as link:
            link.settimeout(5)
            wanted = struct.pack(
                "=BBBBI48x", family, socket.IPPROTO_TCP, 1 << (INFO - 1), 0, 1 << ESTABLISHED
            )
            link.send(struct.pack("=IHHII", 16 + len(wanted), BY_FAMILY, DUMP, family, 0) + wanted)
            yield from _answers(link)


def _answers(link: socket.socket) -> Iterator[tuple[int, int, int]]:
    while True:
        data = link.recv(1 << 16)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind != BY_FAMILY:  # the end, or a refusal
                return
            (port,) = struct.unpack_from("!H", data, 16 + 4)
            for number, start in _attributes(data, 16 + 72, length):
                if number == INFO:
                    acked, received = struct.unpack_from("=QQ", data, start + COUNTS)
                    yield port, acked, received
            data = data[(length + 3) & ~3 :]


def _attributes(data: bytes, position: int, end: int) -> Iterator[tuple[int, int]]:
    """(number, offset of the value) of each attribute of a netlink message."""
    while position + 4 <= end:
        length, number = struct.unpack_from("=HH", data, position)
        if length < 4:
            return
        yield number, position + 4
        position += (length + 3) & ~3


def work(group: int) -> float | None:
    """Seconds of the processor that a group's living processes have used; None when there are none.

    One that waits for its disk works, too: infinite.
    """
    used = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError, ValueError), open(entry.path + "/stat") as file:
            field = file.read().rpartition(")")[2].split()  # from the third field of proc(5) on
            if int(field[2]) == group and field[0] != "Z":
                used.append(math.inf if field[0] == "D" else int(field[11]) + int(field[12]))
    return sum(used) / os.sysconf("SC_CLK_TCK") if used else None


if __name__ == "__main__":
    raise SystemExit(main())
