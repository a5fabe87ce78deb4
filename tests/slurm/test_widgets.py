"""papermill and ipywidgets, as they are, with a kernel that is in a Slurm job."""

import subprocess
import sys

import nbformat
import pytest

from portal.lab import patient
from slurm.notebook import LAUNCH
from slurm.test_jupyterlab import CHROMIUM, FLAGS, serve  # noqa: F401

# the kernel's environment is this one: it has ipywidgets
OWN = LAUNCH.replace("{python}", sys.executable)
WIDGETS = """\
import ipywidgets as widgets
from IPython.display import display
slider = widgets.IntSlider(value=1, description="n", layout=widgets.Layout(width="400px"))
said = widgets.Label("nothing yet")
out = widgets.Output()
@out.capture()
def moved(change):
    print("the kernel saw", change["new"])
    said.value = f"six times {change['new']} is {change['new'] * 6}"
slider.observe(moved, "value")
display(slider, said, out)
"""


def book(*cells):
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "demo", "display_name": "demo", "language": "python"}},
    )


def test_papermill(bench):
    """Parameters in, outputs out; papermill runs its engine in a process of its own as people do."""
    bench.kernel(slurm={"partition": "debug"}, launch=OWN)
    source = book("number = 1", "import os; print(os.environ['SLURM_JOB_ID'], number * 6)")
    source.cells[0].metadata["tags"] = ["parameters"]
    given, made = bench.folder / "given.ipynb", bench.folder / "made.ipynb"
    nbformat.write(source, given)
    words = ["-m", "papermill", given, made, "-p", "number", "7", "--no-progress-bar"]
    done = subprocess.run([sys.executable, *words], env=bench.environ, capture_output=True, text=True, timeout=200)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (output,) = nbformat.read(made, 4).cells[-1].outputs
    job, number = output.text.split()
    assert job.isdigit() and number == "42"
    bench.cluster.wait_no_jobs()


@pytest.mark.browser
def test_a_slider_moved_in_jupyterlab(bench):
    """The browser's comm messages reach the kernel in the job, and its answers the browser."""
    from playwright.sync_api import expect, sync_playwright

    bench.kernel(slurm={"partition": "debug"}, launch=OWN)
    with serve(bench, book(WIDGETS)) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = patient(browser.new_page(viewport={"width": 1200, "height": 800}))
            expect.set_options(timeout=120_000)
            page.goto(f"{address}/lab/tree/book.ipynb?reset")
            expect(page.locator("#jp-main-statusbar")).to_contain_text("demo | Idle")
            page.locator(".jp-NotebookPanel .jp-Cell .cm-content").first.click()
            page.keyboard.press("Shift+Enter")
            output = page.locator(".jp-NotebookPanel .jp-Cell .jp-Cell-outputArea").first
            expect(output).to_contain_text("nothing yet")
            output.locator(".noUi-handle").focus()
            page.keyboard.press("ArrowRight")
            expect(output).to_contain_text("the kernel saw 2")
            expect(output).to_contain_text("six times 2 is 12")
            expect(output.locator(".widget-readout")).to_have_text("2")
        finally:
            browser.close()
