"""The usage log: off by default; one JSON line a session, build and failure, for a site's planning."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config.model import SiteConfig

LINE_LIMIT = 2000  # bytes; one write() of this size is not torn on a local disk


def log(site: SiteConfig, user: str, kernel: str, kind: str, code: str) -> bool:
    """Append who used which kernel, of what kind, and how it went (`ok` or an error's code).

    Nothing else is written. Never fails and never waits: a full disk or a missing folder is not the
    user's problem. Returns whether the line was written.
    """
    if not site.usage_log:
        return False
    path = site.usage_log.replace("{user}", user).replace("{home}", os.path.expanduser("~"))
    entry = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "user": user[:100],
        "kernel": kernel[:200],
        "kind": kind[:40],
        "code": code[:80],
    }
    line = (json.dumps(entry) + "\n").encode()
    if "/" in user or user in {"", ".", ".."} or len(line) > LINE_LIMIT:
        return False
    try:
        # no link is followed and no FIFO waited for: the folder may be writable for everybody
        handle = os.open(
            path,
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            0o644,
        )
    except (OSError, ValueError):
        return False
    try:
        return stat.S_ISREG(os.fstat(handle).st_mode) and os.write(handle, line) == len(line)
    except OSError:
        return False
    finally:
        os.close(handle)
