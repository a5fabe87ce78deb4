"""The server's config file, loaded alone: it needs nothing of ours and ends the server when anything is odd."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from importlib.resources import files

import pytest

from kernelwright.session import jupyter_kernelwright_idle
from kernelwright.session.server import CONFIG

VALUES = {
    "version": 1, "ip": "127.0.0.1", "port": 1, "base_url": "/node/h/1/", "default_url": "/lab", "root_dir": "/", "allow_root": True,
    "hashed_password": "argon2:x", "cookie_secret": "c2VjcmV0", "default_kernel_name": "python3", "native_kernel": True, "keep_signatures": True,
    "cull_idle": 120,
}  # fmt: skip
LOADER = """
import sys
from traitlets.config import Config
c = Config()
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"get_config": lambda: c, "__file__": sys.argv[1]})
import json, os
print(json.dumps({"port": c.ServerApp.port, "xsrf": c.ServerApp.disable_check_xsrf, "origin": c.ServerApp.allow_origin, "token": c.IdentityProvider.token,
    "required": c.PasswordIdentityProvider.password_required, "cull": c.MappingKernelManager.cull_idle_timeout, "idle": "jupyter_kernelwright_idle" in sys.modules, "root": c.ServerApp.allow_root,
    "strict": "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR" in os.environ, "same": c.IdentityProvider.cookie_options["samesite"]}))
"""


@pytest.fixture
def load(tmp_path):
    def run(values=VALUES, *, mode=0o600, stub=None, path=None):
        file = tmp_path / "values.json"
        file.write_text(values if isinstance(values, str) else json.dumps(values))
        os.chmod(file, mode)
        environ = {
            "KERNELWRIGHT_SESSION_VALUES": str(file) if path is None else path,
            "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR": "1",
            "PATH": os.environ["PATH"],
        }
        if stub is not None:
            (tmp_path / "jupyter_server").mkdir()
            (tmp_path / "jupyter_server/__init__.py").write_text(stub)
            environ["PYTHONPATH"] = str(tmp_path)
        return subprocess.run(
            [sys.executable, "-c", LOADER, str(CONFIG)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            cwd="/",
        )

    return run


def test_what_is_set(load):
    done = load()
    assert json.loads(done.stdout) == {
        "port": 1, "xsrf": False, "origin": "", "token": "", "required": True, "cull": 120, "idle": True, "root": os.geteuid() == 0, "strict": False, "same": "Strict",
    }, done.stderr  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"values": ""}, "server-config-unreadable"),
        ({"values": "[]"}, "server-config-unreadable"),
        ({"values": {**VALUES, "version": 2}}, "server-config-unreadable"),
        (
            {"values": {k: v for k, v in VALUES.items() if k != "hashed_password"}},
            "server-config-unreadable",
        ),
        ({"values": {**VALUES, "cookie_secret": 7}}, "server-config-unreadable"),
        ({"mode": 0o644}, "server-config-unreadable"),
        ({"path": "/nonexistent"}, "server-config-unreadable"),
        ({"path": ""}, "server-config-unreadable"),
        ({"stub": "__version__ = '1.24.0'"}, "server-too-old: jupyter_server 1.24.0 is too old"),
        ({"stub": "raise ImportError"}, "server-too-old: this Jupyter has no jupyter_server"),
    ],
    ids=[
        "empty",
        "list",
        "newer",
        "no-hash",
        "odd-secret",
        "readable-by-others",
        "gone",
        "unnamed",
        "old",
        "none",
    ],
)
def test_whatever_is_odd_ends_the_server(load, options, said):
    done = load(**options)
    assert done.returncode == 1
    assert done.stdout == "" and said in done.stderr and "Traceback" not in done.stderr


def test_values_of_somebody_else_are_refused(load, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to make a file of another user")
    other = tmp_path / "other.json"
    other.write_text(json.dumps(VALUES))
    os.chmod(other, 0o600)
    os.chown(other, 12345, 12345)
    assert "server-config-unreadable" in load(path=str(other)).stderr


@pytest.mark.parametrize(
    ("file", "needed"),
    [
        (CONFIG, {"jupyter_server", "jupyterlab"}),
        (CONFIG.with_name("jupyter_kernelwright_idle.py"), {"jupyter_server", "tornado"}),
    ],
)
def test_it_needs_nothing_of_ours(file, needed):
    tree = ast.parse(file.read_text())
    names = {
        n.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for n in node.names
    }
    names |= {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    assert names - set(sys.stdlib_module_names) == needed


def test_the_broker_is_known_by_what_its_launch_script_starts():
    script = files("kernelwright.launch").joinpath("templates/base.sh.j2").read_bytes()
    assert b" -m " + jupyter_kernelwright_idle.BROKER + b" " in script
