"""Which kernel a request means: `site:NAME`, `user:NAME`, `group:G/NAME` or a name that somebody typed.

The form's list is only a hint (hours old on some dashboards): what is chosen is looked for on the node.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, did_you_mean
from .request import shown
from .specs import Offer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..catalog import Central
    from ..errors import Problem
    from ..model import Kernel

ORIGINS = ("user", "group", "site", "conda", "legacy", "jupyter")
NATIVE = "python3"


@dataclass(frozen=True)
class Choice:
    """An existing kernel that was chosen; `folder` is None for Jupyter's own python3."""

    origin: str
    name: str
    folder: Path | None
    group: str | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def value(self) -> str:
        """How the form names it."""
        return (
            f"{self.origin}:{self.group}/{self.name}"
            if self.group
            else f"{self.origin}:{self.name}"
        )


def offers(central: Iterable[Central], kernels: Iterable[Kernel]) -> list[Offer]:
    """The central kernels of the site and the sound ones of the user's groups."""
    found = [Offer(c.name, c.folder, label=c.label) for c in central if c.folder is not None]
    found += [
        Offer(kernel.name, Path(kernel.path), group=kernel.group)
        for kernel in kernels
        if kernel.origin == "group" and kernel.state not in {"broken", "untrusted", "unavailable"}
    ]
    return found


def default(central: Iterable[Central]) -> Choice:
    """The site's default kernel, else its first one, else Jupyter's own Python."""
    usable = [c for c in central if c.folder is not None and (c.default or not c.hidden)]
    first = next((c for c in usable if c.default), usable[0] if usable else None)
    if first is None:
        return Choice("jupyter", NATIVE, None)
    return Choice("site", first.name, first.folder)


def find(value: str, kernels: Iterable[Kernel], offered: Iterable[Offer]) -> Choice:
    """The kernel that `value` means; raises `no-such-kernel` with the nearest names."""
    origin, colon, rest = value.partition(":")
    known = [*_choices(kernels), *(_central(offered))]
    if colon and origin in ORIGINS:
        group, _, name = rest.rpartition("/") if origin == "group" else ("", "", rest)
        matching = [
            c
            for c in known
            if c.origin == origin and c.name == name.lower() and (c.group or "") == group
        ]
    else:
        wanted = value.lower()
        matching = [c for c in known if wanted in {c.name, c.value.lower()}]
    if matching:
        return min(matching, key=lambda choice: ORIGINS.index(choice.origin))
    if colon and rest == NATIVE and origin == "jupyter":
        return Choice("jupyter", NATIVE, None)
    near = did_you_mean(rest or value, [c.name for c in known])
    raise UserError(
        "no-such-kernel",
        f"the kernel `{shown(value)}` is not there (any more)",
        hint=f"{near} Choose it on the form" if near else "choose another kernel on the form",
    )


def _choices(kernels: Iterable[Kernel]) -> list[Choice]:
    return [
        Choice(k.origin, k.name.lower(), Path(k.path), k.group, k.problems)
        for k in kernels
        if k.origin != "site" and (k.visible or k.origin not in {"jupyter", "legacy"})
    ]


def _central(offered: Iterable[Offer]) -> list[Choice]:
    return [Choice("site", o.name.lower(), o.folder) for o in offered if o.group is None]
