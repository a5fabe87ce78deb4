"""The preview does what the dashboard does: each rule that it imitates, with the test that shows it."""

import asyncio
import json
import os
import re
import stat
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from portal_tools import FIXTURE, portal

from portal.client import NAME, Person, PreviewError, words
from portal.settings import BASE

RULES = {
    "form.yml.erb is plain ERB without a binding; __dir__ is the app's folder": "test_form_binding",
    "form.yml.erb is evaluated at each page up to 4.1, once per process from 4.2 on": "test_how_often_the_form_is_evaluated",
    "YAML is safe: no aliases, dates and symbols": "test_yaml_is_safe",
    "ids that Ruby's objects have are refused; a null option is an error page, never a crash": "test_bad_forms_become_alerts",
    "a scalar attribute is fixed: no widget, not settable, not in user_defined_context.json, but in the bindings": "test_fixed_values",
    "widgets, ids, names and wrappers": "test_widgets",
    "select options: flat, with data, and in groups; the first entry decides": "test_option_groups",
    "values are not validated by the server: no min, no max, no membership": "test_values_are_not_validated",
    "lists are dropped; all values are text": "test_lists_are_dropped",
    "raise in submit.yml.erb is a red box with the text in <pre>, values kept, nothing staged": "test_submit_errors",
    "unknown names in submit are nil; staged_root is known": "test_submit_binding",
    "smart attributes give their part of the job, submit.yml.erb is merged over it": "test_smart_attributes",
    "an app without a cluster cannot be launched": "test_a_form_without_a_cluster",
    "last values are remembered, not those with cacheable: false": "test_last_values",
    "staging like rsync: modes and links kept, .erb rendered with the mode of the .erb file": "test_staging",
    "the job: before sourced, script run, after sourced, connection.yml, clean sourced, in this order": "test_order_of_the_job",
    "clean_up 1 in before.sh ends the job; the card is Completed, never failed": "test_a_failing_before",
    "cards: info in every state, view while running, completed at the end; HTML unescaped through markdown": "test_cards",
    "a view that raises says so on its card only": "test_a_failing_before",
    "relaunch posts the old answers without the form": "test_relaunch",
    "edit opens the form with the values of that session": "test_edit",
    "cancel sends TERM and clean.sh does not run; the walltime does the same": "test_cancel",
    "delete drops the card and keeps the staged root": "test_relaunch",
    "/files/fs gives raw bytes; a missing file is a redirect to its folder": "test_files",
    "/node proxies same origin with Host kept; cookies of the dashboard and Authorization do not arrive": "test_proxy",
    "WebSockets through the proxy": "test_websockets",
    "other hosts and dead ports": "test_proxy",
    "the preview is for whoever got its address: key, host name, authenticity token": "test_only_with_the_key",
    "every page says that it is a preview": "test_every_page_says_preview",
    "content security policy on: a header that blocks inline scripts and styles (tests/browser shows the effect)": "test_content_security_policy",
    "dynamic forms on: the script is loaded (tests/browser shows the effect)": "test_content_security_policy",
}  # fmt: skip
POST = f"{BASE}/batch_connect/sys/kernelwright/session_contexts"


def test_every_rule_has_its_test():
    assert [test for test in RULES.values() if test not in globals()] == []


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    home = tmp_path_factory.mktemp("portal-home")
    with portal(home, "--poll", "1", app=FIXTURE) as address:
        yield SimpleNamespace(home=home, address=address)


def visit(place, action):
    """Run `action(person)`."""

    async def go():
        async with Person(place.address) as person:
            return await action(person)

    return asyncio.run(go())


