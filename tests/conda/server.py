"""Serves a channel over loopback HTTP, with faults on demand, and keeps a log of what was asked.

The same server is a package index (`/simple/`), a channel that wants a token (`/t/TOKEN/...`) or a
password (`/private/...`), and a forward proxy (it answers absolute addresses as well).
"""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

TOKEN = "tk-12345-secret"
LOGIN = "alice:s3cret"
Kind = Literal[
    "status", "truncate", "hang", "corrupt", "swap", "slow"
]  # swap: another package's bytes


@dataclass
class Fault:
    """What to do to the next `times` requests whose path matches `pattern`."""

    pattern: str
    kind: Kind
    times: int = 1_000_000
    status: int = 503
    at: float = 0.5  # the part of the file after which the garbled byte comes


@dataclass
class ChannelServer:
    """A running server; `close` ends it and everything that hangs in it."""

    root: Path
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        owner = self

        class Bound(Handler):
            channel = owner

        self._server = Quiet(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The channel's address."""
        return f"http://{self.host}/channel"

    @property
    def index(self) -> str:
        """The package index's address, for uv and pip."""
        return f"http://{self.host}/simple"

    def fail(self, pattern: str, kind: Kind, **options: Any) -> None:
        """From now on, treat paths like `pattern` badly; the options are Fault's."""
        self.faults.append(Fault(pattern, kind, **options))

    def calm(self) -> None:
        """Forget every fault, let go what hangs, and empty the log."""
        self.released.set()
        self.faults.clear()
        self.requests.clear()
        self.released = threading.Event()

    def take(self, path: str) -> Fault | None:
        """The fault for this request, counted."""
        for fault in self.faults:
            if fault.times > 0 and fnmatch.fnmatch(path, fault.pattern):
                fault.times -= 1
                return fault
        return None

    def close(self) -> None:
        """End the server."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class Quiet(ThreadingHTTPServer):
    """A client that was killed in the middle is no news here."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class Handler(BaseHTTPRequestHandler):
    """One request; the class attribute `channel` is set by ChannelServer."""

    channel: ChannelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing: the log is in `channel.requests`."""

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Answer with the file, or with what a fault asks for."""
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        parts = urllib.parse.urlsplit(self.path)
        self.channel.requests.append(f"{self.command} {self.path}")
        found = self._find(urllib.parse.unquote(parts.path))
        if isinstance(found, int):
            self._error(found)
            return
        data = found.read_bytes()
        fault = self.channel.take(parts.path)
        if fault and fault.kind == "status":
            self._error(fault.status)
            return
        if fault and fault.kind == "hang":
            self.channel.released.wait(120)
            self.close_connection = True
            return
        if fault and fault.kind == "corrupt":
            at = int(len(data) * fault.at)
            data = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        if fault and fault.kind == "swap":
            data = next(p for p in sorted(found.parent.glob("*.conda")) if p != found).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header(
            "Content-Type", "text/html" if found.suffix == ".html" else "application/octet-stream"
        )
        self.end_headers()
        if body:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._send(data, fault.kind if fault else None)

    def _send(self, data: bytes, kind: Kind | None) -> None:
        if kind == "truncate":
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif kind == "slow":
            piece = max(1, len(data) // 20)
            for start in range(0, len(data), piece):
                self.wfile.write(data[start : start + piece])
                self.channel.released.wait(0.25)
        else:
            self.wfile.write(data)

    def _find(self, path: str) -> Path | int:
        """The file for `path`, or the status of the refusal."""
        if path.startswith("/t/"):
            _, _, token, path = path.split("/", 3)
            if token != TOKEN:
                return 403
            path = "/" + path
        elif path.startswith("/private/"):
            wanted = "Basic " + base64.b64encode(LOGIN.encode()).decode()
            if self.headers.get("Authorization") != wanted:
                return 401
        elif path.startswith("/guarded/"):
            return 403
        pieces = path.strip("/").split("/")
        if pieces[0] in {"channel", "private", "guarded", "mirror"}:
            pieces = pieces[1:]
        target = self.channel.root.joinpath(*pieces)
        if target.is_dir() and (target / "index.html").is_file():
            target /= "index.html"
        return target if ".." not in pieces and target.is_file() else 404

    def _error(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
