"""A case is a folder: what a person did (`setup.sh`, kernel.json, scripts) and what must be said about it.

`setup.sh` runs in an empty HOME with `mkenv` (make an environment) and `kernelwright` on PATH. Everything
in the folder `kernel/` becomes the kernelspec of the case's name, `@HOME@` and `@PYTHON@` filled in.
expected.json is described in tests/kernels/README.md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty

HERE = Path(__file__).parent
LIMIT = 90.0  # seconds a kernel may take; a loaded machine is slow
MKENV = """\
#!/bin/bash
# mkenv [--bare] [--own] DIR: an environment with ipykernel, as people make it (hard links: quick).
# --own: not a virtual environment but an installation of its own, as conda's are; ~/.local leaks into those.
set -e
bare= own=
while [[ $1 == --* ]]; do
  case $1 in --bare) bare=1 ;; --own) own=1 ;; esac
  shift
done
if [[ -n $own ]]; then
  real=$(readlink -f /usr/bin/python3)
  lib=lib/${{real##*/}}
  mkdir -p "$1/bin" "$1/$lib"
  cp "$real" "$1/bin/python"
  ln -s /usr/$lib/* "$1/$lib/"
  rm -f "$1/$lib/dist-packages" "$1/$lib/site-packages"
  packages=$1/$lib/dist-packages
  mkdir -p "$packages"
else
  /usr/bin/python3 -m venv --without-pip "$1"
  packages=$(echo "$1"/lib/python3.*/site-packages)
fi
[[ -n $bare ]] || cp -al {template}/. "$packages/"
"""


@dataclass(frozen=True)
class Lab:
    """An empty home with the tools that setup scripts use, and the environment of its user."""

    home: Path
    environ: dict[str, str]
    kernels: Path

    def run(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """Call kernelwright as this user."""
        argv = [sys.executable, "-m", "kernelwright", *words]
        return subprocess.run(
            argv,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=600,
            check=check,
            cwd=self.home,
        )


def make_lab(tmp: Path, template: Path, runtime: Path) -> Lab:
    home, tools = tmp / "home", tmp / "tools"
    home.mkdir(parents=True)
    tools.mkdir()
    (tools / "mkenv").write_text(MKENV.format(template=template))
    (tools / "kernelwright").write_text(f'#!/bin/sh\nexec {sys.executable} -m kernelwright "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    environ = {
        "HOME": str(home), "KERNELWRIGHT_HOME": str(home), "KERNELWRIGHT_RUNTIME": str(runtime), "USER": "someone",
        "PATH": f"{tools}:/usr/bin:/bin", "LANG": "C.UTF-8", "JUPYTER_RUNTIME_DIR": str(tmp / "run"),
        "PYTHONPATH": "", "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", os.path.expanduser("~/.cache/uv")),
    }  # fmt: skip
    for name in (
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
        "UV_SYSTEM_CERTS",
        "UV_NATIVE_TLS",
        "HTTPS_PROXY",
        "https_proxy",
        "NO_PROXY",
        "PIP_INDEX_URL",
    ):
        if name in os.environ:
            environ[name] = os.environ[name]
    del environ["PYTHONPATH"]
    (tmp / "run").mkdir()
    kernels = home / ".local/share/jupyter/kernels"
    kernels.mkdir(parents=True)
    return Lab(home, environ, kernels)


def set_up(case: Path, lab: Lab, expected: dict, *, own: str = "envs") -> None:
    """Copy the person's files and do what the person did; `own` names the folder of its environments."""
    lab.environ.update(
        {k: v.replace("@HOME@", str(lab.home)) for k, v in expected.get("environ", {}).items()}
    )
    if "JUPYTER_RUNTIME_DIR" in expected.get("environ", {}):
        Path(lab.environ["JUPYTER_RUNTIME_DIR"]).mkdir(parents=True)
    if (case / "kernel").is_dir():
        target = lab.kernels / expected.get("kernel", case.name)
        shutil.copytree(case / "kernel", target)
        for path in target.rglob("*"):
            if path.is_file():
                data = (
                    path.read_bytes()
                    .replace(b"@HOME@", str(lab.home).encode())
                    .replace(b"@PYTHON@", sys.executable.encode())
                )
                path.write_bytes(data)
    if (case / "setup.sh").exists():
        script = (case / "setup.sh").read_text().replace("envs/", f"{own}/")
        argv = ["/bin/bash", "-ec", script]
        done = subprocess.run(
            argv, env=lab.environ, cwd=lab.home, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr


def start(lab: Lab, name: str, patience: float = LIMIT) -> str:
    """Start the kernel as a Jupyter server does and run one cell.

    "answers", "diagnosis:CODE", the class of an exception, "dropped", "absent", "dies" or "silent".
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    from jupyter_client.manager import KernelManager

    specs = KernelSpecManager(kernel_dirs=[str(lab.kernels)], ensure_native_kernel=False)
    specs.log.setLevel(100)
    if name not in specs.find_kernel_specs():
        return "absent"
    if name not in specs.get_all_specs():
        return "dropped"
    connection = Path(lab.environ["JUPYTER_RUNTIME_DIR"]) / "kernel-case.json"
    manager = KernelManager(
        kernel_name=name, kernel_spec_manager=specs, connection_file=str(connection)
    )
    output = open(lab.home.parent / "kernel.log", "wb")
    try:
        try:
            manager.start_kernel(
                env=dict(lab.environ), cwd=str(lab.home), stdout=output, stderr=output
            )
        except NoSuchKernel:
            return "absent"
        except Exception as error:  # noqa: BLE001 - its class is the result
            return type(error).__name__
        return converse(manager, patience)
    finally:
        output.close()
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        connection.unlink(missing_ok=True)


def converse(manager, patience: float) -> str:
    """Ask kernel_info, then run a cell; how it went in one word."""
    client = manager.client()
    client.start_channels()
    deadline = time.monotonic() + patience
    try:
        client.kernel_info()
        while True:
            try:
                client.get_shell_msg(timeout=0.2)
                break
            except Empty:
                if not manager.is_alive():
                    return "dies"
                if time.monotonic() > deadline:
                    return "silent"
        return cell(client, deadline)
    finally:
        client.stop_channels()


def cell(client, deadline: float) -> str:
    """Run a cell until its answer is seen: the first may pass before the subscription stands."""
    while time.monotonic() < deadline:
        asked = client.execute("print(6*7)", allow_stdin=False)
        patience = time.monotonic() + 10
        text = ""
        while time.monotonic() < patience:
            try:
                message = client.get_iopub_msg(timeout=0.5)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            text += json.dumps(message["content"])
            if "KernelNotStarted" in text and message["msg_type"] == "error":
                return "diagnosis:" + text.split("KernelNotStarted (", 1)[1].split(")", 1)[0]
            if message["msg_type"] in {"stream", "execute_result"} and "42" in text:
                return "answers"  # a path in a diagnosis may hold these digits too
    return "silent"
