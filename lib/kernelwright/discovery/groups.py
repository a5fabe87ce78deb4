"""Kernels of the user's groups; each folder is looked at in its own thread, within half a second.

A kernel runs whatever its owner wrote: store.sharing says whether it may be offered. Imported only where
the site names folders of groups.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import Problem
from ..model import Kernel
from ..store import sharing
from . import parallel
from .examine import Candidate, Surroundings, examine
from .places import Root

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.model import SiteConfig

TIMEOUT = 0.5  # seconds a folder may take; a dead mount costs no more


def shared_kernels(site: SiteConfig, home: Path, around: Surroundings) -> list[Kernel]:
    """Kernels of the user's groups; a folder that does not answer in time becomes one entry."""
    places = roots(site)

    def look(root: Root) -> list[Kernel]:
        names = parallel.names_in(root)
        if isinstance(names, OSError):
            return []  # a group folder that is not for this user is no finding
        kernels = []
        for name in sorted(n for n in names if not n.startswith(f"{sharing.INNER}-")):
            one = examine(Candidate(root, name, f"{root.folder}/{name}"), around)
            if one is not None:
                distrust = sharing.trust(one.candidate.folder, site, home=home)
                more = (distrust,) if distrust else ()
                kernels.append(replace(one.kernel, problems=(*more, *one.kernel.problems)))
        return kernels

    answers = parallel.within(TIMEOUT, look, places)
    return [
        kernel
        for root, answer in zip(places, answers, strict=True)
        for kernel in (answer if answer is not None else [_silent(root)])
    ]


def _silent(root: Root) -> Kernel:
    text = f"the group folder `{root.folder}` did not answer within {TIMEOUT:g} s"
    return Kernel(
        str(root.group), str(root.group), "", "group", "unknown", "local", root.folder, owned=False,
        visible=False, state="unavailable", problems=(Problem("group-folder-silent", "warning", text),),
        group=root.group, loads=False,
    )  # fmt: skip


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
