"""A site of its own for a story: conf.d compiled as an admin does it, a home, and the app in the preview over both."""

import json
import os
import subprocess
from contextlib import contextmanager
from types import SimpleNamespace

from portal_tools import portal


def private_runtime(made, runtime):
    """The installed runtime with an etc of its own, so that a story's catalog meets no other test."""
    (made / "etc").mkdir(parents=True)
    for name in ("bin", "venv"):
        (made / name).symlink_to(runtime / name)
    return made


def central_kernel(spec, runtime):
    """A kernelspec of the site in the folder `spec`: the runtime's own Python."""
    spec.mkdir(parents=True)
    argv = [str(runtime / "venv/bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Python", "language": "python"})
    )
    return spec


def compile_site(conf, runtime):
    """`kernelwright site compile`; the catalog that form and job read."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(conf),
        "KERNELWRIGHT_SITE_CONFIG": str(conf),
        "KERNELWRIGHT_RUNTIME": str(runtime),
    }
    words = [runtime / "bin/kernelwright", "site", "compile"]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return conf.parent / "catalog.json"


@contextmanager
def site_app(folder, runtime, conf, *words, uv_cache, env=None):
    """The app for the site in `conf`; `runtime` is a private one. Gives home, address, folder, conf and env."""
    home = folder / "home"
    cache = home / ".local/share/kernelwright/cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "uv").symlink_to(uv_cache)
    catalog = compile_site(conf, runtime)
    environ = {"KERNELWRIGHT_RUNTIME": str(runtime), "KERNELWRIGHT_CATALOG": str(catalog)}
    with portal(home, "--poll", "1", *words, env={**environ, **(env or {})}) as address:
        yield SimpleNamespace(
            home=home, address=address, folder=folder, conf=conf, runtime=runtime, catalog=catalog
        )


@contextmanager
def visit(browser, patience, **options):
    """A fresh visitor, whose page must report no errors."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
    context.set_default_timeout(patience)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
