"""Kernels of the user's groups: each folder in its own thread, within half a second.

A kernel runs whatever its owner wrote, so it is offered only when nobody but a trusted owner can
have written it (store.sharing has the rules that publishing keeps).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ..errors import Problem
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


def distrust(folder: str, trusted: frozenset[int]) -> Problem | None:
    """Why a kernel below a group folder must not be run; None when only trusted people could write it."""
    for path in (folder, os.path.join(folder, "kernel.json")):
        try:
            facts = os.stat(path)
        except OSError:
            return None
        if facts.st_uid not in trusted:
            text = f"the kernel belongs to user {facts.st_uid}, whom the site does not trust with shared kernels"
            return Problem(
                "untrusted-kernel", "error", text, "ask the owner of the group's kernels", path
            )
        if facts.st_mode & stat.S_IWOTH or (facts.st_mode & stat.S_IWGRP and facts.st_gid != 0):
            text = "others than its owner can change this kernel, and it would run as you"
            return Problem(
                "untrusted-kernel", "error", text, f"its owner closes it: `chmod go-w {path}`", path
            )
    return None


def trusted_users(site: SiteConfig) -> frozenset[int]:
    """The numbers of the users whose shared kernels may be run: the site's list, root and this user."""
    import pwd

    found = {0, os.getuid()}
    for name in site.groups.trusted_owners:
        try:
            found.add(int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    return frozenset(found)
