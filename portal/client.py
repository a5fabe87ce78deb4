"""A person without a browser: form, launch, card, login and one cell, by plain HTTP and a WebSocket."""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from .settings import BASE

if TYPE_CHECKING:
    from types import TracebackType

FIELD = re.compile(
    r"<(input|select|textarea)\b([^>]*)>(.*?)(?=<(?:input|select|textarea|small|button|/div))",
    re.DOTALL,
)
ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')
CARD = re.compile(
    r'<section class="card card-(\w+)" id="id_([0-9a-f-]{36})".*?</section>', re.DOTALL
)
LOGIN = re.compile(
    r'<form action="([^"]*/login[^"]*)".*?name="password" value="([^"]*)"', re.DOTALL
)
NAME = "batch_connect_session_context"


class PreviewError(Exception):
    """The preview did not do what was asked; the text says what stood on the page."""


class Person:
    """One visit: it keeps cookies, as a browser does."""

    def __init__(self, address: str, token: str = "sys/kernelwright") -> None:
        parts = urlsplit(address)
        self.root = f"{parts.scheme}://{parts.netloc}"
        self._key = parse_qs(parts.query)["key"][0]
        self._form = f"{BASE}/batch_connect/{token}/session_contexts"
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Person:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        await self.text("GET", f"/?key={self._key}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def text(self, method: str, path: str, **more: Any) -> str:
        """The page at `path`, redirects followed."""
        async with self._http.request(method, self.root + path, **more) as answer:
            body = await answer.text()
            if answer.status >= 400:
                raise PreviewError(f"{method} {path}: {answer.status} {body[:300]}")
            return body

    async def form(self) -> tuple[str, dict[str, str]]:
        """The form's page and the values that a browser would post as they stand."""
        page = await self.text("GET", f"{self._form}/new")
        return page, form_values(page)

    async def launch(self, **answers: str) -> str:
        """Fill in the form and press Launch; returns the new card's id, raises with the red box's text."""
        _, values = await self.form()
        before = {card for card, _ in (await self.cards()).items()}
        for name, value in answers.items():
            values[f"{NAME}[{name}]"] = value
        page = await self.text("POST", self._form, data=values)
        if box := re.search(
            r'<div class="alert alert-danger" role="alert">.*?<pre>(.*?)</pre>', page, re.DOTALL
        ):
            raise PreviewError(html.unescape(box[1]))
        new = [card for card in await self.cards() if card not in before]
        if not new:
            raise PreviewError("no new card appeared")
        return new[0]

    async def cards(self) -> dict[str, tuple[str, str]]:
        """{id: (state, the card's HTML)}."""
        page = await self.text("GET", f"{BASE}/batch_connect/sessions?fragment=1")
        return {match[2]: (match[1], match[0]) for match in CARD.finditer(page)}

    async def wait(self, card: str, *states: str, seconds: float = 600) -> str:
        """The card's HTML once it is in one of the states; raises when the job is over before."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            state, text = (await self.cards()).get(card, ("gone", ""))
            if state in states:
                return text
            if state in {"completed", "gone"}:
                raise PreviewError(f"the session is {state}: {words(text)}")
            await asyncio.sleep(0.3)
        raise PreviewError(f"the card did not become {' or '.join(states)} within {seconds:g} s")

    async def act(self, card: str, verb: str) -> str:
        """Press Cancel, Delete or Relaunch."""
        _, values = await self.form()
        token = {"authenticity_token": values["authenticity_token"]}
        return await self.text("POST", f"{BASE}/batch_connect/sessions/{card}/{verb}", data=token)

    async def connect(self, card: str) -> Jupyter:
        """Press Connect: the login POST of the card, same origin."""
        found = LOGIN.search(await self.wait(card, "running"))
        if not found:
            raise PreviewError("the card shows no Connect button")
        action, password = html.unescape(found[1]), html.unescape(found[2])
        headers = {"Origin": self.root, "Sec-Fetch-Site": "same-origin"}
        await self.text("POST", action, data={"password": password}, headers=headers)
        return Jupyter(self._http, self.root, action.split("/login")[0])


class Jupyter:
    """The notebook server behind the proxy, after the login."""

    def __init__(self, http: aiohttp.ClientSession, root: str, base: str) -> None:
        self._http = http
        self._root = root
        self.base = base

    async def get(self, path: str) -> Any:
        """GET of the REST API as JSON."""
        async with self._http.get(f"{self._root}{self.base}{path}") as answer:
            if answer.status != 200:
                raise PreviewError(f"{path}: {answer.status}")
            return await answer.json()

    async def run(self, kernel: str, code: str, seconds: float = 120) -> str:
        """Start `kernel`, run one cell over the WebSocket, and return what it printed."""
        xsrf = next((c.value for c in self._http.cookie_jar if c.key == "_xsrf"), "")
        headers = {"X-XSRFToken": xsrf, "Origin": self._root}
        url = f"{self._root}{self.base}/api/kernels"
        async with self._http.post(url, json={"name": kernel}, headers=headers) as answer:
            if answer.status != 201:
                raise PreviewError(
                    f"the kernel {kernel} did not start: {answer.status} {(await answer.text())[:300]}"
                )
            kernel_id = (await answer.json())["id"]
        try:
            return await asyncio.wait_for(self._cell(kernel_id, code), seconds)
        finally:
            await self._http.delete(f"{url}/{kernel_id}", headers=headers)

    async def _cell(self, kernel_id: str, code: str) -> str:
        session = uuid.uuid4().hex
        url = f"{self._root}{self.base}/api/kernels/{kernel_id}/channels?session_id={session}"
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "execute_request",
            "username": "",
            "session": session,
            "version": "5.3",
        }
        content = {
            "code": code,
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
        }
        said = ""
        async with self._http.ws_connect(
            url, headers={"Origin": self._root}, max_msg_size=0
        ) as socket:
            message = {
                "header": header,
                "parent_header": {},
                "metadata": {},
                "content": content,
                "channel": "shell",
            }
            await socket.send_json(message)
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    continue
                reply = json.loads(frame.data)
                if reply.get("parent_header", {}).get("msg_id") != header["msg_id"]:
                    continue
                if reply["msg_type"] == "stream":
                    said += reply["content"]["text"]
                elif reply["msg_type"] == "error":
                    raise PreviewError("\n".join(reply["content"]["traceback"]))
                elif (
                    reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle"
                ):
                    return said
        raise PreviewError("the WebSocket closed before the cell had run")


def form_values(page: str) -> dict[str, str]:
    """What a browser without JavaScript would post: hidden fields, defaults, chosen options, checked boxes."""
    form = page[page.index("<form class=") :]
    form = form[: form.index("</form>")]
    values: dict[str, str] = {}
    for match in FIELD.finditer(form):
        tag, given, inner = match[1], dict(ATTRIBUTE.findall(match[2])), match[3]
        name = html.unescape(given.get("name", ""))
        if not name or name == "commit":
            continue
        if tag == "textarea":
            values[name] = html.unescape(inner.split("</textarea>")[0].removeprefix("\n"))
        elif tag == "select":
            options = [dict(ATTRIBUTE.findall(o)) for o in re.findall(r"<option\b([^>]*)>", inner)]
            chosen = [o for o in options if "selected" in o] or options[:1]
            values[name] = html.unescape(chosen[0].get("value", "")) if chosen else ""
        elif given.get("type") != "checkbox" or "checked" in given:
            values[name] = html.unescape(given.get("value", ""))
    return values


def words(text: str) -> str:
    """The text of some HTML, for messages."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())[:1000]
