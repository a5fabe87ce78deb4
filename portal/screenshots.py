"""`make screenshots`: docs/images/*.png, taken from the running app with a real Chromium.

The home that the pictures show is a throw-away one; `--home` and `--images` name others.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import demo, lab

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "#batch_connect_session_context_"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CODE = "import sys, platform\nprint(sys.prefix)\nplatform.python_version()"


@contextmanager
def preview(home: Path, environ: dict[str, str]) -> Iterator[str]:
    """The preview in a process of its own, with its sessions ended at the end; gives its address."""
    argv = [
        sys.executable,
        "-m",
        "portal",
        "--home",
        str(home),
        "--poll",
        "1",
        "--scheduler",
        "local",
    ]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environ, cwd=demo.HERE)
    assert child.stdout is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=60)


def take(page: Any, file: Path, element: str | None = None) -> None:
    """One picture; of one element, or of the whole page."""
    target = page.locator(element).first if element else page
    target.screenshot(path=file, **({} if element else {"full_page": True}))
    print(file)


def launch(page: Any, address: str, choice: str, **answers: str) -> str:
    """Fill in the form and press Launch; returns the selector of the card."""
    page.goto(address)
    page.wait_for_selector("select[data-kw-ready]")
    page.select_option(f"{PREFIX}kw_kernel", choice)
    for name, value in answers.items():
        page.fill(PREFIX + name, value)
    page.get_by_role("button", name="Launch").click()
    page.wait_for_selector("section.card")
    return f"#{page.locator('section.card').first.get_attribute('id')}"


def form(page: Any, address: str, images: Path) -> None:
    """The form as it opens, and with new software being described."""
    page.goto(address)
    page.wait_for_selector("select[data-kw-ready]")
    take(page, images / "form.png")
    page.select_option(f"{PREFIX}kw_kernel", "new:packages")
    page.fill(f"{PREFIX}kw_title", "RNA analysis")
    page.fill(f"{PREFIX}kw_packages", "numpy\npandas>=2\npip install six")
    page.press(f"{PREFIX}kw_packages", "Tab")
    take(page, images / "form-new.png")


def session(page: Any, address: str, images: Path) -> None:
    """A kernel that is made: the card meanwhile, the card with Connect, and JupyterLab."""
    card = launch(page, address, "new:packages", kw_title="RNA analysis", kw_packages="six")
    page.wait_for_selector(f"{card} progress[value]:not([value='0'])")
    take(page, images / "card-starting.png", card)
    page.wait_for_selector(f"{card}[data-state=running]")
    take(page, images / "card-running.png", card)
    window = lab.open_lab(page, page.locator(card))
    lab.new_notebook(window)
    lab.run_cell(window, CODE)
    window.wait_for_selector(".jp-OutputArea-executeResult")
    window.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    take(window, images / "jupyterlab.png")
    window.close()
    page.locator(card).get_by_role("button", name="Cancel").click()
    page.wait_for_selector(f"{card}[data-state=completed]")


def failure(page: Any, address: str, images: Path) -> None:
    """A kernel that cannot be made."""
    card = launch(
        page,
        address,
        "new:packages",
        kw_title="Typing error",
        kw_packages="numpyy-with-a-typing-error",
    )
    page.wait_for_selector(f"{card}[data-state=running], {card}[data-state=completed]")
    page.evaluate("for (const d of document.querySelectorAll('.ood-info details')) d.open = true")
    take(page, images / "card-failure.png", card)


def main() -> int:
    """Take all pictures in a throw-away home."""
    parser = argparse.ArgumentParser(
        prog="screenshots", description="Take the pictures of the documentation."
    )
    parser.add_argument("--home", type=Path, help="an empty folder; default: a temporary one")
    parser.add_argument("--images", type=Path, default=demo.HERE / "docs/images")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="home-") as temporary:
        _take_all(given.home or Path(temporary), given.images)
    return 0


def _take_all(home: Path, images: Path) -> None:
    from playwright.sync_api import sync_playwright

    images.mkdir(parents=True, exist_ok=True)
    runtime = Path(os.environ.get("KERNELWRIGHT_RUNTIME") or demo.HERE / ".runtime")
    environ = demo.surroundings(home, runtime)
    demo.make_kernel(runtime, environ)
    with preview(home, environ) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport={"width": 1100, "height": 720})
        context.set_default_timeout(lab.PATIENCE * 1000)
        page = context.new_page()
        for picture in (form, session, failure):
            picture(page, address, images)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
