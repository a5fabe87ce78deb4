"""The self-test's Slurm part: submit a small job and see whether it can dial back, as kernels' jobs do."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import socket
import time
from typing import TYPE_CHECKING

from ..errors import UserError
from ..slurm.addresses import of_host, offered, port_range
from ..slurm.clients import Unreachable
from ..slurm.scheduler import connect
from .check import Check

if TYPE_CHECKING:
    from .check import Surroundings

FLAGS = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "reservation": "reservation",
    "constraint": "constraint",
}
SILENCE = 30.0  # seconds that a job which ended may still be on its way to us


def submit_and_dial_back(around: Surroundings) -> Check:
    """Submit a job of a few seconds and wait for its call; it is cancelled when it does not come."""
    site = around.site
    if site.slurm.submit == "none":
        return Check("slurm", "skipped", "`slurm.submit` is none: Slurm kernels are off")
    scheduler = connect(environ=around.environ, submit=site.slurm.submit)
    addresses = offered(site.slurm.network, of_host())
    begun = time.monotonic()
    with _listener(port_range(site.slurm.ports)) as listener:
        token = secrets.token_hex(16)
        script = _script(around, addresses, listener.getsockname()[1], token)
        try:
            if refused := scheduler.preflight(script):
                return Check(
                    "slurm",
                    "failed",
                    f"Slurm would refuse such a job: {refused}",
                    "correct `slurm.defaults`",
                )
            job = scheduler.submit(script)
        except Unreachable as error:
            return Check(
                "slurm",
                "failed",
                f"Slurm does not answer: {error}",
                "try again, or look at slurmctld",
            )
        try:
            caller = _call(listener, token, begun + around.slurm_timeout)
        finally:
            with contextlib.suppress(Unreachable, UserError):
                scheduler.cancel(ids=[job])
    if caller is None:
        return Check(
            "slurm",
            "failed",
            f"job {job} did not call back within {around.slurm_timeout:.0f} s on {', '.join(addresses)}",
            "the partition may be busy (`--slurm-timeout`), or nodes cannot reach this host: set `slurm.ports` and `slurm.network`",
        )
    return Check(
        "slurm",
        "ok",
        f"job {job} ran and called back from {caller} after {time.monotonic() - begun:.1f} s",
    )


def _listener(ports: tuple[int, int] | None) -> socket.socket:
    """A listening socket on any address; its port lies in the site's range."""
    for port in range(ports[0], ports[1] + 1) if ports else (0,):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", port))
            listener.listen()
        except OSError:
            listener.close()
            continue
        return listener
    raise UserError("slurm-no-port", "no port of `slurm.ports` is free on this host")


def _script(around: Surroundings, addresses: list[str], port: int, token: str) -> str:
    said = around.site.slurm.defaults
    options = [f"#SBATCH --{option}={said[key]}" for key, option in FLAGS.items() if said.get(key)]
    tries = " ".join(shlex.quote(address) for address in addresses)
    return "\n".join(
        [
            "#!/bin/bash",
            "#SBATCH --job-name=kernelwright-selftest",
            "#SBATCH --ntasks=1",
            "#SBATCH --time=00:05:00",
            "#SBATCH --output=/dev/null",
            "#SBATCH --chdir=/",
            *options,
            f"for address in {tries}; do",
            f'  timeout 10 bash -c \'echo {token} $(hostname) >"/dev/tcp/$0/{port}"\' "$address" && exit 0',
            "done",
            "exit 1",
            "",
        ]
    )


def _call(listener: socket.socket, token: str, deadline: float) -> str | None:
    """The name of the node that called with our token; others may call, and are not believed."""
    while (left := deadline - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            peer, _ = listener.accept()
        except TimeoutError:
            return None
        with peer, contextlib.suppress(OSError):
            peer.settimeout(min(SILENCE, max(left, 0.1)))
            said = peer.recv(400).decode("utf-8", "replace").split()
            if said[:1] == [token]:
                return said[1] if len(said) > 1 else "a node"
    return None
