"""A jupyter_server with the configuration of a session and no session around it, and pages that have its kernels open."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager

from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)

from kernelwright.session.server import CONFIG, SETTINGS, hash_password, new_password
from session import ood

PATIENCE = 120.0
V1 = "v1.kernel.websocket.jupyter.org"
ADDRESS = "127.0.0.1"
BROKER = (
    "import sys; from ipykernel.kernelapp import launch_new_instance as go; go(['-f', sys.argv[1]])"
)


class Server(ood.Session):
    """A jupyter_server with the session's configuration, without a session around it."""

    def __init__(self, folder, limit, config="", environ=None):
        self.folder, self.password = folder, new_password()
        with socket.socket() as probe:
            probe.bind((ADDRESS, 0))
            self.port = probe.getsockname()[1]
        self.path = f"/node/{ADDRESS}/{self.port}/"
        values = {
            "version": 1, "ip": ADDRESS, "port": self.port, "base_url": self.path, "default_url": "/tree",
            "root_dir": str(folder), "allow_root": True, "hashed_password": hash_password(self.password), "cookie_secret": "c2VjcmV0",
            "default_kernel_name": "python3", "native_kernel": True, "keep_signatures": False, "cull_idle": limit,
        }  # fmt: skip
        (folder / "values.json").write_text(json.dumps(values))
        os.chmod(folder / "values.json", 0o600)
        (folder / "config").mkdir()
        (folder / "config/jupyter_config.py").write_text(config)
        broker = [sys.executable, "-c", BROKER, "{connection_file}", "kernelwright.slurm.broker"]
        self.kernel("broker", broker)
        self.kernel("bash", [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"])
        self.kernel(
            "r", ["R", "--no-echo", "-e", "IRkernel::main()", "--args", "{connection_file}"]
        )
        environ = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "JUPYTER_PATH": str(folder / "jupyter"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "JUPYTER_CONFIG_PATH": str(SETTINGS),
            "KERNELWRIGHT_SESSION_VALUES": str(folder / "values.json"), "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR": "1",
            **(environ or {}),
        }  # fmt: skip
        words = [sys.executable, "-I", "-m", "jupyter_server", f"--config={CONFIG}"]
        with open(folder / "log", "wb") as log:
            self.job = subprocess.Popen(
                words, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def connection(self):
        return {"host": ADDRESS, "port": self.port, "password": self.password}

    @property
    def log(self):
        return (self.folder / "log").read_text()

    def kernel(self, name, argv):
        place = self.folder / "jupyter/kernels" / name
        place.mkdir(parents=True)
        spec = {"argv": argv, "display_name": name, "language": name}
        (place / "kernel.json").write_text(json.dumps(spec))

    def listens(self):
        assert self.job.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex((ADDRESS, self.port)) == 0

    def start(self, name="python3"):
        return self.json("/api/kernels", json.dumps({"name": name}).encode())["id"]

    def kernels(self):
        return {kernel["id"]: kernel for kernel in self.json("/api/kernels")}

    def close(self):
        self.job.terminate()
        self.job.wait(60)


class Page:
    """An open page: it runs cells and keeps all that it is told."""

    def __init__(self, server, kernel, *, protocol=V1, session=None):
        import websocket

        self.kernel, self.session, self.protocol = kernel, session or uuid.uuid4().hex, protocol
        self.told = []
        cookies = "; ".join(f"{c.name}={c.value}" for c in server.jar)
        address = server.url.replace("http:", "ws:") + f"/api/kernels/{kernel}/channels"
        self.socket = websocket.create_connection(
            f"{address}?session_id={self.session}", cookie=cookies, timeout=PATIENCE, subprotocols=[protocol] if protocol else None,
        )  # fmt: skip
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            while data := self.socket.recv():
                if self.protocol:
                    channel, parts = deserialize_msg_from_ws_v1(data)
                    header, parent, _, content = [json.loads(part) for part in parts[:4]]
                    message = {"header": header, "parent_header": parent, "content": content, "channel": channel}  # fmt: skip
                else:
                    message = json.loads(data)
                self.told.append(message)
        except Exception:  # closed
            return

    def run(self, code, *, wait=True, **options):
        """Run a cell to its end; the id of its request."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": self.session, "date": "", "version": "5.3"}  # fmt: skip
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True, **options}  # fmt: skip
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        if self.protocol:
            data = serialize_msg_to_ws_v1(message, "shell", lambda part: json.dumps(part).encode())
            self.socket.send_binary(data)
        else:
            self.socket.send(json.dumps({**message, "channel": "shell", "buffers": []}))
        if wait:
            ood.wait_for(lambda: self.is_over(header["msg_id"]), PATIENCE)
        return header["msg_id"]

    def is_over(self, cell):
        return any(
            message["parent_header"].get("msg_id") == cell
            and message["content"].get("execution_state") == "idle"
            for message in list(self.told)
        )

    @property
    def lines(self):
        """[kind, parent's id, text] of all that Kernelwright wrote."""
        found = []
        for message in list(self.told):
            display = message["content"].get("transient", {}).get("display_id", "")
            if display.startswith("kernelwright-idle-"):
                kind, parent = message["header"]["msg_type"], message["parent_header"]["msg_id"]
                assert message["channel"] == ("iopub" if parent else "shell")
                found.append((kind, parent, message["content"]["data"]["text/plain"]))
        return found

    def close(self):
        self.socket.close()
        self.reader.join(PATIENCE)


@contextmanager
def serve(folder, limit, config="", environ=None):
    folder.mkdir()
    server = Server(folder, limit, config, environ)
    try:
        ood.wait_for(server.listens, why=lambda: server.log)
        assert server.login() == 302
        yield server
    finally:
        server.close()
