"""A new kernel by keyboard alone: form, launch, Connect, JupyterLab, a cell. The mouse is never touched."""

import time

import pytest
from browser.conftest import PATIENCE, PREFIX
from browser.steps import KERNEL, first_card, picture, wait_state

from portal.lab import PANEL

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
HERE = "e => [e.id, e.name, e.innerText || e.value].map(text => (text || '').trim())"
READY = f"{PANEL} .jp-Notebook-ExecutionIndicator[data-status=idle]"


def tab_to(page, wanted):
    """Press Tab until the field, link or button called `wanted` (id, name or text) has the focus."""
    passed = []
    for _ in range(60):
        page.keyboard.press("Tab")
        here = page.evaluate(f"({HERE})(document.activeElement)")
        if wanted in here:
            return
        passed.append(here)
    raise AssertionError(f"{wanted} cannot be reached by Tab: {passed}")


def outlined(page):
    """Whether one sees where the focus is."""
    style = "(s => s.outlineStyle !== 'none' || s.boxShadow !== 'none')(getComputedStyle(document.activeElement))"
    return page.evaluate(style)


def run(lab):
    """Run the cell in which the focus is; again when JupyterLab dropped it because the kernel still connected."""
    output = lab.locator(f"{PANEL} .jp-OutputArea-output pre").first
    for _ in range(10):
        lab.keyboard.press("Control+Enter")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if output.count():
                return output.inner_text().strip()
            lab.wait_for_timeout(100)
    raise TimeoutError("the cell did not answer")


def test_a_new_kernel_by_keyboard_alone(page):
    tab_to(page, KERNEL[1:])
    assert outlined(page)
    page.keyboard.type("From a list")
    for name, answer in (("kw_title", "By keys"), ("kw_packages", "six")):
        tab_to(page, PREFIX[1:] + name)
        assert outlined(page)
        page.keyboard.type(answer)
    tab_to(page, "commit")
    assert outlined(page)
    page.keyboard.press("Enter")
    card = first_card(page)
    wait_state(page, card, "running")
    with page.expect_popup() as popup:
        tab_to(page, "Connect to Jupyter")
        assert outlined(page)
        page.keyboard.press("Enter")
    lab = popup.value
    lab.set_default_timeout(PATIENCE)
    lab.wait_for_selector(".jp-Launcher:visible, .jp-NotebookPanel:visible")
    lab.keyboard.press("Control+Shift+C")
    lab.wait_for_selector(".jp-ModalCommandPalette:visible")
    lab.keyboard.type("New Notebook")
    lab.keyboard.press("Enter")
    lab.wait_for_selector(f"{PANEL} .jp-KernelName:has-text('By keys')")
    lab.wait_for_selector(READY)
    lab.wait_for_function(
        "panel => document.activeElement.closest(panel) !== null", arg=PANEL
    )  # else keys would go elsewhere
    lab.keyboard.press("Enter")
    lab.wait_for_selector(f"{PANEL} .jp-Notebook.jp-mod-editMode")
    lab.keyboard.type("import six; print(6 * 7)")
    assert run(lab) == "42"
    picture(lab, "keyboard-lab")
    lab.close()
