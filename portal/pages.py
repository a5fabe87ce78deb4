"""The pages around the app: navigation, form page, session cards, directory listings."""

from __future__ import annotations

import datetime as dt
import html
import time
from typing import TYPE_CHECKING, Any

from .settings import BASE

if TYPE_CHECKING:
    from pathlib import Path

    from .sessions import Card
    from .settings import Settings

h = html.escape
PREVIEW = (
    '<p class="preview" role="note">This is a preview of the app on this machine, not an Open OnDemand. '
    "It stops when the command that started it stops.</p>"
)
WORDS = {"queued": "Queued", "starting": "Starting", "running": "Running", "completed": "Completed"}
WAITING = {
    "queued": "Please be patient as your job currently sits in queue. The wait time depends on the resources that were asked for.",
    "starting": "Your session is currently starting... Please be patient as this process can take a few minutes.",
    "completed": "For debugging purposes, this card will be retained for 6 more days",
}


def page(
    settings: Settings, title: str, body: str, *, crumbs: tuple[tuple[str, str | None], ...] = ()
) -> str:
    """A whole page in the dashboard's dress."""
    trail = "".join(
        f'<li><a href="{h(link)}">{h(text)}</a></li>'
        if link
        else f'<li aria-current="page">{h(text)}</li>'
        for text, link in (("Home", f"{BASE}/"), *crumbs)
    )
    dynamic = f'<script src="{BASE}/static/dynamic.js" defer></script>' if settings.dynamic else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{h(title)} - OnDemand preview</title>
<link rel="stylesheet" href="{BASE}/static/portal.css">
<link rel="icon" href="data:,">
<script src="{BASE}/static/portal.js" defer></script>
{dynamic}
</head>
<body>
<nav class="navbar" aria-label="Main"><a class="brand" href="{BASE}/">OnDemand preview</a>
<a href="{BASE}/batch_connect/{settings.token}/session_contexts/new">Interactive Apps</a>
<a href="{BASE}/batch_connect/sessions">My Interactive Sessions</a></nav>
{PREVIEW}
<div class="container">
<nav aria-label="Breadcrumb"><ol class="breadcrumb">{trail}</ol></nav>
<main>{body}</main>
</div>
<footer>Preview of Open OnDemand {h(settings.release)}: dynamic forms {_onoff(settings.dynamic)}, content security policy {_onoff(settings.csp)}</footer>
</body>
</html>
"""


def _onoff(value: bool) -> str:
    return "on" if value else "off"


def alert(title: str, message: str, staged: str | None = None) -> str:
    """The red box of a failed launch: the message in <pre>, newlines kept."""
    link = (
        f'<ul><li>The session data for this session can be accessed under the <a href="{BASE}/files/fs{h(staged)}">staged root directory</a>.</li></ul>'
        if staged
        else ""
    )
    return f'<div class="alert alert-danger" role="alert"><h4>{h(title)}</h4><pre>{h(message)}</pre>{link}</div>'


def form_page(settings: Settings, title: str, answer: dict[str, Any], error: str = "") -> str:
    """The app's form; form.js is wrapped in a function and inlined after it, without a nonce."""
    action = f"{BASE}/batch_connect/{settings.token}/session_contexts"
    script = ""
    if answer.get("script"):
        code = answer["script"].replace("</script", "<\\/script")
        script = f"<script>\n(function() {{\n{code}\n}}).call(this);\n</script>"
    body = f"""{error}<div class="row"><aside>{_app_list(settings, title)}</aside><div class="col">
<h1>{h(title)}</h1>
<div class="description">{answer["description"]}</div>{answer["header"]}
<form class="new_batch_connect_session_context" id="new_batch_connect_session_context" action="{action}" accept-charset="UTF-8" method="post">
<input type="hidden" name="authenticity_token" value="{h(settings.form_token)}" autocomplete="off">
{answer["html"]}
<input type="submit" name="commit" value="Launch" class="btn btn-primary btn-block" data-disable-with="Launch">
</form>{script}
<p>* The {h(title)} session data for this session can be accessed under the <a href="{BASE}/files/fs{h(str(settings.output))}">data root directory</a>.</p>
</div></div>"""
    crumbs = (("My Interactive Sessions", f"{BASE}/batch_connect/sessions"), (title, None))
    return page(settings, title, body, crumbs=crumbs)


def _app_list(settings: Settings, title: str) -> str:
    return (
        '<div class="panel"><div class="panel-head">Interactive Apps</div><div class="panel-sub">Servers</div>'
        f'<a class="active" href="{BASE}/batch_connect/{settings.token}/session_contexts/new">{h(title)}</a></div>'
    )


