"""Generations made by `render` alone, and their kernels driven as a notebook server drives them."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from kernelwright.config.model import SiteConfig
from kernelwright.launch.render import render, write
from kernelwright.model import Command, Made, PrefixSpec, Recipe
from kernelwright.recipe import dump

LIMIT = 120.0  # seconds a step may take on a loaded machine
PYTHON = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
BASIC = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


@dataclass
class Kernel:
    """One generation in `folder` and its starts, under one connection file as Jupyter keeps it."""

    folder: Path
    env: dict
    user: object = None
    cwd: Path = Path("/")
    key: str = "kernel-0123"

    def __post_init__(self):
        runtime = Path(self.env["HOME"]) / "jupyter-runtime"
        runtime.mkdir(exist_ok=True)
        file = runtime / f"{self.key}.json"
        self.manager = KernelManager(connection_file=str(file))
        words = self.user.prefix() if self.user else []
        self.manager._kernel_spec = KernelSpec(
            argv=[*words, str(self.folder / "launch.sh"), "{connection_file}"]
        )
        self.manager.cache_ports = False  # else it writes the file anew at the start, as root
        self.manager.write_connection_file()
        if self.user:
            for path in (runtime, file):
                os.chown(path, self.user.uid, self.user.gid)
        self.client = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.client:
            self.client.stop_channels()
        with contextlib.suppress(Exception):
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def start(self):
        self.manager.start_kernel(env=self.env, cwd=str(self.cwd))
        self.connect()

    def restart(self):
        self.manager.restart_kernel(now=True)
        self.connect()

    @property
    def starts(self):
        return self.folder / "starts"

    def said(self):
        """Everything that the start wrote, for the message of a failing test."""
        return "\n".join(p.read_text(errors="replace") for p in sorted(self.starts.glob("*")))

    def connect(self):
        """Until a reply and its own status have both come: then iopub is subscribed and nothing is lost."""
        if self.client:
            self.client.stop_channels()
        self.client = self.manager.client()
        self.client.start_channels()
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            asked = self.client.kernel_info()
            replied = heard = False
            until = time.monotonic() + 2
            while time.monotonic() < until and not (replied and heard):
                replied = replied or self._mine(self.client.get_shell_msg, asked)
                heard = heard or self._mine(self.client.get_iopub_msg, asked)
                assert self.manager.is_alive(), f"the kernel ended:\n{self.said()}"
            if replied and heard:
                return
        raise AssertionError(f"no answer to kernel_info:\n{self.said()}")

    def _mine(self, channel, asked):
        try:
            message = channel(timeout=0.05)
        except Empty:
            return None
        if message["msg_type"] == "kernel_info_reply":
            self.info = message["content"]
        return message["parent_header"].get("msg_id") == asked

    def run(self, code, hear=lambda text: None):
        """(status, text of all outputs); returns when the reply and idle have both come."""
        asked = self.client.execute(code)
        text, reply, idle = "", None, False
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            with contextlib.suppress(Empty):
                message = self.client.get_iopub_msg(timeout=0.05)
                if message["parent_header"].get("msg_id") == asked:
                    kind, content = message["msg_type"], message["content"]
                    if kind == "stream":
                        text += content["text"]
                        hear(text)
                    elif kind in ("execute_result", "display_data"):
                        text += content["data"].get("text/plain", "")
                    elif kind == "error":
                        text += f"{content['ename']}: {content['evalue']}"
                    elif kind == "status" and content["execution_state"] == "idle":
                        idle = True
            if reply is None:
                with contextlib.suppress(Empty):
                    message = self.client.get_shell_msg(timeout=0.01)
                    if message["parent_header"].get("msg_id") == asked:
                        reply = message["content"]
            if reply is not None and idle:
                return reply["status"], text
            assert self.manager.is_alive(), (
                f"the kernel ended during {code!r} after {text!r}:\n{self.said()}"
            )
        raise AssertionError(f"no end of {code!r}; it said {text!r}, reply {reply}")

    def interrupt(self, code, *, every=None):
        """Run `code`, interrupt it once it has said `going`, and return what came.

        `every` repeats it after so many seconds: bash_kernel swallows an interrupt that comes while it
        passes output on, with and without our shell.
        """
        sent = []
        done = threading.Event()

        def hear(text):
            if "going" in text and not sent:
                sent.append(1)
                self.manager.interrupt_kernel()
                if every:
                    repeat.start()

        def again():
            while not done.wait(every):
                os.killpg(self.manager.provisioner.pgid, signal.SIGINT)

        repeat = threading.Thread(target=again, daemon=True)
        try:
            return self.run(code, hear)
        finally:
            done.set()

    def end(self, code):
        """Run `code`, which ends the kernel, and wait until Jupyter sees that."""
        self.client.execute(code)
        wait_for(lambda: not self.manager.is_alive(), "the kernel's end")

    def pid(self):
        return int(self.run("import os; print(os.getpid())")[1])


def wait_for(condition, what, limit=LIMIT):
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit:g} s for {what}"
        time.sleep(0.02)


def gone(pid):
    """Whether the process has ended (a zombie that nobody has reaped has ended too)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def generation(
    folder, argv=None, *, runtime, command=None, made=None, site=None, user=None, **recipe
):
    """Write the launch files of one generation as `builder` does."""
    folder.mkdir(parents=True)
    words = {
        "name": "try",
        "display_name": "Try",
        "environment": PrefixSpec(path="/nowhere"),
    } | recipe
    what = Recipe(**words)
    command = command or Command(tuple(argv or (sys.executable, *PYTHON)))
    if argv and command.argv != tuple(argv):
        command = replace(command, argv=tuple(argv))
    files = render(
        what,
        command,
        generation=folder,
        runtime=runtime,
        made=made or Made("prefix"),
        site=site or SiteConfig(),
    )
    write(folder, files | {"recipe.yml": dump(what)})
    if user:
        for path in (folder.parent, folder, *folder.iterdir()):
            os.chown(path, user.uid, user.gid)
    return folder


def script(path, text, mode=0o755):
    path.write_text(text)
    path.chmod(stat.S_IMODE(mode))
    return path
