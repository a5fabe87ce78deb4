"""Every kernel and environment that a user can see, Jupyter's precedence applied.

`discover` is called by each command, by `session prepare` and by doctor.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import Problem
from ..model import Kernel, State
from . import conda, depends, index, parallel
from .examine import Candidate, Found, Surroundings, examine
from .places import Root, native_resources, search_path
from .programs import Programs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ..config.model import SiteConfig

ORDER = ("user", "group", "site", "conda", "legacy", "jupyter")


def discover(
    *, home: Path, environ: Mapping[str, str], site: SiteConfig, quick: bool = True
) -> list[Kernel]:
    """All kernels, sorted by origin and name; one bad neighbour never hides another.

    `quick` believes the index for every kernel.json whose time and size are unchanged (their `spec`
    is empty then, see `kernelspec_file.read`); without it every file is read again.
    """
    around = Surroundings(
        cache=index.load(home) if quick else {},
        programs=Programs(environ.get("PATH", os.defpath), "SLURM_JOB_ID" in environ),
    )
    roots = search_path(home, environ)
    stamps = depends.folders(roots, home, environ, site)
    candidates, unreadable = _candidates(roots)
    others = [*_site_kernels(site), *_conda_kernels(home, environ)]
    everything = [*candidates, *others]
    looked = parallel.each(lambda c: examine(c, around), everything)
    found = [one for one in looked if one]
    kernels = [*_with_precedence(found), *unreadable, *_shared(site, home, around)]
    kernels += _native(kernels)
    listing = depends.Listing(sorted((_with_state(k) for k in kernels), key=_rank))
    empty = [c.folder for c, one in zip(everything, looked, strict=True) if one is None]
    listing.depends = depends.with_programs(stamps, listing, empty, environ)
    return listing


def _rank(kernel: Kernel) -> tuple[int, str, str]:
    return ORDER.index(kernel.origin), kernel.name, kernel.path


def _candidates(roots: Iterable[Root]) -> tuple[list[Candidate], list[Kernel]]:
    """The folders below each root in the root's own order, and an entry for each unreadable root."""
    candidates: list[Candidate] = []
    unreadable: list[Kernel] = []
    for root in roots:
        names = parallel.names_in(root)
        if isinstance(names, OSError):
            unreadable.append(_unreadable(root, names))
            continue
        candidates += [
            Candidate(root, name.lower(), os.path.join(root.folder, name)) for name in names
        ]
    return candidates, unreadable


def _unreadable(root: Root, error: OSError) -> Kernel:
    text = f"the kernels folder `{root.folder}` cannot be read ({error.strerror})"
    if root.searched:
        text += "; Jupyter's server then shows no kernel at all"
    problem = Problem("kernels-folder-unreadable", "error", text, f"`chmod u+rx {root.folder}`")
    return Kernel(
        os.path.basename(root.folder), root.folder, "", root.origin, "unknown", "local", root.folder,
        owned=False, visible=False, problems=(problem,), group=root.group, loads=False,
    )  # fmt: skip


def _with_precedence(found: list[Found]) -> list[Kernel]:
    """Jupyter's choice among equal names: the first root wins, within one root the last entry."""
    winner: dict[str, Found] = {}
    rivals: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        root = one.candidate.root
        if not root.searched or not one.found:
            continue
        before = winner.get(one.candidate.name)
        if before is None or before.candidate.root.folder == root.folder:
            winner[one.candidate.name] = one
        rivals.setdefault((root.folder, one.candidate.name), []).append(one)
    return [_placed(one, winner, rivals) for one in found]