def broken_form(settings: Settings, message: str) -> str:
    """What a form that cannot be evaluated looks like: an alert, and no form."""
    box = f'<div class="alert alert-danger" role="alert"><pre>{h(message)}</pre></div>'
    return page(settings, "Error", box)


def sessions_page(settings: Settings, cards: str) -> str:
    """My Interactive Sessions: portal.js polls the fragment and replaces all cards."""
    link = f"{BASE}/batch_connect/{settings.token}/session_contexts/new"
    body = f"""<h1 class="visually-hidden">My Interactive Sessions</h1>
<div class="row"><aside>{_app_list(settings, "Kernelwright")}</aside>
<div class="col wide" id="sessions" data-poll="{int(settings.poll * 1000)}" data-url="{BASE}/batch_connect/sessions?fragment=1">{cards}</div></div>
<p><a href="{link}">New session</a></p>"""
    return page(
        settings, "My Interactive Sessions", body, crumbs=(("My Interactive Sessions", None),)
    )


def cards_html(settings: Settings, cards: list[Card]) -> str:
    """All cards as one fragment."""
    if not cards:
        return '<div class="alert alert-warning">You have no active sessions.</div>'
    return "\n".join(card_html(settings, card) for card in cards)


def card_html(settings: Settings, card: Card) -> str:
    """One card; what the app gives is inserted unescaped, as on the dashboard."""
    record, state = card.record, card.state
    session = h(record["id"])
    base = f"{BASE}/batch_connect/sessions/{session}"
    token = f'<input type="hidden" name="authenticity_token" value="{h(settings.form_token)}">'
    edit = f"{BASE}/batch_connect/{settings.token}/session_contexts/new?session_id={session}"
    if state == "completed":
        right = (
            f'Completed | <a class="icon" href="{edit}" title="Edit" aria-label="Edit">&#9998;</a> | '
            f'<form action="{base}/relaunch" method="post">{token}<button class="icon" title="Relaunch" aria-label="Relaunch">&#8635;</button></form>'
        )
        button = f'<form action="{base}/delete" method="post">{token}<button class="btn btn-danger">&#10006; Delete</button></form>'
    else:
        right = f"<b>1 node</b> | {WORDS[state]}"
        button = f'<form action="{base}/cancel" method="post">{token}<button class="btn btn-danger">&#10006; Cancel</button></form>'
    root = h(record["staged_root"])
    last = (
        card.parts.get("view")
        if state == "running"
        else f"{card.parts.get('completed', '')}<p>{WAITING[state]}</p>"
    )
    return f"""<section class="card card-{state}" id="id_{session}" data-id="{session}" data-state="{state}">
<div class="card-head"><h2>{h(record["title"])} ({h(str(record["job_id"]))})</h2><div class="right">{right}</div></div>
<div class="card-body">{button}{_facts(record, state)}
<p><strong>Session ID:</strong> <a href="{BASE}/files/fs{root}">{session}</a></p>
<hr><div class="ood-info">{card.parts.get("info", "")}</div>
<hr><div class="ood-view">{last}</div></div></section>"""


def _facts(record: dict[str, Any], state: str) -> str:
    created = dt.datetime.fromtimestamp(record["created_at"], dt.timezone.utc)
    lines = [f"<p><strong>Created at:</strong> {created:%Y-%m-%d %H:%M:%S} UTC</p>"]
    if state == "running":
        lines.insert(0, '<p><strong>Host:</strong> <span class="badge">&gt;_ 127.0.0.1</span></p>')
    if state != "completed" and record.get("wall_time"):
        left = max(0, int(record["created_at"] + record["wall_time"] - time.time()))
        hours, minutes = divmod(left // 60, 60)
        words = f"{hours} hours and {minutes} minutes" if hours else f"{minutes} minutes"
        lines.append(f"<p><strong>Time Remaining:</strong> {words}</p>")
    return "".join(lines)


def listing(settings: Settings, folder: Path) -> str:
    """The files app's page for a folder."""
    try:
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    except OSError as error:
        names = []
        body = f'<div class="alert alert-danger">{h(str(error))}</div>'
    else:
        body = ""
    rows = "".join(
        f'<li><a href="{BASE}/files/fs{h(str(folder / n))}">{h(n)}</a></li>' for n in names
    )
    return page(
        settings,
        "Files",
        f"<h1>{h(str(folder))}</h1>{body}<ul>{rows}</ul>",
        crumbs=(("Files", None),),
    )
