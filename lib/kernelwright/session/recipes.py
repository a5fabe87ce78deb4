"""From the answers of the form to the recipe of a new kernel: a list of packages, a file, an image, a template."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..paths import data_folder
from ..recipe import check_title, from_mapping, load, propose_name
from ..share import bundle
from .request import bad, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..config.model import SiteConfig
    from ..model import Recipe
    from .request import Request

SOURCE = "the form"
FILE_LIMIT = 1 << 20  # bytes of a file that a person has written
CONDA_COMMAND = re.compile(r"(?m)^\W*(?:sudo\s+)?(?:conda|mamba|micromamba|pixi)\s")
SINGLE = re.compile(
    r"([A-Za-z0-9._\[\],-]+?)\s*=\s*([A-Za-z0-9._*+!]+)(?:=[^=]*)?"
)  # conda's name=version
PYTHON = re.compile(r"python\s*(?:={0,2}\s*(\d+(?:\.\d+){0,2})(?:\.\*)?|([<>!~]=?[\d.,<>=!~*\s]+))")


def recipe(
    request: Request, value: str, *, site: SiteConfig, home: Path, environ: Mapping[str, str]
) -> Recipe:
    """The recipe that `value` (`new:...` or `template:NAME`) asks for.

    Raises `bad-answer`, and what the recipe's own reader says.
    """
    kind, _, what = value.partition(":")
    if kind == "template":
        return _from_template(request, what, site, home, environ)
    makers: dict[str, Callable[[Request, SiteConfig, Path], Recipe]] = {
        "packages": _from_packages,
        "file": _from_file,
        "container": _from_image,
    }
    if what not in makers:
        raise bad("kw_kernel", f"`{shown(value)}` is nothing that can be made")
    return makers[what](request, site, home)


def _from_template(
    request: Request, name: str, site: SiteConfig, home: Path, environ: Mapping[str, str]
) -> Recipe:
    from ..catalog.templates import answers_from_form, fill_in, find

    found = find(site, name)
    fields = {
        k: request.text(k) for k in request.answers if k.startswith("kwt_") and request.text(k)
    }
    answers = answers_from_form(found, fields)
    return fill_in(found, answers, title=_title(request) or None, home=home, environ=environ)


def _from_packages(request: Request, site: SiteConfig, _home: Path) -> Recipe:
    from ..environments.conda.pasted import read

    text = request.text("kw_packages")
    wanted = read(text)
    if not wanted.conda and not wanted.pip:
        raise bad(
            "kw_packages", "it names no package", "write one package a line, for example `numpy`"
        )
    kind = _installer(
        request,
        site,
        conda=bool(wanted.channels) or "::" in text or bool(CONDA_COMMAND.search(text)),
    )
    spec: dict[str, Any]
    if kind == "conda":
        spec = {"channels": wanted.channels, "dependencies": wanted.conda, "pip": wanted.pip}
    else:
        spec = _for_pip([*wanted.conda, *wanted.pip])
    first = re.match(r"[A-Za-z0-9._-]+", (wanted.conda or wanted.pip)[0].rpartition("::")[2])
    return _named(request, {"environment": {kind: spec}}, first[0] if first else "packages")


def _installer(request: Request, site: SiteConfig, *, conda: bool) -> str:
    """conda or venv: as answered, else as the lines say, else as the site does; never what it forbids."""
    said = request.line("kw_installer")
    if said in {"conda", "venv"}:
        return said
    wanted = "conda" if conda or site.form.packages == "conda" else "venv"
    other = "venv" if wanted == "conda" else "conda"
    return other if wanted not in site.policy.kinds and other in site.policy.kinds else wanted


def _for_pip(words: list[str]) -> dict[str, Any]:
    """Requirements in pip's writing; a line that asks for Python itself chooses the interpreter."""
    requirements: list[str] = []
    python = None
    for word in words:
        if match := PYTHON.fullmatch(word):
            python = match[1] or "".join(match[2].split())
        elif word.lower() == "python":
            continue
        elif (match := SINGLE.fullmatch(word)) and "://" not in word:
            version = match[2] if match[2].endswith("*") else f"{match[2]}.*"
            requirements.append(f"{match[1]}=={version}")
        else:
            name, _, version = word.partition(" ")
            plain = re.fullmatch(r"\d[0-9A-Za-z.*]*", version.strip())
            requirements.append(f"{name}=={version.strip()}" if plain else word)
    return {"requirements": requirements, **({"python": python} if python else {})}


