"""What starts the Jupyter server: the values for its fixed config file, and server.sh for script.sh.

No secret stands in an argument or in an environment: the password lies in a file of the private folder (before.sh
reads it for OOD's connection.yml), its hash and the cookie secret in another.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import socket
import string
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from ..errors import Problem, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.model import SiteConfig
    from .places import Places

CONFIG = Path(__file__).with_name("jupyter_kernelwright_config.py")
SETTINGS = Path(__file__).with_name(
    "settings"
)  # JupyterLab: a new notebook starts the default kernel, unasked
# A config file that is not found is no error for Jupyter: without the password that only this file sets it must not start.
CLOSED = "--PasswordIdentityProvider.password_required=True"
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]{0,253}")
PASSWORD_LETTERS = 32
ANYWHERE = "0.0.0.0"  # noqa: S104 - a node whose own name does not lead to an address that others reach


@dataclass(frozen=True)
class Address:
    """Where the server listens, and the name and port under which the portal reaches it."""

    host: str
    port: int
    ip: str

    @property
    def base_url(self) -> str:
        """The path that OOD's proxy hands on unchanged."""
        return f"/node/{self.host}/{self.port}/"


def address(host: str, port: str) -> Address:
    """Check what OOD's job script found; raises `bad-address`."""
    if not HOST.fullmatch(host):
        raise UserError(
            "bad-address",
            "the name of this node is empty or odd",
            hint="ask the support about set_host",
        )
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise UserError("bad-address", "no free port was found on this node", hint="launch again")
    return Address(host, int(port), listen_on(host))


def listen_on(host: str) -> str:
    """The address that `host` resolves to; all addresses when it leads nowhere that others could reach.

    Debian's /etc/hosts maps a node's own name to 127.0.1.1, which the web node cannot reach.
    """
    try:
        # bytes: a text would be looked at as an international name, with a module of its own
        found = socket.getaddrinfo(host.encode(), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ANYWHERE
    addresses = [
        str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    ]
    asked = host == "localhost" or host.startswith("127.") or host == "::1"
    usable = [a for a in addresses if asked or not (a.startswith("127.") or a == "::1")]
    return usable[0] if usable else ANYWHERE


def new_password() -> str:
    """A password that is also a plain YAML word: OOD writes it into connection.yml without quotes."""
    choice = SystemRandom().choice  # the source of `secrets`, which imports OpenSSL for it: 3 ms
    alphabet = string.ascii_letters + string.digits
    rest = "".join(choice(alphabet) for _ in range(PASSWORD_LETTERS - 1))
    return choice(string.ascii_letters) + rest


def load_argon2() -> None:
    """Import what `hash_password` needs: in a thread beside a busy one an import waits at each of its steps."""
    import argon2.low_level  # noqa: F401


def hash_password(password: str) -> str:
    """The argon2id hash in Jupyter's form, with OWASP's parameters (19 MiB, two passes)."""
    from argon2.low_level import Type, hash_secret

    hashed = hash_secret(password.encode(), os.urandom(16), 2, 19456, 1, 32, Type.ID)
    return "argon2:" + hashed.decode("ascii")


def write_values(places: Places, address: Address, values: Mapping[str, Any]) -> None:
    """Write what the config file reads; `values` are folders, kernel name, hash and the like."""
    document = {
        "version": 1,
        "ip": address.ip,
        "port": address.port,
        "base_url": address.base_url,
        "allow_root": os.geteuid() == 0,
        **values,
    }
    private_file(places.private / "values.json", json.dumps(document))
    private_file(places.private / "port", f"{address.port}\n")


def move_port(private: Path, port: str) -> Address:
    """Give the prepared server another port: another process took the first one."""
    path = private / "values.json"
    values = json.loads(path.read_text())
    host = values["base_url"].split("/")[2]
    new = address(host, port)
    values.update(port=new.port, base_url=new.base_url, ip=new.ip)
    private_file(path, json.dumps(values))
    private_file(private / "port", f"{new.port}\n")
    return new


def new_secrets(private: Path) -> dict[str, str]:
    """Make the session's password and cookie secret; the password itself goes to its file only."""
    password = new_password()
    private_file(private / "password", password + "\n")
    return {
        "hashed_password": hash_password(password),
        "cookie_secret": base64.b64encode(os.urandom(32)).decode("ascii"),
    }


def private_file(path: Path, text: str) -> None:
    """Write a file that only the user reads, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(temporary, path)


def command(site: SiteConfig, runtime: Path, wanted: str) -> tuple[tuple[str, ...], Problem | None]:
    """The server's command without its config: the site's own Jupyter, else the runtime's.

    Its last word is the interface: `notebook` only where it is offered and installed. The runtime's versioned folder is
    resolved now, so that an upgrade under the running server cannot mix two versions; -I keeps ~/.local
    and PYTHONPATH of the user out of the server. Raises `no-jupyter`.
    """
    offered = site.jupyter.interfaces or ("lab",)
    interface = wanted if wanted in offered else offered[0]
    if site.jupyter.command:
        return (*shlex.split(site.jupyter.command), interface), None
    venv = Path(os.path.realpath(runtime / "venv"))
    start = (str(venv / "bin/python"), "-I", "-m")
    has = {
        name
        for name in ("jupyterlab", "notebook")
        if any(venv.glob(f"lib/python3*/site-packages/{name}"))
    }
    if interface == "notebook" and "notebook" in has:
        return (*start, "notebook"), None
    if "jupyterlab" not in has:
        raise UserError(
            "no-jupyter",
            f"there is no JupyterLab in the runtime `{runtime}`",
            hint="an admin of the site sets `jupyter: {command: ...}`, or installs the runtime without JUPYTER=0",
        )
    missing = interface == "notebook"
    problem = Problem(
        "no-notebook",
        "warning",
        "Jupyter Notebook is not installed here: JupyterLab was started",
        None,
    )
    return (*start, "jupyterlab"), problem if missing else None


def environment(places: Places, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the server (and so of its kernels): search path, runtime folder, config file."""
    known = [
        part for part in environ.get("JUPYTER_PATH", "").split(os.pathsep) if os.path.isabs(part)
    ]
    configs = [
        places.moved.get("JUPYTER_CONFIG_PATH"),
        environ.get("JUPYTER_CONFIG_PATH"),
        str(SETTINGS),
    ]
    return {
        "JUPYTER_PATH": os.pathsep.join([str(places.kernelspecs), *known]),
        "JUPYTER_RUNTIME_DIR": str(places.runtime),
        "KERNELWRIGHT_SESSION": str(places.private),
        "KERNELWRIGHT_SESSION_VALUES": str(places.private / "values.json"),
        "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR": "1",
        **places.moved,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(folder for folder in configs if folder),
    }


def write_start(
    places: Places,
    site: SiteConfig,
    command: tuple[str, ...],
    modules: tuple[str, ...],
    variables: Mapping[str, str],
) -> None:
    """Write server.sh: assignments only, every value quoted; script.sh sources it and starts `kw_command`."""
    lines = [
        "# Written by `kernelwright session prepare`; sourced by script.sh, which starts kw_command."
    ]
    lines += [f"export {k}={shlex.quote(v)}" for k, v in variables.items()]
    lines += [
        f"kw_modules_init={shlex.quote(site.modules.init or '')}",
        f"kw_modules_use=({shlex.join(site.modules.use)})",
        f"kw_modules=({shlex.join((*site.jupyter.modules, *modules))})",
        f"kw_command=({shlex.join((*command, f'--config={CONFIG}', CLOSED))})",
    ]
    private_file(places.private / "server.sh", "\n".join(lines) + "\n")
