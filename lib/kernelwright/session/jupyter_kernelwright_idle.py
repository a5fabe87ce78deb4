"""A Jupyter server extension: the warning before an idle kernel ends, and its last words, in each page that has it open.

Loaded by jupyter_kernelwright_config.py where the site sets `limits.idle`, in whatever Jupyter is there: standard
library and Jupyter only. Kernels that nobody has open are ended by Jupyter's own culling; those that are open are
ended here. What is said goes straight to the pages: a message of the kernel would count as its activity. In a
Jupyter without the hooks that this needs, open kernels are left alone, and Jupyter's own culling is all there is.
"""

from __future__ import annotations

import contextlib
import html
import inspect
import json
import time
from dataclasses import dataclass, field
from typing import Any

WARNING = 300.0  # seconds before the end; half of a limit that is shorter than twice this, as for Slurm kernels
V1 = "v1.kernel.websocket.jupyter.org"  # the binary protocol of newer pages; else it is JSON
NEEDED = (
    "connect",
    "disconnect",
    "handle_incoming_message",
    "write_message",
    "subprotocol",
    "session",
)
BROKER = b"kernelwright.slurm.broker"
KEEP = ("#dd6b20", "run any cell to keep it and its variables")
OVER = ("#e53e3e", "run any cell to start a new one; the variables of the old one are gone")


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Let pages be listened to and look at the kernels from time to time."""
    try:
        from jupyter_server.services.kernels.connection import base  # noqa: F401
        from tornado.ioloop import PeriodicCallback

        pages = app.web_app.settings["kernel_websocket_connection_class"]
        watch = Watch(app.kernel_manager, app.log)
        callback = PeriodicCallback(watch.look, 1000 * app.kernel_manager.cull_interval)
    except (ImportError, KeyError, AttributeError, TypeError) as problem:
        app.log.warning("kernelwright: kernels end without a warning: %r", problem)
        return
    if watch.limit > 0 and all(hasattr(pages, name) for name in NEEDED):
        app.web_app.settings["kernel_websocket_connection_class"] = listening(pages, watch)
        callback.start()


def listening(base: Any, watch: Watch) -> type:
    """The class of a page's connection to its kernel, as this server has it, with our ears."""

    class ListeningConnection(base):  # type: ignore[misc] # Jupyter's own class, of whatever version is there
        def connect(self) -> Any:
            watch.pages.add(self)
            return super().connect()

        def disconnect(self) -> Any:
            watch.pages.discard(self)
            return super().disconnect()

        def handle_incoming_message(self, incoming_msg: Any) -> Any:
            if header := cell_of(incoming_msg, binary=self.subprotocol == V1):
                watch.cells[self.kernel_id, self.session.session] = header
            return super().handle_incoming_message(incoming_msg)

    return ListeningConnection


def cell_of(message: Any, *, binary: bool) -> dict[str, Any] | None:
    """The header of a request that runs a cell; None for all other messages and for code without a cell."""
    from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1

    word: Any = b"execute_request" if isinstance(message, bytes) else "execute_request"
    if word not in message:
        return None
    try:
        if binary:
            _, parts = deserialize_msg_from_ws_v1(message)
            header, content = json.loads(parts[0]), json.loads(parts[3])
        else:
            document = json.loads(message)
            header, content = document["header"], document["content"]
        hidden = content.get("silent") or content.get("store_history") is False
        return header if header["msg_type"] == "execute_request" and not hidden else None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None  # Jupyter itself says what is wrong with it


@dataclass
class Warned:
    """A warning that stands: which idleness it is about, when the kernel ends, and the cell of each page that has it."""

    active: float
    ends: float
    told: dict[str, dict[str, Any] | None] = field(default_factory=dict)