def _placed(
    one: Found, winner: Mapping[str, Found], rivals: Mapping[tuple[str, str], list[Found]]
) -> Kernel:
    kernel, root = one.kernel, one.candidate.root
    if not root.searched or not one.found:
        return kernel
    same = rivals[root.folder, one.candidate.name]
    first = winner[one.candidate.name]
    problems = kernel.problems
    if len(same) > 1:
        names = ", ".join(f"`{os.path.basename(s.candidate.folder)}`" for s in same)
        text = f"{names} are one name for Jupyter: it lists one of them and starts another"
        problems += (Problem("names-differ-in-case", "warning", text, "rename all but one"),)
    elif first is not one:
        text = f"another kernel `{kernel.name}` comes first: `{first.candidate.folder}`"
        hint = f"rename one of them, for example `kernelwright rename {kernel.name} NEW`"
        problems += (Problem("shadowed", "note", text, hint),)
    if first is one:
        problems += _provisioner(kernel)
    usable = (
        first is one and kernel.loads and not any(p.code == "provisioner-missing" for p in problems)
    )
    return replace(kernel, problems=problems, visible=usable)


def _provisioner(kernel: Kernel) -> tuple[Problem, ...]:
    """Jupyter drops a kernel whose provisioner is not installed beside the server."""
    name = next((p.evidence for p in kernel.problems if p.code == "uses-provisioner"), None)
    if name is None:
        return ()
    from importlib.metadata import entry_points

    if name in {e.name for e in entry_points(group="jupyter_client.kernel_provisioners")}:
        return ()
    text = f"the kernel provisioner `{name[:80]}` is not installed where Jupyter runs, so the kernel is not shown"
    return (Problem("provisioner-missing", "error", text, "install its package beside Jupyter"),)


def _site_kernels(site: SiteConfig) -> list[Candidate]:
    root = Root("", "site", searched=False)
    return [
        Candidate(root, str(entry.get("name")), str(folder))
        for entry in site.kernels
        if (folder := entry.get("folder") or entry.get("path")) and not entry.get("hidden")
    ]


def _conda_kernels(home: Path, environ: Mapping[str, str]) -> list[Candidate]:
    """The kernelspecs inside conda environments; Jupyter sees none of them by itself."""
    found = []
    for environment in conda.environments(home, environ):
        root = Root(f"{environment.prefix}/share/jupyter/kernels", "conda", searched=False)
        names = parallel.names_in(root)
        for name in sorted(names) if isinstance(names, list) else ():
            shown = environment.name if name == "python3" else f"{environment.name}-{name}"
            found.append(Candidate(root, shown.lower(), f"{root.folder}/{name}"))
    return found


def _shared(site: SiteConfig, home: Path, around: Surroundings) -> list[Kernel]:
    """Kernels of the user's groups, where the site names folders for them."""
    if not site.groups.folders:
        return []
    from .groups import shared_kernels

    return shared_kernels(site, home, around)


def _native(kernels: list[Kernel]) -> list[Kernel]:
    """`python3` of Jupyter's own interpreter, which Jupyter adds where no kernelspec has that name."""
    if any(
        k.name == "python3" and (k.visible or not k.loads) for k in kernels if k.origin != "conda"
    ):
        return []
    folder = native_resources()
    if folder is None or importlib.util.find_spec("ipykernel") is None:
        return []
    title = "Python 3 (ipykernel)"
    return [
        Kernel(
            "python3",
            title,
            "python",
            "jupyter",
            "jupyter",
            "local",
            folder,
            owned=False,
            visible=True,
        )
    ]


def _with_state(kernel: Kernel) -> Kernel:
    return replace(kernel, state=state_of(kernel))


def state_of(kernel: Kernel) -> State:
    """The one word for a kernel with these problems; `doctor` asks again with more of them."""
    codes = {problem.code for problem in kernel.problems}
    if "untrusted-kernel" in codes:
        return "untrusted"
    if "shadowed" in codes:
        return "shadowed"
    if any(problem.severity == "error" for problem in kernel.problems):
        return "broken"
    if codes & {"not-on-this-node", "group-folder-silent", "runtime-missing"}:
        return "unavailable"
    return "warning" if any(p.severity == "warning" for p in kernel.problems) else "ok"
