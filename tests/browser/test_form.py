"""The form in a real browser: what counts is shown, the list is fresh, everything by keyboard, axe has nothing serious."""

import json
import time

import pytest
from browser.conftest import PREFIX
from portal_tools import portal

pytestmark = pytest.mark.browser
KERNEL = PREFIX + "kw_kernel"
AXE = "async () => (await axe.run({resultTypes: ['violations']})).violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => [v.id, v.nodes.map(n => n.html)])"


def visible(page):
    """Ids of the fields that a person sees."""
    found = page.locator("[id^=batch_connect_session_context_][id$=_wrapper]:visible")
    return [
        item.get_attribute("id").removeprefix(PREFIX[1:]).removesuffix("_wrapper")
        for item in found.all()
    ]


def write_index(home, kernels):
    path = home / ".local/share/kernelwright/index.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"version": 1, "written_at": time.time() + 5, "host": "n", "kernels": kernels})
    )


def row(value, label, state="ok"):
    return {
        "value": value,
        "name": value.split(":")[-1].split("/")[-1],
        "label": label,
        "group": "Mine",
        "language": "python",
        "state": state,
        "problem": None,
    }


def options(page):
    return page.eval_on_selector(
        KERNEL,
        "s => Object.fromEntries([...s.children].map(g => [g.label, [...g.children].map(o => [o.text, o.value])]))",
    )


def test_only_what_counts_is_shown(page):
    ordinary = [
        "kw_kernel",
        "kw_ui",
        "kw_folder",
        "bc_num_hours",
        "bc_queue",
        "bc_account",
        "kw_cores",
        "kw_mem",
        "kw_more",
    ]
    assert visible(page) == ordinary
    page.select_option(KERNEL, "new:packages")
    assert [f for f in visible(page) if f not in ordinary] == ["kw_title", "kw_packages", "kw_only"]
    page.select_option(KERNEL, "new:file")
    assert [f for f in visible(page) if f not in ordinary] == ["kw_title", "kw_file", "kw_only"]
    page.check(PREFIX + "kw_only")
    page.select_option(KERNEL, "new:container")
    assert [f for f in visible(page) if f not in ordinary] == ["kw_title", "kw_image", "kw_only"]
    assert page.is_checked(PREFIX + "kw_only")
    page.select_option(KERNEL, "site:course-01")
    assert visible(page) == ordinary
    assert not page.is_checked(PREFIX + "kw_only")
    page.check(PREFIX + "kw_more")
    assert [f for f in visible(page) if f not in ordinary] == [
        "kw_other",
        "kw_modules",
        "kw_installer",
        "kw_qos",
        "kw_reservation",
        "kw_job",
    ]
    page.fill(PREFIX + "kw_modules", "gcc")
    page.uncheck(PREFIX + "kw_more")
    assert [f for f in visible(page) if f not in ordinary] == ["kw_modules"]


def test_a_fresh_list_without_a_new_page_of_the_server(page, app):
    """OOD 4.2 keeps the rendered form for hours: what was made since then shows all the same."""
    write_index(app.home, [
        row("user:fresh", "Fresh <img src=x onerror=window.pwned=1>"), row("user:wreck", "Wreck", "broken"), row("group:lab/tool", "Tool"), row("site:course-01", "not here"), row("user:last", "Last"), {"value": 3}, None,
    ])  # fmt: skip
    page.reload()
    page.wait_for_selector("select[data-kw-ready]")
    found = options(page)
    assert found["Mine"] == [
        ["Fresh <img src=x onerror=window.pwned=1>", "user:fresh"],
        ["Last", "user:last"],
        ["Wreck (does not start)", "user:wreck"],
    ]
    assert found["Shared with me"] == [["Tool (lab)", "group:lab/tool"]]
    assert list(found) == ["Central", "Mine", "Shared with me", "Make a new one"]
    assert found["Central"][0][1] == "site:course-01" or found["Central"][0][1] == "site:torch"
    page.select_option(KERNEL, "user:last")
    assert page.input_value(PREFIX + "kw_last") == "user:last"
    write_index(app.home, [])


def test_the_last_choice_is_taken_up_after_a_failed_launch(page, app):
    write_index(app.home, [row("user:mine", "Mine")])
    page.reload()
    page.wait_for_selector("select[data-kw-ready]")
    page.select_option(KERNEL, "user:mine")
    page.fill(PREFIX + "kw_folder", "no/slash")
    page.click("text=Launch")
    page.wait_for_selector("div.alert-danger")
    assert "Folder: “no/slash” does not begin with / or ~/." in page.inner_text(
        "div.alert-danger pre"
    )
    page.wait_for_selector("select[data-kw-ready]")
    assert page.input_value(KERNEL) == "user:mine"
    write_index(app.home, [])


