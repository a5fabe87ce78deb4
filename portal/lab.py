"""JupyterLab's pages as a person uses them in a browser: Connect, the menu, a cell. For pictures and browser tests."""

from __future__ import annotations

import time
from typing import Any

PATIENCE = 240.0  # seconds
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"  # notebooks of an earlier session come back, in hidden tabs
NAMED = """before => { const panel = document.querySelector('%s'); return panel && !before.includes(panel.id)
 && ![undefined, '', 'No Kernel'].includes(panel.querySelector('.jp-KernelName')?.innerText); }"""


def open_lab(page: Any, card: Any) -> Any:
    """Press Connect on the card; the new window once JupyterLab stands."""
    with page.expect_popup() as popup:
        card.get_by_role("button", name="Connect to Jupyter").click()
    lab = patient(popup.value)
    lab.wait_for_selector("#jp-main-dock-panel")
    lab.wait_for_selector(".jp-Launcher:visible, .jp-NotebookPanel:visible")
    return lab


def patient(lab: Any) -> Any:
    """A page of JupyterLab on a busy machine, where its own 1.5 s for the theme's stylesheet may be too few."""
    lab.set_default_timeout(PATIENCE * 1000)
    theme = lab.get_by_role("dialog", name="Error Loading Theme")
    lab.add_locator_handler(theme, lambda shown: shown.get_by_role("button").last.click())
    return lab


def new_notebook(lab: Any) -> str:
    """File > New > Notebook; returns the display name of the kernel that it starts with, unasked."""
    before = lab.eval_on_selector_all(".jp-NotebookPanel", "all => all.map(one => one.id)")
    lab.get_by_role("menubar").get_by_text("File", exact=True).click()
    lab.locator(".lm-Menu-itemLabel", has_text="New").first.hover()
    lab.locator('.lm-Menu-item[data-command="notebook:create-new"]').first.click()
    lab.wait_for_function(NAMED % PANEL, arg=before)
    return str(lab.locator(f"{PANEL} .jp-KernelName").first.inner_text())


def run_cell(lab: Any, code: str) -> str:
    """Put `code` into the first cell, run it, and return what it printed.

    A cell that is run while the kernel still connects is dropped by JupyterLab: it is run again then.
    """
    cell = lab.locator(f"{PANEL} .jp-Notebook .cm-content").first
    output = lab.locator(f"{PANEL} .jp-OutputArea-output pre").first
    lab.wait_for_selector(f"{PANEL} .jp-Notebook-ExecutionIndicator[data-status=idle]")
    cell.click()
    lab.keyboard.insert_text(code)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        cell.click()
        lab.keyboard.press("Shift+Enter")
        pause = time.monotonic() + 20
        while time.monotonic() < pause:
            if output.count():
                return str(output.inner_text()).strip()
            lab.wait_for_timeout(100)
    raise TimeoutError("the cell did not answer")
