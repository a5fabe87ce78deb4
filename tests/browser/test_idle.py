"""`limits.idle` as a person sees it: the warning below the last cell, kept by a cell, the end, and a new kernel by a cell."""

import pytest
from browser.conftest import PATIENCE
from browser.sites import visit
from browser.steps import picture
from session.bare import serve

from portal.lab import PANEL, new_notebook, patient, run_cell

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
LIMIT = 10  # seconds: warned after 5


def test_a_notebook_says_that_its_kernel_ends_and_why_it_ended(chromium, tmp_path):
    with serve(tmp_path / "server", LIMIT) as server, visit(chromium, PATIENCE) as page:
        patient(page).goto(f"{server.url}/login?next={server.path}lab")
        page.fill("input[type=password]", server.password)
        page.press("input[type=password]", "Enter")
        page.wait_for_selector(".jp-Launcher:visible")
        new_notebook(page)
        assert run_cell(page, "print(6 * 7)") == "42"
        said = page.locator(f"{PANEL} .jp-Cell:first-child .jp-OutputArea [role=status]")
        said.wait_for()
        assert "this kernel ends at" in said.inner_text()
        assert "run any cell to keep it" in said.inner_text()
        picture(page, "idle-warning")
        run_next(page, "'kept'")
        said.wait_for(state="detached")
        later = patient(
            page.context.new_page()
        )  # loaded after the last cell: it has no place for the line
        later.goto(f"{server.url}/lab/tree/Untitled.ipynb?reset")
        ended = page.locator(PANEL).get_by_text(
            "this kernel has ended, as no cell had run for 10 s"
        )
        ended.wait_for()
        picture(page, "idle-ended")
        later.locator(".jp-LogConsoleStatusItem").click()
        later.locator(".jp-LogConsolePanel").get_by_text("this kernel has ended").wait_for()
        picture(later, "idle-later")
        page.locator("[data-id=jp-running-sessions]").click()
        page.get_by_title("Refresh List").click()  # JupyterLab looks by itself every ten seconds
        page.locator(f"{PANEL} .jp-KernelName", has_text="No Kernel").wait_for()
        run_next(page, "'a new one'")
        page.locator(f"{PANEL} .jp-OutputArea-output pre", has_text="a new one").wait_for()


def run_next(page, code):
    """Run `code` in the last cell, which JupyterLab has added below the one that ran before."""
    page.locator(f"{PANEL} .jp-Notebook .cm-content").last.click()
    page.keyboard.insert_text(code)
    page.keyboard.press("Shift+Enter")
