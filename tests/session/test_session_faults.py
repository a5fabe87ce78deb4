"""Whole sessions of an ordinary user in which something is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest

from kernelwright.config.model import JupyterConfig, SiteConfig

from .ood import wait_for


def test_a_session_that_cannot_read_its_config_starts_no_server(start):
    """Fail closed: with its defaults Jupyter would listen on 8888 and print its token."""
    session = start(wait=False, before_serving='rm "$KERNELWRIGHT_SESSION/values.json"')
    assert session.wait_end() == 1
    assert (session.report["state"], session.report["code"]) == (
        "failed",
        "server-config-unreadable",
    )
    assert session.report["log"] and "token=" not in session.log
    assert not (session.root / "connection.yml").exists()


def test_without_its_config_file_too(start):
    session = start(
        wait=False, before_serving='sed -i s/_config.py/_gone.py/ "$KERNELWRIGHT_SESSION/server.sh"'
    )
    assert session.wait_end() == 1
    assert session.report["state"] == "failed" and "token=" not in session.log
    assert not (session.root / "connection.yml").exists()


TAKE_PORT = """
python3 -c '
import os, socket, time
s = socket.socket()
s.bind(("127.0.0.1", int(os.environ["port"])))
s.listen()
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    time.sleep(600)
'
echo "taken: $port"
"""


@pytest.mark.parametrize(
    "how", ["it listens", "it only holds the port, as an outgoing connection does"]
)
def test_a_port_that_is_taken_is_given_up(start, how):
    """Another process takes the port between before.sh and the server: the next one reaches connection.yml."""
    session = start(
        before_serving=TAKE_PORT if how == "it listens" else TAKE_PORT.replace("s.listen()\n", "")
    )
    taken = session.log.split("taken: ")[1].split()[0]
    assert f"port {taken} was taken by another process" in session.log
    assert session.connection["port"] != taken
    assert session.login() == 302
    assert session.json("/api/status")["kernels"] == 0


def test_after_a_dead_server_the_job_ends_at_once(start):
    """The server dies at its start, and later: the card has the reason within two seconds of its death."""
    session = start()
    assert session.login() == 302
    kernel = session.json("/api/kernels", b"{}")["id"]
    session.run_cell("1", kernel_id=kernel)
    server = next(p for p in session.processes() if b"jupyterlab" in cmdline(p))
    kernels = [p for p in session.processes() if b"ipykernel" in cmdline(p)]
    os.kill(server, signal.SIGKILL)
    begun = time.monotonic()
    assert session.wait_end() == 1
    assert time.monotonic() - begun < 30  # generous: Python starts twice on a loaded machine
    assert (session.report["state"], session.report["code"]) == ("ended", "server-killed")
    wait_for(
        lambda: not any(b"ipykernel" in cmdline(p) for p in kernels),
        why="a kernel outlived the session",
    )


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("set -u; echo printed by a start file; echo >&2 and on stderr", "set -u"),
        (
            "set -C; alias cd='echo no'; cd() { builtin cd \"$@\"; }; set -a",
            "noclobber and allexport",
        ),
        (
            "exec 3>/dev/null; conda() { echo a shell function; return 1; }; export PS1='$ '; unset TMPDIR LANG",
            "conda init",
        ),
    ],
    ids=lambda v: v if "set" not in v and "exec" not in v else "",
)
def test_start_files_of_every_kind(start, runtime, header, why):
    """Also the site's own Jupyter, by its command; Notebook instead of JupyterLab."""
    own = "conda" in why
    site = SiteConfig(jupyter=JupyterConfig(command=f"{runtime}/venv/bin/jupyter")) if own else None
    answers = {"kw_ui": "notebook"} if own else {}
    session = start(
        answers, site=site, header=header, environ={"SHELL": "/bin/zsh", "BASH_ENV": "/dev/null"}
    )
    assert session.login() == 302, why
    assert ("tree" if own else "lab") in json.loads((session.private / "values.json").read_text())[
        "default_url"
    ]
    assert session.ask("/tree" if own else "/lab")[0] == 200
    password = session.connection["password"].encode()
    assert password not in b"".join(environments(session))


@pytest.mark.parametrize("state", ["read-only", "full"])
def test_a_home_that_cannot_be_written(start, alice, place, state):
    """The home is a small file system of its own; OOD itself needs room for connection.yml only."""
    small = place / "small"
    small.mkdir()
    if (
        os.system(
            f"mount -t tmpfs -o size=1m,uid={alice.uid},gid={alice.gid},mode=755 tmpfs {small}"
        )
        != 0
    ):
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        if state == "full":
            with open(small / "fill", "wb") as stream:
                try:
                    while True:
                        stream.write(b"x" * 65536)
                        stream.flush()
                except OSError:
                    pass
        else:
            assert os.system(f"mount -o remount,ro {small}") == 0
        session = start(
            home=small, environ={"KERNELWRIGHT_HOME": str(small)}, root=place / "staged"
        )
        assert session.login() == 302
        said = session.run_cell(
            "get_ipython().run_line_magic('history', ''); import IPython; print('in', IPython.paths.get_ipython_dir())"
        )
        assert f"in {session.private}" in said
        assert "home-unwritable" in [p["code"] for p in session.report["problems"]]
        session.stop()
    finally:
        os.system(f"umount -l {small}")


def environments(session):
    """The environment of each process of the job that is still there when it is looked at."""
    for pid in session.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield Path(f"/proc/{pid}/environ").read_bytes()