def test_search_in_a_long_list(page):
    search = page.get_by_label("Search in the list of software")
    search.fill("course 2")
    assert "11 found" in page.inner_text(
        PREFIX + "kw_kernel_message"
    ) or "found" in page.inner_text(PREFIX + "kw_kernel_message")
    search.fill("course 27")
    assert page.inner_text(PREFIX + "kw_kernel_message") == "1 found"
    search.press("Enter")
    assert page.input_value(KERNEL) == "site:course-27"
    assert "session_contexts/new" in page.url
    search.fill("")
    assert len(options(page)["Central"]) == 31
    search.fill("nothing like this")
    assert page.inner_text(PREFIX + "kw_kernel_message") == "0 found"
    assert page.input_value(KERNEL) == "site:course-27"


def test_live_checks(page, app):
    write_index(app.home, [row("user:rna", "RNA")])
    page.reload()
    page.wait_for_selector("select[data-kw-ready]")
    page.select_option(KERNEL, "new:packages")
    page.fill(PREFIX + "kw_title", "Protein folding Ä 2")
    assert (
        page.inner_text(PREFIX + "kw_title_message")
        == "Its short name will be “protein-folding-a-2”."
    )
    page.fill(PREFIX + "kw_title", "RNA")
    assert "You have “rna” already" in page.inner_text(PREFIX + "kw_title_message")
    page.fill(PREFIX + "kw_packages", "numpy\npip install 'pandas>=2'\nimport os && x")
    page.press(PREFIX + "kw_packages", "Tab")
    assert page.inner_text(PREFIX + "kw_packages_message").startswith(
        "Line 3 does not look like a package"
    )
    page.select_option(KERNEL, "new:file")
    page.fill(PREFIX + "kw_file", str(app.home / "no.yml"))
    page.press(PREFIX + "kw_file", "Tab")
    page.wait_for_selector("text=There is no such file.")
    (app.home / "yes.yml").write_text("dependencies: [numpy]")
    page.fill(PREFIX + "kw_file", str(app.home / "yes.yml"))
    page.press(PREFIX + "kw_file", "Tab")
    page.wait_for_selector("text=There is no such file.", state="hidden")
    write_index(app.home, [])


def test_what_needs_a_gpu_follows_the_partition(page):
    page.select_option(KERNEL, "site:torch")
    assert page.inner_text(PREFIX + "bc_queue_message") == "The chosen software runs on: gpu."
    page.select_option(PREFIX + "bc_queue", "gpu")
    assert page.inner_text(PREFIX + "bc_queue_message") == ""


@pytest.mark.parametrize("state", ["ordinary", "new", "advanced", "error"])
def test_axe_finds_nothing_serious(page, axe, state):
    if state == "new":
        page.select_option(KERNEL, "new:packages")
        page.fill(PREFIX + "kw_title", "RNA")
    if state == "advanced":
        page.check(PREFIX + "kw_more")
    if state == "error":
        page.fill(PREFIX + "kw_folder", "x")
        page.click("text=Launch")
        page.wait_for_selector("div.alert-danger")
        page.wait_for_selector("select[data-kw-ready]")
    page.evaluate(axe)
    assert page.evaluate(AXE) == []


def test_help_texts_are_heard_with_their_fields(page):
    missing = page.eval_on_selector_all(
        "form [id^=batch_connect_session_context_kw_]:is(input:not([type=hidden]),select,textarea)",
        "all => all.filter(e => !e.labels.length && !e.getAttribute('aria-label') || !(e.getAttribute('aria-describedby') || e.type === 'search')).map(e => e.id)",
    )
    assert missing == []


def test_by_keyboard_alone(page):
    """From the top of the page to a refused launch and back, without a mouse."""
    page.focus(KERNEL)
    page.keyboard.type("From a list")
    assert page.input_value(KERNEL) == "new:packages"
    for value in ("Keys", "numpy | cat"):
        page.keyboard.press("Tab")
        page.keyboard.type(value)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.is_checked(PREFIX + "kw_only")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "commit":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("div.alert-danger")
    assert "Packages: line 1" in page.inner_text("div.alert-danger pre")
    assert page.input_value(PREFIX + "kw_title") == "Keys"
    assert page.input_value(KERNEL) == "new:packages"


def test_with_a_content_security_policy_the_dashboards_own_hiding_works(chromium, app):
    """form.js and inline scripts are dropped there; bc_dynamic_js reads the app's data-hide directives."""
    with portal(app.home, "--csp", "--dynamic", env=app.env) as address:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert page.get_attribute(KERNEL, "data-kw-ready") is None
        page.select_option(KERNEL, "new:packages")
        assert "kw_packages" in visible(page)
        assert "kw_image" not in visible(page)
        page.select_option(KERNEL, "site:course-01")
        assert "kw_packages" not in visible(page)
        assert (
            page.evaluate("getComputedStyle(document.querySelector('.btn-primary')).color")
            == "rgb(255, 255, 255)"
        )
        context.close()


def test_without_javascript_everything_is_there(plain):
    shown = visible(plain)
    for field in (
        "kw_kernel",
        "kw_title",
        "kw_packages",
        "kw_file",
        "kw_image",
        "kw_only",
        "kw_other",
        "kw_modules",
    ):
        assert field in shown
