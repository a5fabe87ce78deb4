"""From the form to a cell, in a real browser: a new kernel, its progress, Connect, JupyterLab; and what fails on the way."""

import re

import pytest
from browser.conftest import PREFIX
from browser.steps import KERNEL, frames, launch, seen, wait_state

from portal.lab import new_notebook, open_lab, run_cell

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


def test_a_new_kernel_from_the_form_to_a_cell(page, app):
    page.select_option(KERNEL, "new:packages")
    page.fill(PREFIX + "kw_title", "RNA browser")
    page.fill(PREFIX + "kw_packages", "six")
    card = launch(page)
    frames(page, card)
    wait_state(page, card, "running")
    said = seen(page)
    assert any("Making “RNA browser”. Step" in text for text, _ in said), said
    assert (
        "Ready: RNA browser. Old notebooks keep their kernel: Kernel > Change Kernel > RNA browser"
        in card.inner_text()
    )
    lab = open_lab(page, card)
    assert new_notebook(lab) == "RNA browser"
    prefix = run_cell(lab, "import sys, six; print(sys.prefix)")
    assert prefix.startswith(str(app.home / ".local/share/kernelwright/kernels/"))
    lab.close()

    # the form offers it now, chosen, on a dashboard that keeps the rendered form for hours
    page.get_by_role("button", name="Cancel").click()
    wait_state(page, card, "completed")
    page.goto(app.address)
    page.wait_for_selector("select[data-kw-ready]")
    assert page.input_value(KERNEL) == "user:rna-browser"

    # and the same request again finds what was built: relaunch posts the old answers without the form
    page.goto(f"{page.url.split('/batch_connect')[0]}/batch_connect/sessions")
    page.locator("#" + card.get_attribute("id")).get_by_role("button", name="Relaunch").click()
    again = page.locator("section.card").first
    wait_state(page, again, "running")
    builds = list((app.home / ".local/share/kernelwright/kernels").glob("*/*/complete"))
    assert len(builds) == 1
    page.locator("section.card").first.get_by_role("button", name="Cancel").click()
    wait_state(page, page.locator("section.card").first, "completed")


def test_a_failure_says_why_and_leads_back(page, axe):
    page.select_option(KERNEL, "new:packages")
    page.fill(PREFIX + "kw_title", "Broken")
    page.fill(PREFIX + "kw_packages", "no-such-package-kernelwright-xyz")
    page.check(PREFIX + "kw_only")
    card = launch(page)
    wait_state(page, card, "completed")
    text = card.inner_text()
    assert "The session could not start" in text or "could not be made" in text
    assert "no-such-package-kernelwright-xyz" in card.inner_html()
    assert "Connect" not in text
    page.evaluate(axe)
    assert (
        page.evaluate(
            "async () => (await axe.run('section.card')).violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => [v.id, v.nodes.map(n => n.html)])"
        )
        == []
    )
    card.get_by_role("link", name="Edit and try again").click()
    page.wait_for_selector("select[data-kw-ready]")
    assert page.input_value(PREFIX + "kw_packages") == "no-such-package-kernelwright-xyz"
    assert page.input_value(PREFIX + "kw_title") == "Broken"
    assert page.input_value(KERNEL) == "new:packages"


def test_without_javascript_form_card_and_login(plain, app):
    plain.goto(app.address)
    plain.select_option(KERNEL, "site:course-01")
    plain.fill(PREFIX + "kw_other", "python3")
    plain.get_by_role("button", name="Launch").click()
    card = plain.locator("section.card").first
    for _ in range(600):
        if card.get_attribute("data-state") == "running":
            break
        assert card.get_attribute("data-state") != "completed", card.inner_text()
        plain.wait_for_timeout(200)
        plain.reload()
    with plain.expect_popup() as popup:
        card.get_by_role("button", name="Connect to Jupyter").click()
    popup.value.wait_for_load_state()
    assert re.search(r"/node/127\.0\.0\.1/\d+/lab", popup.value.url)
    popup.value.close()
    card.get_by_role("button", name="Cancel").click()
    assert plain.locator("section.card").count() >= 1
