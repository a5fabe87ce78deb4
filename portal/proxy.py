"""/node/HOST/PORT/: the dashboard's reverse proxy, with WebSockets, same origin, path unchanged."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

HOST = re.compile(r"127\.0\.0\.1|localhost")  # host_regex: this machine only
HOP = {
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "authorization",
}
COOKIE = "portal_key"
CHUNK = 1 << 16
WEBSOCKET = {
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
}
SESSION = web.AppKey("proxy_session", aiohttp.ClientSession)


async def handle(request: web.Request) -> web.StreamResponse:
    """Pass one request on; 404 for other hosts, 503 while nothing listens there."""
    host, port = request.match_info["host"], request.match_info["port"]
    if not HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise web.HTTPNotFound(text="this host is not allowed by host_regex")
    url = f"http://{host}:{int(port)}{request.raw_path}"
    try:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _websocket(request, url)
        return await _http(request, url)
    except aiohttp.ClientConnectorError:
        return web.Response(
            status=503, text="Service Unavailable: nothing listens there yet, or any more"
        )
    except aiohttp.ClientError:
        return web.Response(
            status=502, text="Proxy Error: the server there ended in the middle of its answer"
        )
    except ConnectionError:  # the browser has gone meanwhile: nobody reads this
        return web.Response(status=499)


async def _http(request: web.Request, url: str) -> web.StreamResponse:
    import yarl

    body = request.content if request.body_exists else None
    async with request.app[SESSION].request(
        request.method,
        yarl.URL(url, encoded=True),
        headers=_headers(request.headers, HOP),
        data=body,
        allow_redirects=False,
    ) as answer:
        headers = [(k, v) for k, v in answer.headers.items() if k.lower() not in HOP]
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in headers:
            response.headers.add(name, value)
        await response.prepare(request)
        try:
            async for chunk in answer.content.iter_chunked(CHUNK):
                await response.write(chunk)
            await response.write_eof()
        except (aiohttp.ClientError, ConnectionError):  # one of the two sides ended in the middle
            if request.transport is not None:
                request.transport.abort()
        return response


async def _websocket(request: web.Request, url: str) -> web.StreamResponse:
    import yarl

    asked = request.headers.get("Sec-WebSocket-Protocol", "")
    protocols = [word.strip() for word in asked.split(",") if word.strip()]
    try:
        behind = await request.app[SESSION].ws_connect(
            yarl.URL(url, encoded=True),
            headers=_headers(request.headers, HOP | WEBSOCKET),
            protocols=protocols,
            max_msg_size=0,
        )
    except aiohttp.WSServerHandshakeError as error:
        return web.Response(status=error.status, text=error.message)
    chosen = [behind.protocol] if behind.protocol else []
    front = web.WebSocketResponse(protocols=chosen, max_msg_size=0)
    try:
        await front.prepare(request)
    except ConnectionError:
        await behind.close()
        raise
    tasks = [asyncio.create_task(_pump(front, behind)), asyncio.create_task(_pump(behind, front))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await behind.close()
        await front.close()
    return front


async def _pump(
    source: Any,
    sink: Any,
) -> None:
    """Pass messages on from one WebSocket, the browser's or the server's, to the other."""
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)


def _headers(given: CIMultiDictProxy[str], drop: set[str]) -> list[tuple[str, str]]:
    """Host and Origin stay as they are (ProxyPreserveHost); the preview's own cookie does not travel."""
    found = [(k, v) for k, v in given.items() if k.lower() not in drop and k.lower() != "cookie"]
    pairs = "; ".join(given.getall("Cookie", [])).split(";")
    kept = "; ".join(
        pair.strip() for pair in pairs if pair.split("=")[0].strip() not in {COOKIE, ""}
    )
    return [*found, ("Cookie", kept)] if kept else found
