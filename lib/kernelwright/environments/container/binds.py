"""Which folders of the node a container sees, beside those that every start needs."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...model import Bind

# a bind over one of these would replace the image's own programs or the kernel's interfaces
RESERVED = (
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/sbin",
    "/sys",
    "/usr",
    "/.singularity.d",
)
_PLAIN = re.compile(r"(?:~|\$\{\w+\}|\$\w+|/)[^\x00-\x1f\x7f:,\"\\]*")


def checked(binds: Iterable[Bind]) -> None:
    """Raise UserError `invalid-bind` for what the runtime would read as something else."""
    for bind in binds:
        target = bind.target or bind.source
        for path in (bind.source, target):
            if not path.isprintable() or not _PLAIN.fullmatch(path) or ".." in path.split("/"):
                raise UserError(
                    "invalid-bind",
                    f"`{path[:200]!s}` cannot be bound into a container",
                    hint="a bind is `SRC[:DST[:ro]]`: absolute paths or ~ or ${NAME}, without commas, colons, quotes, backslashes and `..`",
                )
        if (target.rstrip("/") or "/") in RESERVED:
            raise UserError(
                "invalid-bind",
                f"`{target}` of the image cannot be covered by a bind",
                hint=f"give another place in the container: `{bind.source}:/mnt/NAME`",
            )


def plain(binds: Iterable[Bind]) -> list[dict[str, Any]]:
    """The binds as data for made.json and the launch template."""
    return [asdict(bind) for bind in binds]
