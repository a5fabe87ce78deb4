"""JupyterLab's own pages, as a person uses them: the menu, the kernel dialog, a cell."""


def open_lab(page, card):
    """Press Connect on the card; the new window once JupyterLab stands."""
    with page.expect_popup() as popup:
        card.get_by_role("button", name="Connect to Jupyter").click()
    lab = popup.value
    lab.set_default_timeout(240_000)
    lab.wait_for_selector("#jp-main-dock-panel")
    lab.wait_for_selector(".jp-Launcher, .jp-NotebookPanel")
    return lab


def new_notebook(lab):
    """File > New > Notebook; returns the display name of the kernel that it starts with, unasked."""
    lab.get_by_role("menubar").get_by_text("File", exact=True).click()
    lab.locator(".lm-Menu-itemLabel", has_text="New").first.hover()
    lab.locator('.lm-Menu-item[data-command="notebook:create-new"]').first.click()
    lab.wait_for_function("() => ![null, undefined, '', 'No Kernel'].includes(document.querySelector('.jp-KernelName')?.innerText)")
    return lab.locator(".jp-KernelName").first.inner_text()


def run_cell(lab, code):
    """Type `code` into the first cell, run it, and return what it printed."""
    lab.wait_for_selector(".jp-Notebook .cm-content")
    lab.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]")
    lab.locator(".jp-Notebook .cm-content").first.click()
    lab.keyboard.type(code)
    lab.keyboard.press("Shift+Enter")
    output = lab.locator(".jp-OutputArea-output pre").first
    output.wait_for()
    return output.inner_text().strip()
