"""The Jupyter server's configuration for one Open OnDemand session: fixed code, values from a JSON file.

Loaded by Jupyter itself (`--config`), in our runtime or in the site's own Jupyter, where the package
kernelwright is not there: standard library and Jupyter only. The values were written by `kernelwright session
prepare`; nothing of them is ever pasted into code. Whatever is wrong ends the server: one that started with
its defaults would listen on another port and print its token.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from typing import NoReturn

    def get_config() -> Any:
        """Put into this file's names by traitlets' loader."""


IDLE = "jupyter_kernelwright_idle"  # the file beside this one
OLDEST = 2  # jupyter_server 2 brought PasswordIdentityProvider and login_handler_class


def stop(code: str, text: str) -> NoReturn:
    """End the server; SystemExit passes through every `except Exception` of the config loader."""
    sys.stderr.write("kernelwright: " + code + ": " + text + "\n")
    raise SystemExit(1)


def load() -> dict[str, Any]:
    """The values of this session, from the file that only its user can read."""
    path = os.environ.get("KERNELWRIGHT_SESSION_VALUES", "")
    try:
        status = os.stat(path)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            stop("server-config-unreadable", "the session's values are not private: " + path)
        with open(path, encoding="utf-8") as stream:
            values = json.load(stream)
    except (OSError, ValueError) as error:
        stop("server-config-unreadable", "the session's values cannot be read: " + str(error))
    if not isinstance(values, dict) or values.get("version") != 1:
        stop("server-config-unreadable", "the session's values are not of version 1: " + path)
    return values


def check_version() -> None:
    """Name a Jupyter that is too old, with its version, instead of starting it without protection."""
    try:
        import jupyter_server
    except ImportError:
        stop("server-too-old", "this Jupyter has no jupyter_server; version 2 or newer is needed")
    version = getattr(jupyter_server, "__version__", "0")
    if int(version.split(".")[0]) < OLDEST:
        stop(
            "server-too-old",
            "jupyter_server " + version + " is too old; version 2 or newer is needed",
        )


def login_handler() -> type:
    """A login form that takes the card's POST: same origin only, with the password as the proof.

    The card's form cannot know Jupyter's XSRF value. Every other request is checked as always.
    """
    from jupyter_server.auth.login import LoginFormHandler

    class OneClickLogin(LoginFormHandler):  # type: ignore[misc] # Jupyter's own class, of whatever version is there
        def check_xsrf_cookie(self) -> None:
            if self.request.method == "POST" and self.is_same_origin():
                return
            super().check_xsrf_cookie()

        def is_same_origin(self) -> bool:
            headers = self.request.headers
            site = headers.get("Sec-Fetch-Site")
            if site is not None:
                return bool(site == "same-origin")
            origin = headers.get("Origin")  # browsers on plain http say no Sec-Fetch-Site
            return bool(origin) and urlsplit(origin).netloc.lower() == self.request.host.lower()

    return OneClickLogin


def configure_server(server: Any, values: dict[str, Any]) -> None:
    """Where it listens and what it shows; also what is the default, so that no file of the user's wins."""
    server.ip = values["ip"]
    server.port = values["port"]
    server.port_retries = 0
    server.sock = ""
    server.certfile = ""
    server.base_url = values["base_url"]
    server.default_url = values["default_url"]
    server.root_dir = values["root_dir"]
    if values.get("preferred_dir"):
        server.preferred_dir = values["preferred_dir"]
    server.open_browser = False
    server.allow_remote_access = True  # the Host header is the portal's
    server.allow_root = bool(values["allow_root"]) and os.geteuid() == 0


def configure_login(c: Any, values: dict[str, Any]) -> None:
    """The password alone opens it, to its own pages alone."""
    from jupyter_server.auth.identity import PasswordIdentityProvider

    c.ServerApp.allow_origin = ""
    c.ServerApp.allow_origin_pat = ""
    c.ServerApp.allow_credentials = False
    c.ServerApp.disable_check_xsrf = False
    c.ServerApp.allow_unauthenticated_access = False
    c.ServerApp.cookie_secret = base64.b64decode(values["cookie_secret"])
    c.ServerApp.identity_provider_class = PasswordIdentityProvider
    for provider in (c.IdentityProvider, c.PasswordIdentityProvider):
        provider.token = ""
        provider.cookie_options = {"samesite": "Strict", "httponly": True}
    c.PasswordIdentityProvider.hashed_password = values["hashed_password"]
    c.PasswordIdentityProvider.password_required = True
    c.PasswordIdentityProvider.allow_password_change = False
    c.PasswordIdentityProvider.login_handler_class = login_handler()


def configure_kernels(c: Any, values: dict[str, Any]) -> None:
    """Which kernel a new notebook has, and when an idle one ends."""
    c.MultiKernelManager.default_kernel_name = values["default_kernel_name"]
    c.KernelSpecManager.ensure_native_kernel = bool(values["native_kernel"])
    if not values.get("keep_signatures", True):
        # no SQLite file in a home that is full or cannot lock
        c.NotebookNotary.db_file = ":memory:"
    if values.get("cull_idle"):
        c.MappingKernelManager.cull_idle_timeout = values["cull_idle"]
        c.MappingKernelManager.cull_interval = min(60, max(1, values["cull_idle"] // 10))
        c.MappingKernelManager.cull_connected = False  # the file beside this one warns first
        c.MappingKernelManager.cull_busy = False
        load_idle(c)


def load_idle(c: Any) -> None:
    """Take the extension that ends open kernels from its file: it is no module on anybody's search path."""
    path = os.path.join(os.path.dirname(__file__), IDLE + ".py")
    spec = importlib.util.spec_from_file_location(IDLE, path)
    if spec is not None and spec.loader is not None:
        module = sys.modules[IDLE] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        c.ServerApp.jpserver_extensions.update({IDLE: True})


def configure(c: Any, values: dict[str, Any]) -> None:
    """Every setting of the session."""
    configure_server(c.ServerApp, values)
    configure_login(c, values)
    configure_kernels(c, values)
    configure_lab(c)


def configure_lab(c: Any) -> None:
    """No question about news, no look for updates outside, no extensions into a runtime of others.

    Jupyter drops a whole extension for one setting that its version does not know, so each is looked up.
    """
    try:
        from jupyterlab.labapp import LabApp
    except ImportError:
        return
    wanted = {
        "news_url": None,
        "check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
    }
    if not os.access(sys.prefix, os.W_OK):
        wanted["extension_manager"] = "readonly"
    for name, value in wanted.items():
        if hasattr(LabApp, name):
            setattr(c.LabApp, name, value)


def forget() -> None:
    """What only this process needs does not reach kernels and terminals.

    A strict traitlets would end a kernel for a slip in the user's own ipython_config.py.
    """
    os.environ.pop("TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR", None)


def be_quiet() -> None:
    """Extensions without a login check of their own are closed by ours; people need no warning about each."""
    try:
        from jupyter_server.utils import JupyterServerAuthWarning
    except ImportError:
        return
    warnings.filterwarnings("ignore", category=JupyterServerAuthWarning)


check_version()
try:
    configure(get_config(), load())
except (KeyError, TypeError, ValueError, ImportError, AttributeError) as problem:
    stop("server-config-unreadable", "the session's values cannot be used: " + repr(problem))
forget()
be_quiet()
