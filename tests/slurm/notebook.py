"""A notebook's view of a kernel: start it as Jupyter does, run cells, keep every message."""

from __future__ import annotations

import json
import os
import queue
import signal
import time
from pathlib import Path

from jupyter_client import BlockingKernelClient, KernelManager

DEADLINE = 90.0  # seconds; generous, because the machine may be busy with other things

LAUNCH = """\
#!/bin/sh
# a hand-made generation: what launch.sh of a recipe with `slurm` does, and nothing else
if [ "$1" = --local ]; then exec {python} -m ipykernel_launcher -f "$2"; fi
exec {runtime}/venv/bin/python -I -m kernelwright.slurm.broker {folder} "$1"
"""


def make_generation(
    base: Path,
    runtime: Path,
    *,
    slurm=None,
    launch: str = LAUNCH,
    kernel: str = "demo",
    language: str = "python",
) -> Path:
    """A kernel's folder with one generation; `slurm` goes into launcher.json."""
    folder = base / "kernels/0123456789ab/1"
    folder.mkdir(parents=True)
    python = runtime / "venv/bin/python"
    script = folder / "launch.sh"
    script.write_text(launch.format(python=python, runtime=runtime, folder=folder))
    script.chmod(0o755)
    spec = {
        "argv": [str(script), "{connection_file}"],
        "display_name": kernel,
        "language": language,
        "metadata": {
            "kernelwright": {"version": 1, "name": kernel},
            "supported_encryption": ["curve"],
        },
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    (folder / "entry.json").write_text(json.dumps({"name": kernel}))
    (folder.parent / "launcher.json").write_text(json.dumps({"slurm": slurm or {}}))
    return folder


def publish(jupyter: Path, generation: Path, name: str = "demo") -> None:
    """Put a generation's kernel.json where Jupyter looks (a folder on JUPYTER_PATH)."""
    folder = jupyter / "kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text((generation / "kernel.json").read_text())


class Notebook:
    """One kernel with one client."""

    def __init__(
        self, environ, *, name="demo", encryption="disabled", connection_dir: Path | None = None
    ):
        self.environ = environ
        self.messages = []
        self.manager = KernelManager(kernel_name=name, transport_encryption=encryption)
        if connection_dir is not None:
            self.manager.connection_file = str(connection_dir / "kernel-test.json")
        self.begun = time.monotonic()
        self.manager.start_kernel(env=dict(environ))
        self.client = self.connect()

    def connect(self):
        """One more front end, with a session of its own as every browser tab has."""
        client = BlockingKernelClient()
        client.load_connection_info(self.manager.get_connection_info())
        client.start_channels()
        client.wait_for_ready(timeout=DEADLINE)
        return client

    @property
    def pid(self) -> int:
        """The broker's process id."""
        return self.manager.provisioner.process.pid

    def send(self, code, **options) -> str:
        """Send a cell; its message id."""
        return self.client.execute(code, **options)

    def reply(self, mid, seconds=DEADLINE):
        """The content of the execute_reply to `mid`."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.client.get_shell_msg(timeout=max(0.1, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") == mid:
                return message["content"]

    def run(self, code, seconds=DEADLINE, **options):
        """Run a cell to its end; its reply."""
        return self.reply(self.send(code, **options), seconds)

    def text_of(self, code, seconds=DEADLINE) -> str:
        """What a cell prints."""
        mid = self.send(code)
        self.wait(lambda m: is_idle(m, mid), seconds)
        assert self.reply(mid)["status"] == "ok", self.errors(mid)
        return "".join(m["content"]["text"] for m in self.of(mid, "stream"))

    def wait(self, condition, seconds=DEADLINE):
        """Read iopub until `condition(message)` holds, old messages included; that message."""
        for message in self.messages:
            if condition(message):
                return message
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.client.get_iopub_msg(timeout=left)
            except queue.Empty:
                break
            message["at"] = time.monotonic()
            self.messages.append(message)
            if condition(message):
                return message
        seen = [(m["msg_type"], str(m["content"])[:200]) for m in self.messages[-15:]]
        raise AssertionError(f"not seen within {seconds} s; the last messages: {seen}")

    def of(self, mid, *kinds):
        """The messages so far that belong to a cell."""
        return [
            m
            for m in self.messages
            if m["parent_header"].get("msg_id") == mid and (not kinds or m["msg_type"] in kinds)
        ]

    def lines(self, mid):
        """What the waiting line of a cell said so far, in plain text."""
        return [
            m["content"]["data"]["text/plain"]
            for m in self.of(mid, "display_data", "update_display_data")
        ]

    def wait_line(self, mid, part, seconds=DEADLINE) -> str:
        """Wait until the line of a cell holds `part`."""

        def holds(message):
            return (
                message["parent_header"].get("msg_id") == mid
                and message["msg_type"] in {"display_data", "update_display_data"}
                and part in message["content"]["data"]["text/plain"]
            )

        return self.wait(holds, seconds)["content"]["data"]["text/plain"]

    def errors(self, mid):
        """The error texts of a cell."""
        return ["\n".join(m["content"]["traceback"]) for m in self.of(mid, "error")]

    def ready(self, seconds=DEADLINE) -> str:
        """Wait until the real kernel answers; the job id."""
        return self.text_of("import os; print(os.environ['SLURM_JOB_ID'])", seconds).strip()

    def kill_broker(self):
        """What kill -9 of Jupyter's child does."""
        os.killpg(self.pid, signal.SIGKILL)

    def shutdown(self):
        """Jupyter's own shutdown."""
        self.manager.shutdown_kernel()

    def close(self):
        """End everything, whatever state it is in."""
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=False)
        self.manager.cleanup_resources()


def is_idle(message, mid) -> bool:
    """Whether a message says that the cell `mid` is done."""
    return (
        message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
        and message["parent_header"].get("msg_id") == mid
    )
