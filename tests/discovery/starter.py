"""Really start a kernelspec through jupyter_client and see what was executed, or which exception came."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

# Writes what it was given to $KW_RECORD; as a Python file and as a shell script.
RECORD_PY = """\
import json, os, sys
data = {"program": sys.executable, "argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd()}
data["file"] = any(os.path.isfile(word) for word in sys.argv[1:])
with open(os.environ["KW_RECORD"] + ".tmp", "w") as stream:
    json.dump(data, stream)
os.rename(os.environ["KW_RECORD"] + ".tmp", os.environ["KW_RECORD"])
"""


@dataclass(frozen=True)
class Outcome:
    """`exception` is the class that start_kernel raised; `record` what the recorder saw, if it ran."""

    exception: str | None
    record: dict | None
    connection_file: str
    status: int | None = None


def start(
    kernels: Path, name: str, *, environ: dict[str, str], runtime_dir: Path, cwd: Path
) -> Outcome:
    """Start kernel `name` of the folder `kernels` and wait for the end of its process."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import KernelManager

    record = runtime_dir / "record.json"
    record.unlink(missing_ok=True)
    specs = KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False)
    connection = runtime_dir / "kernel-1.json"
    manager = KernelManager(
        kernel_name=name, kernel_spec_manager=specs, connection_file=str(connection)
    )
    process = None
    try:
        try:
            manager.start_kernel(
                env={**environ, "KW_RECORD": str(record)},
                cwd=str(cwd),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            process = manager.provisioner.process
        except Exception as error:  # noqa: BLE001 - its class is what we want to know
            return Outcome(type(error).__name__, None, os.path.realpath(connection))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        data = json.loads(record.read_text()) if record.exists() else None
        return Outcome(None, data, os.path.realpath(connection), process.poll())
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        manager.cleanup_resources()
        connection.unlink(missing_ok=True)