def render(app, action="evaluate", **more):
    done = subprocess.run(
        ["ruby", FIXTURE.parent.parent.parent / "portal/render.rb"], input=json.dumps({"action": action, "app": str(app), **more}),
        capture_output=True, text=True, timeout=60, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def app_with(tmp_path, form):
    (tmp_path / "manifest.yml").write_text("name: x\nrole: batch_connect\n")
    (tmp_path / "form.yml").write_text(form)
    return tmp_path


def test_form_binding():
    definition = render(FIXTURE)["definition"]
    assert definition["attributes"]["shout"]["value"] == str(FIXTURE)


def test_how_often_the_form_is_evaluated(tmp_path):
    counts = {}
    for release in ("4.1", "4.2"):
        counter = tmp_path / release
        app = tmp_path / f"app{release}"
        app.mkdir()
        app_with(app, "")
        (app / "form.yml").unlink()
        (app / "form.yml.erb").write_text(
            f'<%- File.open("{counter}", "a") {{ |f| f.puts 1 }} -%>\ncluster: "*"\nform: []\n'
        )
        with portal(tmp_path, "--release", release, app=app) as address:
            visit(SimpleNamespace(address=address), Person.form)
            visit(SimpleNamespace(address=address), Person.form)
        counts[release] = len(counter.read_text().splitlines())
    assert counts["4.2"] == 1
    assert counts["4.1"] >= 4


@pytest.mark.parametrize(
    "yaml",
    [
        "form: [a]\nattributes: {a: &x {value: 1}, b: *x}",
        "form: [a]\nattributes: {a: {value: 2024-01-01}}",
        "form: [a]\nattributes: {a: {value: :sym}}",
        "form: [a\n",
    ],
)
def test_yaml_is_safe(tmp_path, yaml):
    answer = render(app_with(tmp_path, yaml))
    assert "error" in answer


@pytest.mark.parametrize(
    "form",
    ["form: [method]", "form: x", "form: [a]\nattributes: 3", "form: [Display]", "form: ['a b']"],
)
def test_bad_forms_become_alerts(tmp_path, form):
    assert render(app_with(tmp_path, form))["error"]
    definition = {"form": ["a"], "attributes": {"a": {"widget": "select", "options": [None]}}}
    assert "nil" in render(tmp_path, "form", definition=definition)["error"]


def test_fixed_values(place):
    async def launch(person):
        return await person.launch(kind="fail", fx_fixed="changed")

    card = visit(place, launch)
    context = json.loads((root_of(place, card) / "user_defined_context.json").read_text())
    assert "fx_fixed" not in context
    assert "before fail here" in log_of(place, card, "before")


def root_of(place, card):
    return place.home / "ondemand/data/sys/dashboard/batch_connect/sys/kernelwright/output" / card


def log_of(place, card, word, seconds=60):
    """output.log once `word` stands in it."""
    until = time.monotonic() + seconds
    log = root_of(place, card) / "output.log"
    while not (log.exists() and word in log.read_text()):
        assert time.monotonic() < until, log.read_text() if log.exists() else "no log"
        time.sleep(0.05)
    return log.read_text()


def test_widgets(place):
    page, values = visit(place, Person.form)
    for field in ("kind", "word", "level", "box", "once", "bc_num_hours", "shout"):
        assert f'id="batch_connect_session_context_{field}_wrapper"' in page
        assert f'name="{NAME}[{field}]"' in page
        assert f'for="batch_connect_session_context_{field}"' in page
    assert "fx_fixed" not in page
    assert '<input type="hidden" name="batch_connect_session_context[box]" value="0">' in page
    assert 'data-hide-shout-when-un-checked="true"' in page
    assert 'min="1" max="9"' in page
    assert "<code>two</code>" in page
    assert "Quick &lt;b&gt;" in page
    assert "Fixture &lt;app&gt;" in page
    assert values[f"{NAME}[cluster]"] == "preview"
    assert values[f"{NAME}[kind]"] in {"quick", "fail"}
    assert 'data-hide-word="true"' in page
    assert 'document.body.dataset.formjs = "ran";' in page


def test_option_groups():
    def select(options, value=""):
        definition = {
            "form": ["a"],
            "attributes": {"a": {"widget": "select", "options": options, "value": value}},
        }
        return render(FIXTURE, "form", definition=definition)["html"]

    grouped = select(
        [
            ["Central", [["Py <3>", "py", {"data-x": "1"}], "plain"], {"data-g": "x"}],
            ["Mine", [["R", "r"]]],
        ],
        "r",
    )
    assert (
        '<optgroup label="Central" data-g="x"><option data-x="1" value="py">Py &lt;3&gt;</option><option value="plain">plain</option></optgroup>'
        in grouped
    )
    assert '<option selected="selected" value="r">R</option>' in grouped
    flat = select([["Py", "py"], ["Mine", [["R", "r"]]]])
    assert "optgroup" not in flat


def test_values_are_not_validated(place):
    async def launch(person):
        return await person.launch(kind="$(no such kind)", level="9", bc_num_hours="99")

    card = visit(place, launch)
    context = json.loads((root_of(place, card) / "user_defined_context.json").read_text())
    assert context["kind"] == "$(no such kind)"
    options = json.loads((root_of(place, card) / "job_script_options.json").read_text())
    assert options["script"]["wall_time"] == 99 * 3600
    visit(place, lambda person: person.act(card, "delete"))


def test_lists_are_dropped(place):
    async def launch(person):
        _, values = await person.form()
        data = [(k, v) for k, v in values.items() if not k.endswith("[word]")]
        data += [
            (f"{NAME}[word][]", "a"),
            (f"{NAME}[word][]", "b"),
            (f"{NAME}[unknown]", "x"),
            (f"{NAME}[kind]", "fail"),
        ]
        await person.text("POST", POST, data=data)
        return next(iter(await person.cards()))

    context = json.loads(
        (root_of(place, visit(place, launch)) / "user_defined_context.json").read_text()
    )
    assert context["word"] == ""
    assert "unknown" not in context
    assert all(isinstance(value, str) for value in context.values())


def test_submit_errors(place):
    async def launch(person):
        _, values = await person.form()
        values |= {
            f"{NAME}[level]": "many <b>",
            f"{NAME}[word]": "kept\n<i>words</i>",
            f"{NAME}[kind]": "slow",
        }
        return await person.text("POST", POST, data=values)

    before = set(root_of(place, "").glob("*"))
    page = visit(place, launch)
    assert (
        "<h4>save</h4><pre>The level must be a digit\nyou typed &lt;many &lt;b&gt;&gt;</pre>"
        in page
    )
    assert "kept\n&lt;i&gt;words&lt;/i&gt;" in page
    assert re.search(r'<option selected="selected"[^>]* value="slow">', page)
    assert set(root_of(place, "").glob("*")) == before


def test_submit_binding(place):
    async def launch(person):
        return await person.launch(kind="fail")

    options = json.loads(
        (root_of(place, visit(place, launch)) / "job_script_options.json").read_text()
    )
    assert options["script"]["native"] == ["nil", "here", 36]


def test_smart_attributes():
    definition = {
        "form": ["bc_num_hours", "bc_queue", "bc_account", "auto_qos", "bc_num_slots"],
        "cluster": "*",
        "attributes": {"bc_queue": {"value": "q"}},
    }
    answer = render(
        FIXTURE.parent / "none",
        "submit",
        definition=definition,
        clusters=["c"],
        staged_root="/x",
        values={"bc_account": "IHAx"},
    )
    assert answer["options"] == {
        "cluster": "c", "script": {"wall_time": 3600, "queue_name": "q", "accounting_id": "p1", "qos": None, "native": ["-N", "1"]},
    }  # fmt: skip


def test_a_form_without_a_cluster():
    for cluster in ({}, {"cluster": "other*"}):
        answer = render(
            FIXTURE.parent / "none",
            "submit",
            definition={"form": [], "attributes": {}, **cluster},
            clusters=["c"],
            staged_root="/x",
        )
        assert answer["error"] == "The cluster was never set."


def test_last_values(place):
    async def launch(person):
        await person.launch(kind="fail", word="remember <me>", once="forget me")
        return await person.form()

    page, values = visit(place, launch)
    assert values[f"{NAME}[word]"] == "remember <me>"
    assert values[f"{NAME}[kind]"] == "fail"
    assert values[f"{NAME}[once]"] == ""
    assert "remember &lt;me&gt;" in page


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


def test_files(place):
    (place.home / "data").mkdir(exist_ok=True)
    (place.home / "data/index.json").write_text('{"a": 1}')

    async def go(person):
        async def get(path, **headers):
            async with person._http.get(
                f"{person.root}{BASE}/files/fs{path}", headers=headers
            ) as answer:
                return (
                    answer.status,
                    answer.headers["Content-Type"],
                    len(answer.history),
                    await answer.text(),
                )

        return [
            await get(f"{place.home}/data/index.json", Accept="*/*"), await get(f"{place.home}/data/gone.json", Accept="*/*"), await get(f"{place.home}/data/gone.json", Accept="application/json"),
            await get("/etc/passwd"), await get(f"{place.home}/../../etc/passwd"),
        ]  # fmt: skip

    there, missing, other, outside, _ = visit(place, go)
    assert there == (200, "application/json", 0, '{"a": 1}')
    assert (missing[0], missing[1].split(";")[0], missing[2]) == (200, "text/html", 1)
    assert other[0] == 200
    assert "files" in json.loads(other[3])
    assert outside[0] == 403


def test_proxy(place):
    async def go(person):
        card = await person.launch(kind="slow")
        text = await person.wait(card, "running")
        path = re.search(r'action="(/node/[^"]+)"', text)[1]
        headers = {"Authorization": "Basic eA==", "Cookie": "other=1"}
        found = await person.text("GET", f"{path}a%20b?x=1%202", headers=headers)
        cookies = {c.key for c in person._http.cookie_jar}
        answers = []
        for wrong in ("/node/example.org/80/", "/node/127.0.0.1/1/", "/node/127.0.0.1/99999/"):
            async with person._http.get(person.root + wrong) as answer:
                answers.append(answer.status)
        await person.act(card, "delete")
        return path, person.root, found, cookies, answers

    path, root, found, cookies, wrong = visit(place, go)
    assert found == repr((f"{path}a%20b?x=1%202", root.removeprefix("http://"), "other=1", None))
    assert "app" in cookies
    assert wrong == [404, 503, 404]


def test_websockets(place):
    from aiohttp import web

    async def echo(request):
        socket = web.WebSocketResponse(protocols=["v1.kernel"], max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.data == "close":
                await socket.close()
            elif message.type is aiohttp.WSMsgType.TEXT:
                await socket.send_str(
                    message.data + f" {request.headers['Origin']} {socket.ws_protocol}"
                )
            else:
                await socket.send_bytes(message.data)
        return socket

    async def go(person):
        behind = web.Application()
        behind.router.add_get("/{tail:.*}", echo)
        runner = web.AppRunner(behind)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        big = os.urandom(5 << 20)
        url = f"{person.root}/node/127.0.0.1/{port}/x"
        try:
            async with person._http.ws_connect(
                url, protocols=["v1.kernel"], headers={"Origin": person.root}, max_msg_size=0
            ) as socket:
                await socket.send_str("hello")
                said = await socket.receive_str(timeout=60)
                await socket.send_bytes(big)
                same = await socket.receive_bytes(timeout=60) == big
                await socket.send_str("close")
                closed = await socket.receive(timeout=60)
        finally:
            await runner.cleanup()
        return said, same, closed.type, person.root

    said, same, closed, root = visit(place, go)
    assert said == f"hello {root} v1.kernel"
    assert same
    assert closed in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}


def test_only_with_the_key(place):
    async def go(person):
        root = person.root
        async with aiohttp.ClientSession() as stranger:
            seen = []
            for path, headers in (
                (f"{POST}/new", {}),
                ("/?key=wrong", {}),
                ("/node/127.0.0.1/80/", {}),
                (f"{BASE}/static/portal.css", {}),
                ("/", {"Host": "evil.example.org"}),
            ):
                async with stranger.get(
                    root + path, headers=headers, allow_redirects=False
                ) as answer:
                    seen.append(answer.status)
        with pytest.raises(PreviewError, match="authenticity token"):
            await person.text("POST", POST, data={f"{NAME}[kind]": "fail"})
        return seen

    assert visit(place, go) == [403, 403, 403, 403, 421]


def test_every_page_says_preview(place):
    async def go(person):
        return [
            (await person.form())[0],
            await person.text("GET", f"{BASE}/batch_connect/sessions"),
            await person.text("GET", f"{BASE}/files/fs{place.home}"),
        ]

    for page in visit(place, go):
        assert "This is a preview of the app on this machine, not an Open OnDemand." in page


def test_content_security_policy(tmp_path):
    async def go(person):
        async with person._http.get(f"{person.root}{POST}/new") as answer:
            return answer.headers.get("Content-Security-Policy", ""), await answer.text()

    with portal(tmp_path, "--csp", "--dynamic", app=FIXTURE) as address:
        policy, page = visit(SimpleNamespace(address=address), go)
    assert "script-src 'self';" in policy
    assert "unsafe-inline" not in policy
    assert "/static/dynamic.js" in page


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
