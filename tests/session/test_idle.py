"""`limits.idle` for kernels on the session's node: the warning in each open page, and what comes after it.

One server and all kernels at once, as the clock decides: the story is told first, the tests read it.
"""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from session.bare import PATIENCE, Page, serve
from session.ood import wait_for

LIMIT = 8  # seconds: looked at every second, warned after 4
OWN = 'c.ServerApp.jpserver_extensions = {"jupyter_lsp": False}'
WITHOUT_HOOKS = """
from jupyter_server.serverapp import ServerWebApplication as App
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler as Handler

Handler.kernel_websocket_connection_class = ZMQChannelsWebsocketConnection
settings = App.init_settings
def without(*words, **options):
    made = settings(*words, **options)
    made.pop("kernel_websocket_connection_class", None)
    return made
App.init_settings = without
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Kernels of all sorts that begin to idle at about the same time; what each page was told until the last is over."""
    folder = tmp_path_factory.mktemp("idle")
    with (
        serve(folder / "server", LIMIT, OWN) as server,
        serve(folder / "plain", LIMIT // 2, WITHOUT_HOOKS) as without,
    ):
        plain = SimpleNamespace(page=Page(without, without.start()), alone=without.start())
        plain.page.run("1")
        alone = server.start()
        pages, cells = {}, {}
        for name in ("r", "bash", "broker", "again", "busy", "python3", "kept"):
            if name == "r" and not shutil.which("R"):
                continue
            spec = name if name in {"python3", "broker", "bash", "r"} else "python3"
            pages[name] = Page(server, server.start(spec))
            cells[name] = pages[name].run("1+1" if name != "busy" else "1")
        pages["json"] = Page(server, pages["python3"].kernel, protocol=None)
        cells["json"] = pages["json"].run("2")
        pages["json"].run("3", store_history=False)  # an extension asks something: it has no cell
        pages["bare"] = Page(server, pages["python3"].kernel)
        pages["busy"].run("import time; time.sleep(600)", wait=False)
        pages["again"].close()
        pages["again"] = Page(server, pages["again"].kernel, session=pages["again"].session)
        before = server.kernels()[pages["python3"].kernel]["last_activity"]
        wait_for(lambda: pages["kept"].lines, PATIENCE, lambda: server.log)
        cells["last"] = pages["kept"].run("2")
        wait_for(lambda: len(pages["kept"].lines) > 1, PATIENCE, lambda: server.log)
        wait_for(lambda: pages["python3"].lines, PATIENCE, lambda: server.log)
        warned = server.kernels()
        idle = [page.kernel for name, page in pages.items() if name not in {"kept", "busy", "broker"}]  # fmt: skip
        wait_for(lambda: not set(idle) & set(server.kernels()), PATIENCE, lambda: server.log)
        wait_for(lambda: len(pages["kept"].lines) > 2, PATIENCE, lambda: server.log)
        left = server.kernels()
        plain.left, plain.log = without.kernels(), without.log
        for page in [*pages.values(), plain.page]:
            page.close()
        yield SimpleNamespace(
            pages=pages, cells=cells, before=before, warned=warned, left=left, alone=alone, plain=plain, log=server.log,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["python3", "json", "bash", "r", "again"])
def test_a_page_is_warned_below_its_last_cell_and_told_why_its_kernel_ended(story, name):
    if name not in story.pages:
        pytest.skip("R is missing")
    (first, last) = story.pages[name].lines
    assert first[:2] == ("display_data", story.cells[name])
    assert "this kernel ends at" in first[2] and "no cell has run for" in first[2]
    assert "run any cell to keep it" in first[2]
    assert last[:2] == ("update_display_data", story.cells[name])
    assert "this kernel has ended, as no cell had run for 8 s" in last[2]
    assert "run any cell to start a new one" in last[2]
    assert story.pages[name].kernel not in story.left


def test_a_page_without_a_cell_is_told_too(story):
    """As an answer to the page itself: JupyterLab shows what is on iopub only in its cell."""
    (first, last) = story.pages["bare"].lines
    assert first[:2] == last[:2] == ("display_data", "")
    assert "this kernel ends at" in first[2] and "this kernel has ended" in last[2]


def test_the_warning_is_no_activity(story):
    assert story.warned[story.pages["python3"].kernel]["last_activity"] == story.before


def test_a_cell_keeps_the_kernel_and_takes_the_warning_away(story):
    warning, taken_away, again = story.pages["kept"].lines
    assert warning[:2] == ("display_data", story.cells["kept"]) and warning[2]
    assert taken_away == ("update_display_data", story.cells["kept"], "")
    assert again[:2] == ("display_data", story.cells["last"])
    assert story.pages["kept"].kernel in story.left


@pytest.mark.parametrize("name", ["busy", "broker"])
def test_a_busy_kernel_and_a_slurm_kernel_are_left_alone(story, name):
    assert story.pages[name].lines == []
    assert story.pages[name].kernel in story.left


def test_a_kernel_that_nobody_has_open_ends_quietly(story):
    assert story.alone not in story.left
    assert f"({story.alone}) with 0 connections" in story.log
    assert f"kernel {story.alone}" not in story.log and "Traceback" not in story.log


def test_the_extensions_of_the_user_stay_as_they_are(story):
    assert "jupyterlab | extension was successfully loaded" in story.log
    assert "jupyter_lsp | extension was successfully loaded" in story.plain.log
    assert "jupyter_lsp | extension was successfully loaded" not in story.log


def test_a_server_without_the_hooks_starts_and_ends_only_what_nobody_has_open(story):
    assert story.plain.alone not in story.plain.left
    assert story.plain.page.kernel in story.plain.left and story.plain.page.lines == []
    assert "kernels end without a warning" in story.plain.log
    assert "Traceback" not in story.plain.log
