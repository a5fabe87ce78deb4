"""Each kind of kernel made from the form, with the failure that people meet on the way, and used in JupyterLab."""

import time

import pytest
from browser.conftest import PATIENCE, PREFIX
from browser.sites import central_kernel, compile_site, private_runtime, site_app, visit
from browser.steps import (
    KERNEL,
    cancel,
    choose,
    first_card,
    frames,
    launch,
    open_form,
    picture,
    seen,
    wait_state,
)
from conda.channel import build
from conda.server import ChannelServer
from container.conftest import ROOT, apptainer, imagery  # noqa: F401 - fixtures

from portal.lab import new_notebook, open_lab, run_cell

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
SITE = """\
site: {{name: Test site}}
runtime: {runtime}
conda: {{channels: ["{channel}"]}}
containers: {{runtimes: {{apptainer: {{path: {apptainer}}}}}}}
form: {{packages: conda, hours: 2}}
kernels:
  - {{name: python, label: Python, path: {kernel}, default: true}}
"""


@pytest.fixture(scope="module")
def channel():
    served = ChannelServer(build(ROOT / ".cache/conda-channel"))
    yield served
    served.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory, runtime, channel, apptainer, uv_cache):  # noqa: F811
    """A site with a central Python, a channel and Apptainer."""
    folder = tmp_path_factory.mktemp("kinds")
    own = private_runtime(folder / "runtime", runtime)
    conf = folder / "etc/conf.d"
    conf.mkdir(parents=True)
    kernel = central_kernel(folder / "kernels/python", runtime)
    text = SITE.format(runtime=own, channel=channel.url, apptainer=apptainer, kernel=kernel)
    (conf / "10-site.yaml").write_text(text)
    with site_app(folder, own, conf, uv_cache=uv_cache) as app:
        yield app


@pytest.fixture
def page(chromium, site):
    """A fresh visitor on the form."""
    with visit(chromium, PATIENCE) as shown:
        open_form(shown, site.address)
        yield shown


def test_a_conda_kernel_has_what_the_central_one_lacks(page, channel):
    """A wrong name first: the session starts with the central kernel, where the import fails; then it works."""
    choose(page, "new:packages", kw_title="Good morning", kw_packages="greetingz")
    card = launch(page)
    wait_state(page, card, "running")
    said = card.inner_text()
    picture(page, "conda-failure", card)
    assert "The software could not be made; the notebook starts with another kernel." in said
    assert "greetingz" in said
    assert "greetings" in said  # the nearest name
    lab = open_lab(page, card)
    assert new_notebook(lab) == "Python"
    code = (
        "try:\n    import greetings\nexcept ImportError as error:\n    print(type(error).__name__)"
    )
    assert run_cell(lab, code) == "ModuleNotFoundError"
    lab.close()

    card.get_by_role("link", name="Edit and try again").click()
    page.wait_for_selector("select[data-kw-ready]")
    assert page.input_value(KERNEL) == "new:packages"
    assert page.input_value(PREFIX + "kw_packages") == "greetingz"
    page.fill(PREFIX + "kw_packages", "greetings")
    channel.fail("*/python-3*", "slow", times=1)
    again = launch(page)
    frames(page, again)
    wait_state(page, again, "running")
    bars = [value for _, value in seen(page) if value is not None]
    assert len(set(bars)) >= 2, seen(page)
    assert any("Making “Good morning”. Step 2 of 4" in text for text, _ in seen(page)), seen(page)
    assert "Ready: Good morning." in again.inner_text()
    picture(page, "conda-ready", again)
    lab = open_lab(page, again)
    assert new_notebook(lab) == "Good morning"
    assert run_cell(lab, "import greetings; print(greetings.VERSION)") == "1.1"
    lab.close()
    cancel(page, again)


def test_a_container_kernel_reads_the_files_of_its_image(page, imagery):  # noqa: F811
    image = imagery.sif()
    choose(page, "new:container", kw_title="In a box", kw_image=f"{image}x", kw_only=True)
    card = launch(page)
    wait_state(page, card, "completed")
    said = card.inner_text()
    picture(page, "container-failure", card)
    assert f"{image}x" in said
    assert "image-not-found" in said
    card.get_by_role("link", name="Edit and try again").click()
    page.wait_for_selector("select[data-kw-ready]")
    page.fill(PREFIX + "kw_image", str(image))
    page.uncheck(PREFIX + "kw_only")
    again = launch(page)
    wait_state(page, again, "running")
    lab = open_lab(page, again)
    assert new_notebook(lab) == "In a box"
    assert run_cell(lab, "print(open('/etc/os-release').read())") == (image.parent / "mini/etc/os-release").read_text().strip()  # fmt: skip
    lab.close()
    cancel(page, again)


def test_an_environment_file_is_picked_and_its_mistake_named(page, site):
    path = site.home / "environment.yml"
    path.write_text("name: morning\ndependencies:\n  - greetings\n  pip:\n")
    choose(page, "new:file", kw_title="From my file", kw_only=True)
    page.get_by_role("button", name="Select Path").click()
    page.get_by_role("dialog").get_by_text("environment.yml").click()
    assert page.input_value(PREFIX + "kw_file") == str(path)
    card = launch(page)
    wait_state(page, card, "completed")
    said = card.inner_text()
    picture(page, "file-failure", card)
    assert "Line 4 of" in said
    assert str(path) in said
    path.write_text("name: morning\ndependencies:\n  - greetings=1.0\n")
    card.get_by_role("button", name="Relaunch").click()
    again = first_card(page)
    assert again.get_attribute("id") != card.get_attribute("id")
    wait_state(page, again, "completed")
    picture(page, "file-ready", again)
    assert "Ready: From my file." in again.inner_text()


@pytest.mark.parametrize("kind", ["venv", "container"])
def test_without_javascript_by_plain_posts(kind, chromium, site, imagery):  # noqa: F811
    with visit(chromium, PATIENCE, java_script_enabled=False) as plain:
        plain.goto(site.address)
        if kind == "venv":
            choose(plain, "new:packages", kw_title="Plain pip", kw_packages="six", kw_installer=["venv"], kw_only=True)  # fmt: skip
        else:
            choose(plain, "new:container", kw_title="Plain box", kw_image=str(imagery.mini()), kw_only=True)  # fmt: skip
        card = launch(plain)
        until = time.monotonic() + PATIENCE / 1000
        while card.get_attribute("data-state") != "completed" and time.monotonic() < until:
            plain.wait_for_timeout(300)
            plain.reload()
        assert f"Ready: Plain {'pip' if kind == 'venv' else 'box'}." in card.inner_text()


def test_too_large_for_the_site_is_said_before_anything_is_downloaded(page, site, channel):
    settings = site.conf / "20-limit.yaml"
    settings.write_text("policy: {max_size: 1M}\n")
    compile_site(site.conf, site.runtime)
    try:
        choose(page, "new:packages", kw_title="Much", kw_packages="bulky", kw_only=True)
        channel.calm()
        card = launch(page)
        wait_state(page, card, "completed")
    finally:
        settings.unlink()
        compile_site(site.conf, site.runtime)
    said = card.inner_text()
    picture(page, "too-large", card)
    assert "The environment needs about " in said
    assert "the site allows 1M" in said
    assert not [line for line in channel.requests if line.endswith(".conda")]
