"""Who has the kernel that a notebook asks for, what comes nearest, and how it could be made."""

from __future__ import annotations

import difflib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..discovery.kernelspec_file import read
from ..environments import layout
from ..errors import UserError
from ..recipe import check_name, propose_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model import Kernel
    from .notebook_file import Wanted

# import name -> distribution, where they differ
DISTRIBUTIONS = {
    "sklearn": "scikit-learn", "cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml", "bs4": "beautifulsoup4",
    "skimage": "scikit-image", "Bio": "biopython", "dateutil": "python-dateutil", "serial": "pyserial",
    "OpenSSL": "pyopenssl", "docx": "python-docx", "mpl_toolkits": "matplotlib", "pylab": "matplotlib",
    "IPython": "ipython", "attr": "attrs", "Crypto": "pycryptodome", "dotenv": "python-dotenv", "umap": "umap-learn",
}  # fmt: skip


@dataclass(frozen=True)
class Match:
    """A kernel that could run the notebook; `missing` are the imports that it does not have."""

    kernel: Kernel
    score: float
    missing: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What `doctor NOTEBOOK` found: the kernel of that name (or its alias), else the nearest ones."""

    wanted: Wanted
    exact: Kernel | None
    nearest: tuple[Match, ...]
    command: tuple[str, ...] | None


def answer(wanted: Wanted, kernels: Iterable[Kernel]) -> Answer:
    """Who has the kernel; a kernel's former name counts (renaming leaves an alias)."""
    rows = list(kernels)
    name = wanted.name.lower()
    named = [k for k in rows if k.name == name and k.origin != "conda"]
    exact = next((k for k in named if k.visible), named[0] if named else None)
    matches = sorted((_match(wanted, k) for k in rows if k is not exact), key=lambda m: -m.score)
    nearest = tuple(
        m
        for m in matches
        if m.score >= 1.0 and m.kernel.state not in {"broken", "untrusted", "shadowed"}
    )[:3]
    return Answer(wanted, exact, nearest, create_command(wanted))


def _match(wanted: Wanted, kernel: Kernel) -> Match:
    language = (kernel.language or "").lower()
    if wanted.language and language and language != wanted.language:
        return Match(kernel, 0.0, (), ())
    reasons, score = [], 1.0 if language == wanted.language else 0.0
    alike = max(
        difflib.SequenceMatcher(None, wanted.name.lower(), kernel.name).ratio()
        if wanted.name
        else 0.0,
        difflib.SequenceMatcher(None, wanted.title.lower(), kernel.display_name.lower()).ratio()
        if wanted.title
        else 0.0,
    )
    if alike > 0.6:
        score += alike
        reasons.append("its name is alike")
    prefix = prefix_of(kernel)
    missing: tuple[str, ...] = ()
    if prefix is not None and language == "python":
        have = modules_in(prefix)
        missing = tuple(name for name in wanted.imports if name not in have)
        if wanted.imports:
            score += 2.0 * (1 - len(missing) / len(wanted.imports))
            reasons.append(
                "it has all packages"
                if not missing
                else f"{len(missing)} of its packages are missing"
            )
        version = layout.python_version(prefix)
        if version and wanted.version and wanted.version.startswith(version + "."):
            score += 0.5
            reasons.append(f"Python {version}, too")
    return Match(kernel, score, missing, tuple(reasons))


def prefix_of(kernel: Kernel) -> Path | None:
    """The environment of a kernel, from what discovery watches or from where the kernelspec lies."""
    if kernel.watch and "/bin/" in kernel.watch:
        return Path(kernel.watch).parent.parent
    if kernel.origin == "conda" or "/share/jupyter/kernels/" in kernel.path:
        return Path(kernel.path.split("/share/jupyter/kernels/")[0])
    argv = (kernel.spec or read(kernel.path).spec).get("argv")
    if (
        isinstance(argv, list)
        and argv
        and isinstance(argv[0], str)
        and argv[0].startswith("python")
    ):
        return Path(sys.prefix)
    return None


def modules_in(prefix: Path) -> frozenset[str]:
    """The names that can be imported in a prefix, by the files in its site-packages."""
    found = set()
    for folder in layout.site_packages(prefix):
        for entry in os.listdir(folder):
            found.add(entry.split(".")[0])
    return frozenset(found)


def create_command(wanted: Wanted) -> tuple[str, ...] | None:
    """The words after `kernelwright` that would make the kernel under the name that the notebook has.

    None for a language whose packages are not known here.
    """
    if wanted.language not in {"python", "r"}:
        return None
    name = _name(wanted)
    if wanted.language == "r":
        packages = (f"r-{n.lower()}" for n in wanted.imports)
        words = ["create", "conda", name, *packages, "--language", "r"]
    else:
        words = ["create", "venv", name, *(DISTRIBUTIONS.get(n, n) for n in wanted.imports)]
        if wanted.version and re.match(r"3\.\d+", wanted.version):
            words += ["--python", ".".join(wanted.version.split(".")[:2])]
    if wanted.title and wanted.title != name:
        dashed = wanted.title.startswith("-")  # else it would be read as an option
        words += [f"--display-name={wanted.title}"] if dashed else ["--display-name", wanted.title]
    return tuple(words)


def _name(wanted: Wanted) -> str:
    """The notebook's own name for its kernel where that can be one, else one that its title suggests."""
    try:
        return check_name(wanted.name)
    except UserError:
        texts = (wanted.title, wanted.name, Path(wanted.path).stem)
        return next((name for text in texts if (name := propose_name(text))), "notebook")
