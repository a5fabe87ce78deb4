"""What a person sees in JupyterLab: waiting, running, the warning, the end. Screenshots beside the report."""

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from portal.lab import patient
from slurm.cluster import free_ports

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PICTURES = os.environ.get("KW_PICTURES")  # a folder that keeps the screenshots


@pytest.fixture
def lab(bench):
    """JupyterLab with one notebook of three cells for the Slurm kernel; the page's address."""
    bench.kernel(slurm={"partition": "closed", "time": "30"})
    book = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("print(40 + 2)"),
            nbformat.v4.new_code_cell("import time\nfor i in range(6000): time.sleep(0.1)"),
            nbformat.v4.new_code_cell("1 + 1"),
        ],
        metadata={"kernelspec": {"name": "demo", "display_name": "demo", "language": "python"}},
    )
    with serve(bench, book) as address:
        yield address


@contextmanager
def serve(bench, book):
    """JupyterLab over one notebook, `book.ipynb`; its address."""
    if not os.path.exists(CHROMIUM):
        pytest.skip("chromium is missing")
    (bench.folder / "work").mkdir()
    nbformat.write(book, bench.folder / "work/book.ipynb")
    (port,) = free_ports(1)
    with open(bench.folder / "lab.log", "wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                f"--port={port}",
                "--ip=127.0.0.1",
                "--no-browser",
                "--allow-root",
                "--ServerApp.port_retries=0",
                "--IdentityProvider.token=",
                f"--ServerApp.root_dir={bench.folder}/work",
            ],
            env=bench.environ,
            stdout=log,
            stderr=log,
            cwd=bench.folder,
        )
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None, (
                    bench.folder / "lab.log"
                ).read_text()
                time.sleep(0.2)
        try:
            yield address
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
                process.wait()


def picture(page, name):
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def run_cell(page, number):
    page.locator(".jp-NotebookPanel .jp-Cell").nth(number).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")


def test_waiting_running_and_end_in_jupyterlab(bench, lab):
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = patient(browser.new_page(viewport={"width": 1200, "height": 800}))
            expect.set_options(timeout=120_000)
            page.goto(f"{lab}/lab/tree/book.ipynb?reset")
            page.wait_for_selector(".jp-NotebookPanel .jp-Cell .cm-content")
            expect(page.locator("#jp-main-statusbar")).to_contain_text(
                "demo | Idle"
            )  # before that a dialog asks for a kernel
            if (news := page.get_by_role("button", name="No", exact=True)).is_visible():
                news.click()
            output = page.locator(".jp-NotebookPanel .jp-Cell .jp-Cell-outputArea")
            run_cell(page, 0)
            expect(output.nth(0)).to_contain_text("the partition is closed at the moment")
            picture(page, "slurm-waiting")
            bench.cluster.open_partition()
            expect(output.nth(0)).to_have_text("42")
            run_cell(page, 1)
            expect(page.locator(".jp-Cell").nth(1)).to_contain_text("[*]")
            ((job, _),) = bench.cluster.jobs()
            bench.cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=2")
            expect(output.nth(1)).to_contain_text("it reaches its time limit")
            picture(page, "slurm-warning")
            bench.cluster.run("scancel", job)
            expect(output.nth(1)).to_contain_text(
                f"Slurm job {job} on node n1 is over: it was cancelled"
            )
            picture(page, "slurm-ended")
            page.get_by_role("menuitem", name="Kernel", exact=True).click()
            page.get_by_text("Restart Kernel…", exact=True).click()
            page.get_by_role("button", name="Confirm Kernel Restart").or_(
                page.get_by_role("button", name="Restart")
            ).last.click()
            run_cell(page, 2)
            expect(output.nth(2)).to_contain_text("2")
            bench.cluster.wait(lambda: dict(bench.cluster.jobs()).keys() - {job}, 60, "a new job")
            picture(page, "slurm-restarted")
            page.get_by_role("menuitem", name="Kernel", exact=True).click()
            page.get_by_text("Shut Down Kernel", exact=True).click()
            bench.cluster.wait_no_jobs()
        finally:
            browser.close()