def _from_file(request: Request, _site: SiteConfig, home: Path) -> Recipe:
    path = resolve(request.line("kw_file"), home)
    data = _read(path)
    suffix = path.suffix.lower()
    stem = propose_name(path.stem) or "environment"
    if bundle.is_bundle(data):
        found = bundle.load(data, source=str(path))
        return _renamed(request, bundle.unpack(found, data_folder(home) / "imports"))
    if suffix in {".yml", ".yaml", ".json"} and _is_recipe(data):
        return _renamed(request, load(data.decode("utf-8-sig"), source=str(path)))
    if (
        suffix in {".yml", ".yaml"}
        or path.name.endswith((".lock", ".conda.txt"))
        or b"@EXPLICIT" in data
    ):
        return _named(request, {"environment": {"conda": {"file": str(path)}}}, stem)
    if suffix in {".txt", ".in", ".toml", ".cfg"}:
        return _named(request, {"environment": {"venv": {"file": str(path)}}}, stem)
    raise bad(
        "kw_file",
        f"`{shown(str(path), 200)}` is no environment file that is known here",
        "give an environment.yml, a requirements.txt, a pyproject.toml or an exported kernel",
    )


def _is_recipe(data: bytes) -> bool:
    """Whether a YAML file is a recipe (or an exported kernel) rather than an environment.yml."""
    return re.search(rb"(?m)^\W?environment\W?\s*:", data) is not None and b"version" in data


def _from_image(request: Request, _site: SiteConfig, home: Path) -> Recipe:
    image = request.line("kw_image")
    if not image:
        raise bad(
            "kw_image", "it is empty", "give `docker://org/name:tag` or the path of a .sif file"
        )
    if "://" not in image:
        image = str(resolve(image, home, field="kw_image"))
    stem = image.rstrip("/").rpartition("/")[2].partition(":")[0].removesuffix(".sif")
    return _named(request, {"environment": {"container": {"image": image}}}, stem)


def resolve(said: str, home: Path, *, field: str = "kw_file") -> Path:
    """An absolute path out of a typed one; `~/` and relative ones begin in the home."""
    if not said:
        raise bad(field, "it is empty", "give the path of a file")
    inner = said.removeprefix("~/")
    return Path(os.path.normpath(os.path.join(home, inner)))


def _read(path: Path) -> bytes:
    """The bytes of an ordinary, readable file of reasonable size; raises `bad-answer`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as stream:
            if not os.path.isfile(path):
                raise bad("kw_file", f"`{shown(str(path), 200)}` is not a file")
            data = stream.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it cannot be read"
        raise bad("kw_file", f"`{shown(str(path), 200)}`: {why}") from error
    if len(data) > FILE_LIMIT:
        raise bad("kw_file", f"`{shown(str(path), 200)}` is larger than {FILE_LIMIT >> 20} MB")
    return data


def _title(request: Request) -> str:
    said = request.line("kw_title")
    return check_title(said) if said else ""


def _named(request: Request, data: dict[str, Any], fallback: str) -> Recipe:
    """Validate the recipe with the name that the display name gives."""
    title = _title(request) or fallback
    name = propose_name(title)
    if not name:
        raise bad(
            "kw_title",
            "it holds none of the letters a-z and no digit",
            "for example `RNA analysis`",
        )
    return from_mapping({**data, "name": name, "display_name": title}, source=SOURCE)


def _renamed(request: Request, read: Recipe) -> Recipe:
    from dataclasses import replace

    title = _title(request)
    if not title:
        return read
    name = propose_name(title)
    if not name:
        raise UserError(
            "invalid-display-name",
            "the display name gives no kernel name",
            hint="use letters a-z or digits",
        )
    return replace(read, name=name, display_name=title)
