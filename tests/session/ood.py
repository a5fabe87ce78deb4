"""One Open OnDemand session without a dashboard: real templates rendered by real Ruby, the real job script order."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from portal import jobscript

ROOT = Path(__file__).resolve().parents[2]
FIELDS = [
    "kw_kernel", "kw_other", "kw_title", "kw_packages", "kw_file", "kw_image", "kw_only", "kw_ui", "kw_folder", "kw_modules",
]  # fmt: skip
PATIENCE = 200.0  # seconds; a loaded machine is slow
LOGIN = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "TERM": "dumb"}


def wait_for(what, patience=PATIENCE, why="it did not happen"):
    """The first true answer of `what`."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(why() if callable(why) else why)


def stage(answers, root, *, runtime, catalog=None):
    """Stage template/ into `root` as the dashboard does: rsync without .erb, answers, then every .erb."""
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["rsync", "-rlp", "--exclude", "*.erb", f"{ROOT}/template/", f"{root}/"],
        check=True,
        timeout=60,
    )
    definition = {"form": list(dict.fromkeys([*FIELDS, *answers])), "attributes": {}}
    values = {
        k: base64.b64encode(
            v if isinstance(v, bytes) else v.encode("utf-8", "surrogatepass")
        ).decode()
        for k, v in answers.items()
    }
    record = {
        "id": str(uuid.uuid4()),
        "cluster_id": "mini",
        "title": "Kernelwright",
        "staged_root": str(root),
    }
    request = {
        "action": "stage",
        "app": str(ROOT),
        "definition": definition,
        "values": values,
        "record": record,
    }
    environ = {
        **LOGIN,
        "KERNELWRIGHT_RUNTIME": str(runtime),
        "KERNELWRIGHT_CATALOG": str(catalog or root / "none.json"),
    }
    done = subprocess.run(
        ["ruby", str(ROOT / "portal/render.rb")], input=json.dumps(request), env=environ, cwd="/", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert "error" not in answer, answer["error"]
    return root


class Session:
    """A running job; `user` is one of the unprivileged users, None for the test's own."""

    def __init__(self, root, *, home, user=None, environ=None, header="", wait=True):
        self.root, self.home, self.user = Path(root), Path(home), user
        script = jobscript.render({"header": header}, self.root)
        (self.root / "job_script_content.sh").write_text(script)
        self.environ = {
            **LOGIN,
            "HOME": str(home),
            "SHELL": "/bin/bash",
            "TMPDIR": str(self.root),
            **(environ or {}),
        }
        words = ["bash", str(self.root / "job_script_content.sh")]
        if user is not None:
            subprocess.run(
                ["chown", "-R", f"{user.uid}:{user.gid}", str(self.root)], check=True, timeout=60
            )
            self.environ.update(USER=user.name, LOGNAME=user.name)
            words = [*user.prefix(), *words]
        else:
            self.environ.setdefault("KERNELWRIGHT_HOME", str(home))
        with open(self.root / "output.log", "wb") as log:
            self.job = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environ, cwd=self.root, start_new_session=True,
            )  # fmt: skip
        if wait:
            self.wait_running()

    # --- what the dashboard sees -------------------------------------------------------------------

    @property
    def log(self):
        return (self.root / "output.log").read_text("utf-8", "replace")

    @property
    def report(self):
        try:
            return json.loads((self.root / "report.json").read_text())
        except FileNotFoundError:
            return {}

    @property
    def connection(self):
        """What OOD reads; its file is written line by line."""
        path = self.root / "connection.yml"
        wait_for(lambda: "password: " in path.read_text(), why=lambda: self.log)
        return dict(line.split(": ", 1) for line in path.read_text().splitlines())

    def wait_running(self):
        wait_for(
            lambda: (self.root / "connection.yml").exists() or self.job.poll() is not None,
            why=lambda: self.log,
        )
        assert self.job.poll() is None, self.log
        return self

    def wait_end(self, patience=PATIENCE):
        """The exit status of the job; its log stands in the failure when it does not end."""
        wait_for(lambda: self.job.poll() is not None, patience, why=lambda: self.log)
        return self.job.returncode

    @property
    def private(self):
        """The session's private folder, from the job's own child."""
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                data = path.read_bytes()
            except OSError:
                continue
            if f"PWD={self.root}".encode() in data.split(b"\0"):
                found = [e for e in data.split(b"\0") if e.startswith(b"KERNELWRIGHT_SESSION=/")]
                if found:
                    return Path(found[0].split(b"=", 1)[1].decode())
        raise AssertionError("no process of the session is there")

    # --- the browser's part ----------------------------------------------------------------------------

    @property
    def url(self):
        there = self.connection
        return f"http://{there['host']}:{there['port']}/node/{there['host']}/{there['port']}"

    def login(self, password=None, headers=None):
        """POST the card's form; the answer's status."""
        self.jar = http.cookiejar.CookieJar()
        self.browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(self.jar), NoRedirect
        )
        data = urllib.parse.urlencode(
            {"password": password or self.connection["password"]}
        ).encode()
        return self.ask(
            "/login?next=" + urllib.parse.quote(urllib.parse.urlparse(self.url).path + "/lab"),
            data,
            headers or {"Sec-Fetch-Site": "same-origin"},
        )[0]

    def ask(self, path, data=None, headers=None):
        """Status, body and headers of one request with the cookies so far."""
        request = urllib.request.Request(self.url + path, data=data, headers=headers or {})
        try:
            with self.browser.open(request, timeout=60) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers

    def json(self, path, data=None):
        """An API answer; the XSRF value is sent as JupyterLab does."""
        xsrf = next((c.value for c in self.jar if c.name == "_xsrf"), None)
        if xsrf is None:
            self.ask("/lab")
            xsrf = next(c.value for c in self.jar if c.name == "_xsrf")
        status, body, _ = self.ask(
            path, data, {"X-XSRFToken": xsrf, "Content-Type": "application/json"}
        )
        assert status < 300, (status, body)
        return json.loads(body)

    def run_cell(self, code, kernel=None, kernel_id=None):
        """Start a kernel over the API (the default one unless named), run `code` over the WebSocket; its stdout."""
        import websocket

        if kernel_id is None:
            body = json.dumps({"name": kernel} if kernel else {}).encode()
            kernel_id = self.json("/api/kernels", body)["id"]
        cookies = "; ".join(f"{c.name}={c.value}" for c in self.jar)
        address = (
            self.url.replace("http:", "ws:")
            + f"/api/kernels/{kernel_id}/channels?session_id={uuid.uuid4().hex}"
        )
        channel = websocket.create_connection(address, cookie=cookies, timeout=PATIENCE)
        try:
            message_id = uuid.uuid4().hex
            channel.send(json.dumps({
                "header": {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": "t", "date": "", "version": "5.3"},
                "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
                "content": {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True},
            }))  # fmt: skip
            said = ""
            while True:
                message = json.loads(channel.recv())
                if message["parent_header"].get("msg_id") != message_id:
                    continue
                kind, content = message["msg_type"], message["content"]
                if kind == "stream":
                    said += content["text"]
                elif kind == "error":
                    said += "\n".join(content["traceback"])
                elif kind == "status" and content["execution_state"] == "idle":
                    return said
        finally:
            channel.close()

    # --- the end -------------------------------------------------------------------------------------

    def cancel(self):
        """What scancel does: TERM to every process of the job."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        return self

    def processes(self):
        """Every process of the job, kernels included: children of children, by parent."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(entry.parent.name)] = int(fields[1])
        found, grew = {self.job.pid}, True
        while grew:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            found |= more
            grew = bool(more)
        return sorted(found)

    def stop(self):
        """End it, whatever state it is in."""
        if self.job.poll() is None:
            self.cancel()
            try:
                self.job.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.job.pid, signal.SIGKILL)
                self.job.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other."""

    def redirect_request(self, *_):
        return None


def central_kernel(folder, name="Central", prints="central"):
    """A kernelspec that is its own proof: its kernel knows which one it is."""
    folder.mkdir(parents=True)
    spec = {
        "argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": name, "language": "python", "env": {"WHICH_KERNEL": prints}, "metadata": {},
    }  # fmt: skip
    (folder / "kernel.json").write_text(json.dumps(spec))
    return folder


def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
