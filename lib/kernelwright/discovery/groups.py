"""The folders of the user's groups; each is looked at in its own thread, within half a second.

A kernel runs whatever its owner wrote: store.sharing says whether it may be offered.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .places import Root

if TYPE_CHECKING:
    from ..config.model import SiteConfig

TIMEOUT = 0.5  # seconds a folder may take; a dead mount costs no more


def roots(site: SiteConfig) -> list[Root]:
    """The group folders that the site names, for each group of this user."""
    if not site.groups.folders:
        return []
    groups = _group_names() if any("{group}" in f for f in site.groups.folders) else ()
    found = []
    for pattern in site.groups.folders:
        for group in groups if "{group}" in pattern else (os.path.basename(pattern),):
            folder = pattern.replace("{group}", group)
            found.append(Root(folder, "group", searched=False, group=group))
    return found


def _group_names() -> tuple[str, ...]:
    import grp

    names = []
    for number in {os.getgid(), *os.getgroups()}:
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return tuple(sorted(names))
