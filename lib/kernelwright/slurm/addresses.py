"""The addresses of this host, from /proc, which of them a node may dial, and which one answers."""

from __future__ import annotations

import ipaddress
import queue
import re
import socket
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PATIENCE = 3.0  # seconds for a TCP connection to one address
STAGGER = 0.25  # seconds until the next is tried beside those that are still silent (RFC 8305)
_LOCAL = re.compile(r"\|-- (\S+)\n(?:(?!\s*\|--|\s*\+--).*\n)*?\s+/32 host LOCAL")


def of_host(proc: Path = Path("/proc")) -> list[str]:
    """Every address of this network namespace, loopback last."""
    found: list[str] = []
    try:
        text = (proc / "net/fib_trie").read_text()
    except OSError:
        text = ""
    found += [a for a in dict.fromkeys(_LOCAL.findall(text)) if not a.startswith("127.")]
    try:
        for line in (proc / "net/if_inet6").read_text().splitlines():
            number, _, _, scope, *_ = line.split()
            if scope == "00":  # global; link-local addresses need an interface to be dialled
                found.append(str(ipaddress.IPv6Address(bytes.fromhex(number))))
    except (OSError, ValueError):
        pass
    return [*found, "127.0.0.1"]


def offered(network: str | None, known: list[str]) -> list[str]:
    """The addresses that agents may try, in this order; only those in the site's `network` CIDR.

    Raises UserError `slurm-no-address`.
    """
    if network is None:
        return [a for a in known if ":" not in a]
    try:
        inside = ipaddress.ip_network(network, strict=False)
    except ValueError as error:
        raise UserError(
            "slurm-no-address",
            f"`slurm.network` of the site is no network: {error}",
            hint="it looks like `10.0.0.0/16`",
        ) from error
    found = [a for a in known if ipaddress.ip_address(a) in inside]
    if not found:
        raise UserError(
            "slurm-no-address",
            f"this host has no address in `{network}`, over which nodes reach notebooks here",
            context={"addresses of this host": ", ".join(known)},
            hint="ask your support to correct `slurm.network`",
        )
    return found


def port_range(text: str | None) -> tuple[int, int] | None:
    """`50000-50100` as numbers; None where any port may be used. Raises UserError."""
    if text is None:
        return None
    low, _, high = text.partition("-")
    if low.isdigit() and (high or low).isdigit() and 0 < int(low) <= int(high or low) < 65536:
        return int(low), int(high or low)
    raise UserError(
        "slurm-no-port",
        f"`slurm.ports` of the site is no range: `{text[:40]}`",
        hint="it looks like `50000-50100`",
    )


def first_open(
    addresses: Iterable[str], port: int, refused: Callable[[str, str], None]
) -> str | None:
    """The first address to accept a connection; None after every one was `refused`, with its reason.

    Firewalls answer nothing: a silent address costs a moment, not its whole patience.
    """
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def call(address: str) -> None:
        try:
            socket.create_connection((address, port), timeout=PATIENCE).close()
        except OSError as error:
            answers.put((address, error.strerror or str(error)))
        else:
            answers.put((address, ""))

    waiting, open_calls = deque(addresses), 0
    while waiting or open_calls:
        if waiting:
            threading.Thread(target=call, args=(waiting.popleft(),), daemon=True).start()
            open_calls += 1
        try:
            address, reason = answers.get(timeout=STAGGER if waiting else None)
        except queue.Empty:
            continue
        open_calls -= 1
        if not reason:
            return address
        refused(address, reason)
    return None
