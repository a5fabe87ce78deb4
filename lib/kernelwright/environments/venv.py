"""Virtual environments: uv makes them over an interpreter that is already on the node."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process
from ..errors import UserError
from ..model import Made, VenvSpec
from ..paths import expand_user
from ..progress import Silent
from . import intact, layout, uv
from .start import command  # noqa: F401 - the kind's own answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import Problem
    from ..model import Recipe
    from ..progress import Progress
    from .base import Choice, Place

_PLAIN = re.compile(
    r"=?=?\s*(\d+(?:\.\d+)?)(?:\.\*)?"
)  # a version of Python without its third part
_ITSELF = re.compile(r"python\s*(?:[=<>!~].*)?")


def make(recipe: Recipe, place: Place, progress: Progress) -> Made:
    """Make the virtual environment, seed pip, and install the requirements from an exact lock."""
    spec = recipe.environment
    assert isinstance(spec, VenvSpec)  # noqa: S101 - the kind was chosen by the spec
    wanted = _wanted(recipe, spec)
    base = find_python(spec.python, place)
    progress.phase("link", f"making the environment over {base}")
    tool = uv.Uv(place, progress)
    shutil.rmtree(place.prefix, ignore_errors=True)
    tool.run("venv", "--seed", "--python", str(base), "--no-project", str(place.prefix))
    files = [] if spec.lock else _files(spec, place, progress.note)
    python = place.prefix / "bin/python"
    lock, loose = (
        _from_lock(spec.lock, place, progress, python)
        if spec.lock
        else uv.install(place, progress, python, wanted, files)
    )
    _fetch_spoilt(tool, place.prefix)
    return Made(
        kind="venv",
        language=recipe.language,
        prefix=str(place.prefix),
        interpreter=str(python),
        lock="requirements.lock",
        facts={
            "base": str(base),
            "python": layout.python_version(place.prefix),
            "unhashed": loose,
            "packages": lock.count("=="),
        },
    )


def _from_lock(lock: str, place: Place, progress: Progress, python: Path) -> tuple[str, list[str]]:
    """Install exactly what an earlier build locked (`repair`, `import`, `clone`)."""
    source = Path(expand_user(lock, place.home))
    if not uv.has(str(source)):
        raise UserError("file-not-found", f"the lock `{source}` cannot be read")
    text = source.read_text()
    (place.keep / "requirements.lock").write_text(text)
    loose = uv.unhashed(text)
    progress.phase("download", "downloading and installing the locked packages")
    hashes = [] if loose else ["--require-hashes"]
    uv.Uv(place, progress).run(
        "pip",
        "install",
        "--no-deps",
        "--python",
        str(python),
        *hashes,
        "-r",
        str(place.keep / "requirements.lock"),
    )
    return text, loose


def _fetch_spoilt(tool: uv.Uv, prefix: Path) -> None:
    """Fetch anew what is not whole: environments share their files with uv's cache by hard links.

    Whoever has overwritten a file in one environment has spoilt the cache and every later copy.
    """
    spoilt = intact.damaged(prefix)
    if spoilt:
        tool.progress.note(f"fetching anew, for the cache was changed: {', '.join(spoilt)}")
        tool.run("cache", "clean", *spoilt)
        again = (word for name in spoilt for word in ("--reinstall-package", name))
        lock = str(tool.place.keep / uv.LOCK)
        tool.run(
            *("pip", "install", "--no-deps", "--python", str(prefix / "bin/python")),
            *(*again, "-r", lock),
        )


def solve_only(recipe: Recipe, place: Place) -> dict[str, Choice]:
    """The versions that a build would choose now, by distribution name; nothing is installed."""
    spec = recipe.environment
    assert isinstance(spec, VenvSpec)  # noqa: S101 - the kind was chosen by the spec
    files, wanted = _files(spec, place, Silent().note), _wanted(recipe, spec)
    python = place.prefix / "bin/python"
    return uv.pinned(uv.compile_lock(uv.Uv(place, Silent()), python, wanted, files))


def locked(text: str) -> dict[str, Choice]:
    """The packages of a lock that this kind wrote."""
    return uv.pinned(text)


def _files(spec: VenvSpec, place: Place, note: Callable[[str], None]) -> list[str]:
    """The file that the recipe names; where it is gone, the lock of the last build stands for it."""
    if spec.file is None:
        return []
    path = expand_user(spec.file, place.home)
    if uv.has(path):
        return [path]
    kept = sorted(place.keep.parent.glob(f"[0-9]*/{uv.LOCK}"), key=lambda p: p.stat().st_mtime)
    if kept:
        note(f"`{path}` cannot be read: the packages of the last build are kept")
        return [str(kept[-1])]
    raise UserError(
        "file-not-found",
        f"`{path}` cannot be read",
        hint="give the path of a requirements.txt or pyproject.toml",
    )


def _wanted(recipe: Recipe, spec: VenvSpec) -> list[str]:
    """The requirements, and ipykernel where the language needs it and nobody asked for it."""
    wanted = list(spec.requirements)
    itself = next((w for w in wanted if _ITSELF.fullmatch(w)), None)
    if itself:
        raise UserError(
            "invalid-requirement",
            f"`{itself}` asks for Python itself, which is no package here",
            hint="`--python 3.12` (`python:` in a recipe) chooses among the interpreters of the node; a conda kernel brings its own",
        )
    if recipe.language == "python" and not any(re.match(r"ipykernel(?![\w.-])", w) for w in wanted):
        wanted.append("ipykernel")
    return wanted


def check(recipe: Recipe, made: Made) -> list[Problem]:
    """Whether interpreter, base interpreter and ipykernel are still there."""
    return layout.check_prefix(made.prefix, made.interpreter, recipe.language)


def find_python(wanted: str | None, place: Place) -> Path:
    """The base interpreter: a path, or the first of that version; nothing is ever downloaded.

    Raises `python-not-found` with the versions that there are.
    """
    if wanted and "/" in wanted:
        path = Path(expand_user(wanted, place.home))
        if os.access(path, os.X_OK) and path.is_file():
            return path
        raise UserError("python-not-found", f"the interpreter `{path}` cannot be run")
    asked = wanted.lower().removeprefix("python").strip() if wanted else None
    known = pythons(place)
    for path, have in known.items():
        if asked is None or _fits(asked, have, path):
            return path
    exact = asked is not None and _PLAIN.fullmatch(asked) is None
    there = {_full_version(path, have) if exact else have for path, have in known.items()}
    raise UserError(
        "python-not-found",
        f"there is no Python {asked or ''} on this node".replace("  ", " "),
        context={"there are": ", ".join(sorted(there)) or "none"},
        hint="choose one of these, or make a conda kernel, which brings its own Python",
    )


def _fits(asked: str, have: str, path: Path) -> bool:
    """Whether the Python `have` (X.Y) at `path` is what was asked for: 3, 3.11, 3.11.9, >=3.10,<3.13.

    Only where X.Y does not decide it is the interpreter asked for its whole version.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if plain := _PLAIN.fullmatch(asked):
        return f"{have}.".startswith(f"{plain[1]}.")
    if re.match(r"=?\d", asked):  # conda's writing: 3.11.9 and =3.11.9
        asked = f"=={asked.lstrip('=')}"
    try:
        return SpecifierSet(asked).contains(_full_version(path, have), prereleases=True)
    except InvalidSpecifier:
        return False


