"""The reason in the notebook: kernels of tests/kernels/ that cannot start, opened in a real JupyterLab.

With KERNELWRIGHT_PICTURES=FOLDER the pages are kept as pictures (docs/images/diagnosis-*.png).
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from kernels import runner

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
CASES = Path(__file__).parent.parent / "kernels"
PATIENCE = 240_000  # ms
PICTURES = os.environ.get("KERNELWRIGHT_PICTURES")
# case: words that the answer of a cell must hold
SAID = {
    "ipykernel-removed": "ipykernel is not installed in the environment",
    "scratch-purged": "kernelwright repair scratch-purged",
    "own-prefix-moved": "kernelwright repair own-prefix-moved",
    "own-library-shadowed": "look at LD_LIBRARY_PATH",
    "own-packages-broken": "cannot import name Undefined",
    "own-script-exits": "the licence server does not answer",
}


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A home with all six kernels and a notebook for each, behind a real JupyterLab server."""
    folder = tmp_path_factory.mktemp("diagnosis")
    template, runtime = folder / "template", folder / "runtime"
    uv = Path(sys.prefix) / "bin/uv"
    subprocess.run(
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            "/usr/bin/python3",
            "--target",
            template,
            "ipykernel",
        ],
        check=True,
        timeout=600,
    )
    runtime.mkdir()
    (runtime / "venv").symlink_to(sys.prefix)
    lab = runner.make_lab(folder, template, runtime)
    for name in SAID:
        runner.set_up(
            CASES / name, lab, json.loads((CASES / name / "expected.json").read_text()), own=name
        )
        notebook = {
            "cells": [{"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": ["print(6 * 7)"]}],
            "metadata": {"kernelspec": {"name": name, "display_name": name, "language": "python"}}, "nbformat": 4, "nbformat_minor": 5,
        }  # fmt: skip
        (lab.home / f"{name}.ipynb").write_text(json.dumps(notebook))
    with serve(lab) as address:
        yield SimpleNamespace(lab=lab, address=address)


class serve:
    """JupyterLab over a home, on a free port of the loopback; its address as the context."""

    def __init__(self, lab):
        argv = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--allow-root",
                "--IdentityProvider.token=open", f"--ServerApp.root_dir={lab.home}"]  # fmt: skip
        self.log = open(lab.home.parent / "server.log", "wb")
        self.runtime = Path(lab.environ["JUPYTER_RUNTIME_DIR"])
        self.child = subprocess.Popen(
            argv, env=lab.environ, cwd=lab.home, stdout=self.log, stderr=self.log
        )

    def __enter__(self):
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and self.child.poll() is None:
            for path in self.runtime.glob("jpserver-*.json"):
                try:
                    return json.loads(path.read_text())["url"]
                except ValueError:
                    continue  # being written
            time.sleep(0.1)
        raise TimeoutError(Path(self.log.name).read_text())

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()


@pytest.mark.parametrize("name", SAID)
def test_the_cell_says_why(chromium, room, name):
    context = chromium.new_context(viewport={"width": 1100, "height": 620})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    try:
        page.goto(f"{room.address}lab/tree/{name}.ipynb?reset&token=open")
        page.wait_for_selector(".jp-Notebook .cm-content")
        said = run_until_answered(page)
        assert re.sub(r"\s+", " ", SAID[name]) in said
        assert "KernelNotStarted" in said
        if PICTURES:
            page.add_style_tag(content=".Toastify { display: none }")
            page.screenshot(path=Path(PICTURES) / f"diagnosis-{name}.png")
    finally:
        context.close()


def run_until_answered(page):
    """Run the first cell; one that is run while the kernel still connects is dropped, and run again."""
    cell = page.locator(".jp-Notebook .cm-content").first
    output = page.locator(".jp-OutputArea").first
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        if page.locator(
            ".jp-Dialog"
        ).count():  # a restart was noticed, or the like: it has only an OK
            page.keyboard.press("Escape")
        cell.click(timeout=5000)
        page.keyboard.press("Shift+Enter")
        pause = time.monotonic() + 6
        while time.monotonic() < pause:
            text = output.inner_text() if output.count() else ""
            if "KernelNotStarted" in text:
                return re.sub(r"\s+", " ", text)
            page.wait_for_timeout(100)
    raise TimeoutError("the cell did not answer")
