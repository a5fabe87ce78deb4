"""The app's Ruby, driven from Python through a real ruby."""

import base64
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DRIVER = Path(__file__).with_name("driver.rb")
RENDER = ROOT / "portal/render.rb"


def call(script, request, *, home=None, catalog=None, env=None, user=None):
    """The answer of one request; the surroundings are those of a dashboard: no login shell, cwd elsewhere."""
    environ = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home or "/nonexistent"),
        **(env or {}),
    }
    if home:
        environ["KERNELWRIGHT_HOME"] = str(home)
    environ["KERNELWRIGHT_CATALOG"] = str(catalog or "/nonexistent/catalog.json")
    prefix = user.prefix() if user else []
    done = subprocess.run(
        [*prefix, "ruby", "-W2", str(script)],
        input=json.dumps(request),
        text=True,
        capture_output=True,
        env=environ,
        cwd="/",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    return json.loads(done.stdout)


def pack(values):
    """Values as the driver wants them; text or bytes."""
    return {
        k: base64.b64encode(
            v if isinstance(v, bytes) else v.encode("utf-8", "surrogatepass")
        ).decode()
        for k, v in values.items()
    }


def ask(action, **more):
    """One of the driver's actions."""
    request = {
        "action": action,
        **{k: v for k, v in more.items() if k not in {"home", "catalog", "user", "env"}},
    }
    if "cases" in request:
        request["cases"] = [pack(case) for case in request["cases"]]
    return call(
        DRIVER, request, **{k: more[k] for k in ("home", "catalog", "user", "env") if k in more}
    )


def render(action, **more):
    """One action of the preview's renderer: form.yml.erb and submit.yml.erb as a dashboard reads them."""
    request = {
        "action": action,
        "app": str(ROOT),
        **{k: v for k, v in more.items() if k not in {"home", "catalog", "user", "env"}},
    }
    if "values" in request:
        request["values"] = pack(request["values"])
    return call(
        RENDER, request, **{k: more[k] for k in ("home", "catalog", "user", "env") if k in more}
    )


def catalog_file(folder, **parts):
    """A small catalog.json in `folder`."""
    path = Path(folder) / "catalog.json"
    path.write_text(json.dumps({"version": 1, **parts}))
    return path


def central(name, label=None, **more):
    """A central kernel of the catalog."""
    return {
        "value": f"site:{name}",
        "name": name,
        "label": label or name,
        "state": "ok",
        "gpu": "none",
        "partitions": [],
        **more,
    }


def values_of(groups):
    """{heading: [value, ...]} of option groups."""
    return {heading: [option[1] for option in options] for heading, options in groups}
