"""What a person does with form and card, in words that the stories share."""

import os
from pathlib import Path

from browser.conftest import PREFIX

PICTURES = os.environ.get("KW_PICTURES")  # a folder that keeps screenshots of the stories
KERNEL = PREFIX + "kw_kernel"
LOOK = """id => { window.seen = []; const look = () => { const c = document.getElementById(id), info = c && c.querySelector(".ood-info"); if (!info) return;
  const bar = info.querySelector("progress"), shown = [info.innerText, bar ? bar.value : null]; if (JSON.stringify(shown) !== JSON.stringify(window.seen[window.seen.length - 1])) window.seen.push(shown); };
  look(); new MutationObserver(look).observe(document.getElementById("sessions"), {childList: true, subtree: true}); }"""


def open_form(page, address):
    """The form, once form.js has done its part."""
    page.goto(address)
    page.wait_for_selector("select[data-kw-ready]")


def choose(page, value, **answers):
    """Choose a line of the list and fill in fields by id; True ticks a box, a list picks from a select."""
    page.select_option(KERNEL, value)
    for name, answer in answers.items():
        if answer is True:
            page.check(PREFIX + name)
        elif isinstance(answer, list):
            page.select_option(PREFIX + name, answer)
        else:
            page.fill(PREFIX + name, answer)


def launch(page):
    """Press Launch; the new card, which is the first."""
    page.get_by_role("button", name="Launch").click()
    return first_card(page)


def first_card(page):
    """The newest card, held by its id: cards are replaced at every poll."""
    page.wait_for_url("**/batch_connect/sessions")
    card = page.locator("section.card").first
    card.wait_for()
    return page.locator("#" + card.get_attribute("id"))


def wait_state(page, card, state):
    """Wait until the card is in `state`; a session that ends instead says why."""
    selector = f'section.card[data-id="{card.get_attribute("data-id")}"]'
    page.wait_for_selector(f'{selector}[data-state="{state}"], {selector}[data-state="completed"]')
    assert card.get_attribute("data-state") == state, card.inner_text()


def frames(page, card):
    """Collect what the card says at each poll, in the page itself: nothing is missed."""
    page.evaluate(LOOK, card.get_attribute("id"))


def seen(page):
    """[text, value of the progress bar or None] of each different frame so far."""
    return page.evaluate("window.seen")


def cancel(page, card):
    """Press Cancel and wait for the end."""
    card.get_by_role("button", name="Cancel").click()
    wait_state(page, card, "completed")


def alert(page):
    """The text of the form's red box."""
    page.wait_for_selector("div.alert-danger")
    page.wait_for_selector("select[data-kw-ready]")
    return page.inner_text("div.alert-danger pre")


def picture(page, name, element=None):
    """Keep a screenshot, where somebody asked for them."""
    if PICTURES:
        target = element or page
        target.screenshot(
            path=Path(PICTURES) / f"{name}.png", **({} if element else {"full_page": True})
        )
