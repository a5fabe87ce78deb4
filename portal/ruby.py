"""Calls the Ruby half (render.rb): one process a question, JSON in and out."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings import Settings

RENDER = Path(__file__).with_name("render.rb")
TIMEOUT = 60.0


class AppError(Exception):
    """What the app's Ruby raised, in its words: the dashboard shows it as an alert."""


def packed(values: dict[str, bytes]) -> dict[str, str]:
    """Posted values as base64: bytes that are no UTF-8 must reach the app as they came."""
    return {name: base64.b64encode(value).decode() for name, value in values.items()}


async def ask(settings: Settings, action: str, **more: Any) -> dict[str, Any]:
    """The answer of one action; raises AppError when the app's own code failed."""
    request = {
        "action": action,
        "app": str(settings.app),
        "subapp": str(settings.subapp) if settings.subapp else None,
        "clusters": list(settings.clusters),
        **more,
    }
    child = await asyncio.create_subprocess_exec(
        "ruby",
        str(RENDER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=settings.ruby_environ(),
        cwd="/",
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(json.dumps(request).encode()), TIMEOUT)
    except asyncio.TimeoutError as error:
        child.kill()
        await child.wait()
        raise AppError(f"the app's Ruby did not answer within {TIMEOUT:g} s") from error
    try:
        answer: dict[str, Any] = json.loads(out)
    except ValueError as error:
        raise AppError(
            err.decode("utf-8", "replace").strip() or "the app's Ruby said nothing"
        ) from error
    if "error" in answer:
        raise AppError(answer["error"])
    return answer
