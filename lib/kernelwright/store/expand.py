"""Site paths with {user}, {home}, ~ and ${NAME}."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping


def expand(text: str, home: Path, environ: Mapping[str, str]) -> Path:
    """A site path with {user}, {home}, ~ and ${NAME} filled in; UserError `unset-variable`."""
    user = pwd.getpwuid(os.getuid()).pw_name if "{user}" in text else ""
    filled = text.replace("{user}", user).replace("{home}", str(home))
    if filled.startswith("~/") or filled == "~":
        filled = str(home) + filled[1:]

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not environ.get(name):
            raise UserError(
                "unset-variable",
                f"`{text}` needs the variable {name}, which is not set here",
                hint="ask the site, or set it in your shell's start file",
            )
        return environ[name]

    return Path(re.sub(r"\$\{(\w+)\}|\$(\w+)", value, filled))