class Watch:
    """Knows the open pages and the last cell of each; a page that loses its connection keeps its cell."""

    def __init__(self, kernels: Any, log: Any) -> None:
        self.kernels = kernels
        self.log = log
        self.limit = float(kernels.cull_idle_timeout)
        self.pages: set[Any] = set()
        self.cells: dict[tuple[str, str], dict[str, Any]] = {}
        self.warned: dict[str, Warned] = {}

    async def look(self) -> None:
        """Warn about every kernel that is idle, and end those whose warning is over."""
        there = self.kernels.list_kernel_ids()
        self.cells = {key: cell for key, cell in self.cells.items() if key[0] in there}
        self.warned = {key: warned for key, warned in self.warned.items() if key in there}
        for kernel_id in there:
            try:
                await self._look_at(kernel_id)
            except Exception as problem:  # noqa: BLE001 - one odd kernel must not end the watch over all others
                self.log.warning("kernelwright: idleness of kernel %s: %r", kernel_id, problem)

    async def _look_at(self, kernel_id: str) -> None:
        kernel = self.kernels.get_kernel(kernel_id)
        pages = [page for page in self.pages if page.kernel_id == kernel_id]
        active, now = kernel.last_activity.timestamp(), time.time()
        limit = float(kernel.kernel_spec.metadata.get("cull_idle_timeout", self.limit))
        warned = self.warned.get(kernel_id)
        if warned and (warned.active != active or kernel.execution_state == "busy"):
            self._tell(self.warned.pop(kernel_id), pages)
        if not pages or kernel.execution_state == "busy" or has_own_clock(kernel):
            self.warned.pop(kernel_id, None)
            return
        before = min(WARNING, limit / 2)
        if now < active + limit - before:
            return
        warned = self.warned.setdefault(kernel_id, Warned(active, now + before))
        if now < warned.ends:
            new = [page for page in pages if page.session.session not in warned.told]
            why = f"as no cell has run for {duration(now - active)}"
            self._tell(warned, new, f"this kernel ends at {clock(warned.ends)}, {why}", *KEEP)
            return
        why = f"has ended, as no cell had run for {duration(limit)}"
        self._tell(warned, pages, f"this kernel {why}, the limit of this site", *OVER)
        self.log.warning("kernelwright: kernel %s %s", kernel_id, why)
        done = self.kernels.shutdown_kernel(kernel_id)
        if inspect.isawaitable(done):
            await done

    def _tell(self, warned: Warned, pages: list[Any], *words: str) -> None:
        """Write the words below the last cell of each page; over those that stand there, if some do."""
        for page in pages:
            session = page.session.session
            again = session in warned.told
            cell = warned.told.setdefault(session, self.cells.get((page.kernel_id, session)))
            content = {
                "data": bundle(*words),
                "metadata": {},
                "transient": {"display_id": f"kernelwright-idle-{warned.ends}"},
            }
            if cell or words:
                with contextlib.suppress(Exception):  # it is just closing
                    write(page, content, cell, again=again)


def write(page: Any, content: dict[str, Any], cell: dict[str, Any] | None, *, again: bool) -> None:
    """Send a page what its cell shows, as if it came from the kernel; `again` rewrites what stands there.

    A page that was loaded after the last cell ran has no place for it. JupyterLab puts an answer that nobody waits for
    into its log console, with a mark in the status bar; of what comes on iopub it does so only when told to.
    """
    from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1

    kind = "update_display_data" if again and cell else "display_data"
    nobody = {"msg_id": "", "session": page.session.session}
    message = page.session.msg(kind, content, parent=cell or nobody)
    channel, pack = "iopub" if cell else "shell", page.session.pack
    if page.subprotocol == V1:
        page.write_message(serialize_msg_to_ws_v1(message, channel, pack), binary=True)
    else:
        page.write_message(pack({**message, "channel": channel}).decode())


def has_own_clock(kernel: Any) -> bool:
    """Whether this is the broker of a Slurm kernel, which warns and ends its job by itself."""
    pid = getattr(getattr(kernel, "provisioner", None), "pid", None)
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return BROKER in stream.read().split(b"\0")
    except OSError:
        return False


def bundle(text: str = "", colour: str = "", remedy: str = "") -> dict[str, str]:
    """Two lines as HTML and as plain text; without words both are empty, which takes what stands there away."""
    if not text:
        return {"text/plain": "", "text/html": ""}
    page = (
        f'<div role="status" style="border-left:4px solid {colour};padding:2px 10px;margin:2px 0">'
        f"Kernelwright: {html.escape(text)}<div>{html.escape(remedy)}</div></div>"
    )
    return {"text/plain": f"Kernelwright: {text}\n{remedy}", "text/html": page}


def duration(seconds: float) -> str:
    """A time span for people: `45 s`, `55 min`, `2 h 05 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def clock(moment: float) -> str:
    """The time of day on this node."""
    return time.strftime("%H:%M", time.localtime(moment))
