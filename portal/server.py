"""The preview's web server: routes, the key that opens it, and the content security policy."""

from __future__ import annotations

import hmac
import mimetypes
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from . import jobs, pages, proxy, ruby
from .sessions import Sessions
from .settings import BASE, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SETTINGS = web.AppKey("settings", Settings)
SESSIONS = web.AppKey("sessions", Sessions)
FIELD = re.compile(r"batch_connect_session_context\[([a-z_0-9]+)\]")
STATIC = Path(__file__).with_name("static")
BODY_LIMIT = 8 << 20
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "object-src 'none'; frame-ancestors 'none'"
)


def build(settings: Settings) -> web.Application:
    """The application; the caller binds it to 127.0.0.1."""
    app = web.Application(middlewares=[_guard], client_max_size=BODY_LIMIT)
    app[SETTINGS] = settings
    app.cleanup_ctx.append(_lifetime)
    form = f"{BASE}/batch_connect/{settings.token}/session_contexts"
    app.add_routes(
        [
            web.get("/", _home),
            web.get(f"{BASE}/", _home),
            web.get(f"{form}/new", _form),
            web.post(form, _launch),
            web.get(f"{BASE}/batch_connect/sessions", _sessions),
            web.post(BASE + "/batch_connect/sessions/{id}/{verb:cancel|delete|relaunch}", _act),
            web.get(BASE + "/files/fs{path:/.*}", _files),
            web.static(f"{BASE}/static", STATIC),
            web.route("*", "/node/{host}/{port}", proxy.handle),
            web.route("*", "/node/{host}/{port}/{tail:.*}", proxy.handle),
        ]
    )
    return app


async def _lifetime(app: web.Application) -> AsyncIterator[None]:
    chosen = await jobs.choose(app[SETTINGS])
    app[SESSIONS] = Sessions(app[SETTINGS], chosen, await chosen.queues())
    app[proxy.SESSION] = aiohttp.ClientSession(
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=10),
    )
    yield
    await app[proxy.SESSION].close()
    await chosen.close()


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Other users of this machine reach its loopback too: only who was given the address comes in."""
    settings = request.app[SETTINGS]
    if request.host.rsplit(":", 1)[0] not in {"127.0.0.1", "localhost"}:
        raise web.HTTPMisdirectedRequest(text="the preview answers to 127.0.0.1 only")
    if hmac.compare_digest(request.query.get("key", "").encode(), settings.key.encode()):
        answer: web.StreamResponse = web.HTTPFound(request.path)
        answer.set_cookie(proxy.COOKIE, settings.key, httponly=True, samesite="Lax", path="/")
        return answer
    if not hmac.compare_digest(
        request.cookies.get(proxy.COOKIE, "").encode(), settings.key.encode()
    ):
        raise web.HTTPForbidden(
            text="open the whole address that the preview printed, with its key"
        )
    response = await handler(request)
    if not request.path.startswith("/node/") and not response.prepared:
        response.headers["X-Content-Type-Options"] = "nosniff"
        if settings.csp:
            response.headers["Content-Security-Policy"] = CSP
    return response


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="text/html", status=status)


async def _home(request: web.Request) -> web.StreamResponse:
    settings = request.app[SETTINGS]
    raise web.HTTPFound(f"{BASE}/batch_connect/{settings.token}/session_contexts/new")


async def _form(request: web.Request) -> web.StreamResponse:
    sessions = request.app[SESSIONS]
    values = sessions.values_of(request.query.get("session_id", "")) or sessions.last_values()
    return await _form_with(
        request, {k: str(v).encode("utf-8", "replace") for k, v in values.items()}
    )


async def _form_with(
    request: web.Request, values: dict[str, bytes], error: str = ""
) -> web.Response:
    settings, sessions = request.app[SETTINGS], request.app[SESSIONS]
    try:
        definition = await sessions.definition()
        shown = {k: v.decode("utf-8", "replace").encode() for k, v in values.items()}
        answer = await sessions.ask("form", definition=definition, values=ruby.packed(shown))
    except ruby.AppError as failure:
        return _html(pages.broken_form(settings, str(failure)))
    return _html(
        pages.form_page(settings, definition.get("title") or "Kernelwright", answer, error)
    )


async def _launch(request: web.Request) -> web.StreamResponse:
    values = await _posted(request)
    sessions = request.app[SESSIONS]
    try:
        await sessions.launch(values)
    except (ruby.AppError, jobs.SubmitError) as error:
        box = pages.alert("save", str(error), str(request.app[SETTINGS].output))
        return await _form_with(request, values, box)
    raise web.HTTPFound(f"{BASE}/batch_connect/sessions")


async def _posted(request: web.Request) -> dict[str, bytes]:
    """The scalars of the form, as bytes; lists are dropped, as on the dashboard."""
    body = (await request.read()).decode("latin-1")
    pairs = parse_qsl(body, keep_blank_values=True, encoding="latin-1")
    given = dict(pairs).get("authenticity_token", "")
    if not hmac.compare_digest(given.encode(), request.app[SETTINGS].form_token.encode()):
        raise web.HTTPUnprocessableEntity(text="the authenticity token is missing: reload the form")
    found = [(FIELD.fullmatch(name), value) for name, value in pairs]
    return {match[1]: value.encode("latin-1") for match, value in found if match}


async def _sessions(request: web.Request) -> web.StreamResponse:
    settings = request.app[SETTINGS]
    cards = pages.cards_html(settings, await request.app[SESSIONS].cards())
    return _html(cards if request.query.get("fragment") else pages.sessions_page(settings, cards))


async def _act(request: web.Request) -> web.StreamResponse:
    sessions, session_id = request.app[SESSIONS], request.match_info["id"]
    await _posted(request)
    verb = request.match_info["verb"]
    if verb == "relaunch":
        values = sessions.values_of(session_id)
        if values is None:
            raise web.HTTPNotFound
        posted = {name: str(value).encode("utf-8", "replace") for name, value in values.items()}
        try:
            await sessions.launch(posted)
        except (ruby.AppError, jobs.SubmitError) as error:
            box = pages.alert("save", str(error))
            return await _form_with(request, posted, box)
    elif verb == "cancel":
        await sessions.cancel(session_id)
    else:
        await sessions.delete(session_id)
    raise web.HTTPFound(f"{BASE}/batch_connect/sessions")


async def _files(request: web.Request) -> web.StreamResponse:
    """The files app: raw bytes of a file; what is missing is never a 404 but the folder above."""
    settings = request.app[SETTINGS]
    path = Path(request.match_info["path"])
    if ".." in path.parts or not path.is_relative_to(settings.home):
        raise web.HTTPForbidden(text="outside the allowed folders")
    wants_json = request.headers.get("Accept", "").startswith("application/json")
    return _file(settings, path, wants_json=wants_json)


def _file(settings: Settings, path: Path, *, wants_json: bool) -> web.StreamResponse:
    if path.is_file():
        kind = mimetypes.guess_type(path.name)[0] or "text/plain"
        headers = {"Cache-Control": "no-cache"}
        return web.Response(body=path.read_bytes(), content_type=kind, headers=headers)
    if wants_json:
        return web.json_response({"path": str(path), "files": _entries(path)})
    if not path.is_dir():
        raise web.HTTPFound(f"{BASE}/files/fs{path.parent}")
    return _html(pages.listing(settings, path))


def _entries(folder: Path) -> list[dict[str, str]]:
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        {"name": e.name, "type": "d" if e.is_dir() else "f"}
        for e in found
        if not e.name.startswith(".")
    ]
