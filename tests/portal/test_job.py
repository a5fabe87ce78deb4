"""The preview stages, runs and shows a session as the dashboard does."""

import json
import os
import re
import stat
from pathlib import Path
from types import SimpleNamespace

from portal.client import words
from portal_tools import FIXTURE, POST, log_of, portal, root_of, visit


def test_staging(place):
    card = visit(place, lambda person: person.launch(kind="fail"))
    root = root_of(place, card)
    assert stat.S_IMODE((root / "script.sh").stat().st_mode) == stat.S_IMODE(
        (FIXTURE / "template/script.sh").stat().st_mode
    )
    assert (root / "deep/data.txt").read_text() == "kind=fail\n"
    assert os.readlink(root / "link.sh") == "script.sh"
    assert not list(root.rglob("*.erb"))
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o700
    assert {"job_script_content.sh", "job_script_options.json", "user_defined_context.json"} <= {
        p.name for p in root.iterdir()
    }
    record = json.loads(
        (place.home / "ondemand/data/sys/dashboard/batch_connect/db" / card).read_text()
    )
    assert record["token"] == "sys/kernelwright"


def test_order_of_the_job(place):
    async def go(person):
        card = await person.launch(kind="slow", word='it\'s "$HOME"\nline')
        await person.wait(card, "running")
        await person.act(card, "cancel")
        return card

    card = visit(place, go)
    log = log_of(place, card, "Generating connection")
    lines = [line.split()[0] for line in log.splitlines()]
    assert [w for w in lines if w in {"before", "Script", "script", "after", "port", "Generating"}] in (
        ["before", "Script", "script", "after", "port", "Generating"], ["before", "Script", "after", "script", "port", "Generating"],
    )  # fmt: skip
    root = root_of(place, card)
    assert f"before slow here nil 36 true {root}/before.sh /var/spool/slurmd" in log
    assert "script exported" in log
    connection = root / "connection.yml"
    assert stat.S_IMODE(connection.stat().st_mode) == 0o600
    assert re.fullmatch(
        r"extra: plain\nhost: 127\.0\.0\.1\nport: \d+\npassword: \w{12}\n", connection.read_text()
    )


def test_a_failing_before(place):
    async def go(person):
        card = await person.launch(kind="fail")
        return card, await person.wait(card, "completed")

    card, text = visit(place, go)
    assert "Completed" in text
    assert "Cannot render completed because of error: no view" in text
    assert "Connect" not in text
    assert (root_of(place, card) / "clean-ran").exists()
    assert not (root_of(place, card) / "connection.yml").exists()


def test_cards(place):
    async def go(person):
        card = await person.launch(kind="slow")
        running = await person.wait(card, "running")
        await person.act(card, "cancel")
        return running, await person.wait(card, "completed")

    running, completed = visit(place, go)
    assert "<p>kind slow running <b>36</b></p>" in running
    assert "Go plain with session nil" in running
    assert "<script>document.body.dataset.runs" in running
    assert "Host:" in running
    assert "<strong>done</strong>" in completed
    assert "this card will be retained" in words(completed)
    assert "Relaunch" in completed


def test_relaunch(place):
    async def go(person):
        card = await person.launch(kind="fail", word="again", once="kept for this one")
        await person.wait(card, "completed")
        await person.act(card, "relaunch")
        second = next(name for name in await person.cards() if name != card)
        await person.wait(second, "completed")
        await person.act(second, "delete")
        return second, await person.cards()

    second, cards = visit(place, go)
    context = json.loads((root_of(place, second) / "user_defined_context.json").read_text())
    assert (context["word"], context["once"]) == ("again", "kept for this one")
    assert second not in cards
    assert root_of(place, second).is_dir()


def test_edit(place):
    async def go(person):
        card = await person.launch(kind="fail", word="of that session")
        await person.launch(kind="fail", word="of a later one")
        return await person.text("GET", f"{POST}/new?session_id={card}")

    assert "of that session" in visit(place, go)


def test_cancel(place):
    async def go(person):
        card = await person.launch(kind="slow")
        await person.wait(card, "running")
        await person.act(card, "cancel")
        await person.wait(card, "completed")
        return card

    card = visit(place, go)
    assert not (root_of(place, card) / "clean-ran").exists()
    port = re.search(r"port: (\d+)", (root_of(place, card) / "connection.yml").read_text())[1]
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{int(port):04X} 00000000:0000 0A" not in listening


def test_nothing_is_left_running(tmp_path):
    with portal(tmp_path, app=FIXTURE) as address:

        async def go(person):
            card = await person.launch(kind="slow")
            await person.wait(card, "running")
            return card

        card = visit(SimpleNamespace(address=address), go)
    marks = [
        p for p in Path("/proc").glob("[0-9]*/environ") if _holds(p, f"PORTAL_JOB={card}".encode())
    ]
    assert marks == []


def _holds(path, mark):
    try:
        return mark in path.read_bytes()
    except OSError:
        return False
