"""What a package index says, and how it is told: no such version, servers that disagree."""

import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conda.wheels import tiny_wheel
from kernelwright.errors import UserError
from unit.building import run_cell, venv

NAME = "greetkw"


@contextmanager
def index(folder, versions, listed):
    """An index of one package; `listed(n)` are the versions that its n-th answer names."""
    wheels = {v: tiny_wheel(folder, NAME, v) for v in versions}
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == f"/simple/{NAME}/":
                asked.append(self.path)
                names = [wheels[v].name for v in listed(len(asked))]
                text = "".join(f'<a href="/{name}">{name}</a>' for name in names)
                self.answer(f"<html><body>{text}</body></html>".encode(), "text/html")
            elif (file := folder / self.path.lstrip("/")).is_file():
                self.answer(file.read_bytes(), "application/zip")
            else:
                self.send_error(404)

        def answer(self, body, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/simple", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def building(builder, folder, versions, listed):
    folder.mkdir()
    with index(folder, versions, listed) as (url, asked):
        environ = {**builder.environ, "UV_INDEX": url}
        yield replace(builder, environ=environ), asked


def test_an_index_whose_servers_disagree_is_asked_again(builder, tmp_path):
    """A release of the last minutes: the server that is asked for the files does not know it yet."""
    stale = lambda n: ["1.0"] if n == 2 else ["1.0", "1.1"]  # noqa: E731
    with building(builder, tmp_path / "index", ["1.0", "1.1"], stale) as (made, asked):
        made.create(venv(requirements=f"[{NAME}]"))
        assert "1.1" in run_cell(made, "demo", f"import {NAME}; print({NAME}.VERSION)")
    assert len(asked) > 2


def test_an_index_that_lost_a_version_for_good_is_told(builder, tmp_path):
    gone = lambda n: ["1.0"] if n > 1 else ["1.0", "1.1"]  # noqa: E731
    with (
        building(builder, tmp_path / "index", ["1.0", "1.1"], gone) as (made, _),
        pytest.raises(UserError) as caught,
    ):
        made.create(venv(requirements=f"[{NAME}]"))
    assert caught.value.code == "package-not-found"
    assert f"`{NAME}` does not exist" in caught.value.message


@pytest.mark.parametrize("wanted", ["==9.0", ">1.0", "<1", "==1.0.*,>1.0"])
def test_a_version_that_does_not_exist_is_no_conflict(builder, tmp_path, wanted):
    with (
        building(builder, tmp_path / "index", ["1.0"], lambda _: ["1.0"]) as (made, _),
        pytest.raises(UserError) as caught,
    ):
        made.create(venv(requirements=f"['{NAME}{wanted}']"))
    assert caught.value.code == "package-not-found", caught.value.context
    assert f"the package `{NAME}` does not exist under this name or version" in caught.value.message
