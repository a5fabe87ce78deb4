"""Which kernel a notebook asks for, who has it, what comes nearest, and how it could be made."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..discovery.kernelspec_file import read, read_bytes
from ..environments import layout
from ..errors import UserError
from ..recipe import check_name, propose_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model import Kernel

LIMIT = 256 << 20  # bytes of a notebook
# import name -> distribution, where they differ
DISTRIBUTIONS = {
    "sklearn": "scikit-learn", "cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml", "bs4": "beautifulsoup4",
    "skimage": "scikit-image", "Bio": "biopython", "dateutil": "python-dateutil", "serial": "pyserial",
    "OpenSSL": "pyopenssl", "docx": "python-docx", "mpl_toolkits": "matplotlib", "pylab": "matplotlib",
    "IPython": "ipython", "attr": "attrs", "Crypto": "pycryptodome", "dotenv": "python-dotenv", "umap": "umap-learn",
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What a notebook says about its kernel, and what its cells import."""

    path: str
    name: str
    title: str
    language: str
    version: str | None
    imports: tuple[str, ...]


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


def read_notebook(path: str) -> Wanted:
    """The kernel that a notebook asks for. Raises UserError `notebook-unreadable`."""
    try:
        data = read_bytes(path, LIMIT + 1)
        document = json.loads(data) if len(data) <= LIMIT else None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "it is not JSON"
        raise UserError(
            "notebook-unreadable", f"`{path}` cannot be read as a notebook: {reason}"
        ) from error
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(metadata, dict):
        raise UserError("notebook-unreadable", f"`{path}` is not a notebook: it has no metadata")
    spec, language = _mapping(metadata, "kernelspec"), _mapping(metadata, "language_info")
    return Wanted(
        path,
        _text(spec, "name"),
        _text(spec, "display_name"),
        (_text(spec, "language") or _text(language, "name")).lower(),
        _text(language, "version") or None,
        _imports(document),
    )


def _mapping(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    return found[:200] if isinstance(found, str) else ""


def _imports(document: dict[str, Any]) -> tuple[str, ...]:
    """The top-level names that the code cells import, without the standard library."""
    found: dict[str, None] = {}
    cells = document.get("cells")
    for cell in cells if isinstance(cells, list) else ():
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source")
        text = (
            "".join(s for s in source if isinstance(s, str))
            if isinstance(source, list)
            else str(source or "")
        )
        if re.search(r"^[ \t]*%matplotlib\b", text, re.MULTILINE):
            found["matplotlib"] = None
        for line in re.findall(r"^[ \t]*(?:import|from)[ \t]+([\w., \t]+)", text, re.MULTILINE):
            names = line.split(" import ")[0].split(",")
            for name in (n.split(" as ")[0].strip().split(".")[0] for n in names):
                if re.fullmatch(r"[A-Za-z_]\w*", name) and name not in sys.stdlib_module_names:
                    found[name] = None
    return tuple(found)


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
    """The words after `kernelwright` that would make the kernel under the name that the notebook has."""
    if wanted.language and wanted.language != "python":
        return None
    try:
        name = check_name(wanted.name)
    except UserError:
        name = propose_name(wanted.title or wanted.name or Path(wanted.path).stem)
    words = ["create", "venv", name, *(DISTRIBUTIONS.get(n, n) for n in wanted.imports)]
    if wanted.version and re.match(r"3\.\d+", wanted.version):
        words += ["--python", ".".join(wanted.version.split(".")[:2])]
    if wanted.title and wanted.title != name:
        words += ["--display-name", wanted.title]
    return tuple(words)
