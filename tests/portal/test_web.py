"""What the preview serves besides pages: files, the proxy, and to whom."""

import json
import os
import re
from types import SimpleNamespace

import aiohttp
import pytest

from portal.client import NAME, PreviewError
from portal.settings import BASE
from portal_tools import FIXTURE, POST, portal, visit


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