def _full_version(path: Path, have: str) -> str:
    """X.Y.Z of an interpreter by its own words; X.Y where it says nothing."""
    code = "import platform; print(platform.python_version().rstrip('+'))"
    said = process.run([str(path), "-I", "-S", "-c", code], timeout=30).stdout.strip()
    return said if re.match(r"\d+\.\d+\.\d+", said) else have


def pythons(place: Place) -> dict[Path, str]:
    """The interpreters that this node offers, the site's own first, each with its X.Y version."""
    named = [Path(expand_user(p, place.home)) for p in place.site.python.interpreters]
    folders = ["/usr/bin", "/usr/local/bin", *place.environ.get("PATH", "").split(os.pathsep)]
    found: dict[Path, str] = {}
    for path in [*named, *(Path(f) / "python3" for f in folders if f), *_versioned(folders)]:
        real = os.path.realpath(path)
        match = re.fullmatch(r"python(3\.\d+)", os.path.basename(real))
        in_venv = os.path.exists(path.parent.parent / "pyvenv.cfg") and path not in named
        if match and os.access(path, os.X_OK) and not in_venv and not _is_shim(path):
            found.setdefault(path, match[1])
    return found


def _versioned(folders: list[str]) -> list[Path]:
    found = []
    for folder in dict.fromkeys(f for f in folders if f):
        try:
            names = [n for n in os.listdir(folder) if re.fullmatch(r"python3\.\d+", n)]
        except OSError:
            continue
        found += [Path(folder) / n for n in sorted(names, key=lambda n: -int(n.split(".")[1]))]
    return found


def _is_shim(path: Path) -> bool:
    """pyenv and the like put scripts in the way, which cost 100 ms and depend on the shell."""
    try:
        with open(path, "rb") as stream:
            return stream.read(2) == b"#!"
    except OSError:
        return True
