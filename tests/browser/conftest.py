"""A real headless Chromium, and the app in the preview with an installed runtime: one of each for all browser tests."""

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from ood.rubyside import central
from portal_tools import portal

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
]
PREFIX = "#batch_connect_session_context_"
PATIENCE = 240_000  # ms: a loaded machine makes an environment and starts JupyterLab within it
CATALOG = {
    "version": 1,
    "kernels": [
        central("torch", "Torch <img src=x onerror=window.pwned=1>", gpu="required", partitions=["gpu"]),
        *(central(f"course-{number:02}", f"Course {number:02}") for number in range(1, 31)),
    ],
    "form": {"partitions": [{"name": "defq", "label": "Ordinary nodes", "gpus": 0, "max_hours": 6}, {"name": "gpu", "label": "Nodes with GPUs", "gpus": 2, "max_hours": None}]},
    "site": {"name": "HPC", "support": None, "message": "Maintenance on Monday"},
}  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    """Playwright's Chromium, from the system; not longer than its module, as Playwright keeps an event loop."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is missing")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe():
    """axe-core's source, installed once by npm."""
    root = Path(__file__).resolve().parent.parent.parent
    source = root / ".cache/axe/node_modules/axe-core/axe.min.js"
    if not source.exists():
        if not shutil.which("npm"):
            pytest.skip("npm is missing: axe-core cannot be installed")
        subprocess.run(
            [
                "npm",
                "install",
                "--prefix",
                root / ".cache/axe",
                "--no-audit",
                "--no-fund",
                "axe-core",
            ],
            check=True,
            timeout=300,
            stdout=subprocess.DEVNULL,
        )
    return source.read_text("utf-8")


@pytest.fixture(scope="session")
def app(tmp_path_factory, runtime, uv_cache):
    """The app in the preview: home, catalog, runtime and address."""
    folder = tmp_path_factory.mktemp("browser")
    home = folder / "home"
    cache = home / ".local/share/kernelwright/cache"
    cache.mkdir(parents=True)
    (cache / "uv").symlink_to(uv_cache)
    catalog = folder / "catalog.json"
    catalog.write_text(json.dumps(CATALOG))
    env = {"KERNELWRIGHT_RUNTIME": str(runtime), "KERNELWRIGHT_CATALOG": str(catalog)}
    with portal(home, "--poll", "1", env=env) as address:
        yield SimpleNamespace(home=home, address=address, env=env, runtime=runtime)


@pytest.fixture
def page(chromium, app):
    """A fresh visitor on the form, whose page must not report errors."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(PATIENCE)
    shown = context.new_page()
    errors = []
    shown.on("pageerror", lambda error: errors.append(str(error)))
    shown.goto(app.address)
    shown.wait_for_selector("select[data-kw-ready]")
    yield shown
    pwned = shown.evaluate("window.pwned")
    context.close()
    assert errors == []
    assert pwned is None


@pytest.fixture(scope="module")
def plain(chromium, app):
    """A visitor without JavaScript, on the form."""
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE)
    shown = context.new_page()
    shown.goto(app.address)
    yield shown
    context.close()
