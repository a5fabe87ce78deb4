"""From the words of `create` to a recipe, validated like a file."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, UserError
from ..recipe import check_title, from_mapping, load, propose_name
from ..recipe.names import NAME
from ..recipe.parse import parse_bind

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..model import Recipe
    from .context import Context


def recipe_from(args: argparse.Namespace, context: Context) -> Recipe:
    """The recipe that the words describe; validated like a file."""
    if args.kind == "recipe":
        recipe = load(_read(args.file), source=args.file if args.file != "-" else "standard input")
    elif args.kind == "template":
        from ..catalog.templates import instantiate

        recipe = instantiate(
            context.site, args.template, pairs(args.answers, "answer"), name=args.name
        )
    else:
        recipe = from_mapping(_mapping(args), source="the command line")
    if args.slurm is not None:
        from ..slurm.settings import parse_settings

        recipe = replace(recipe, slurm=parse_settings(args.slurm))
    return recipe


def _read(path: str) -> str:
    limit = 1 << 20
    try:
        if path == "-":
            return sys.stdin.read(limit + 1)
        with open(path, encoding="utf-8") as stream:
            return stream.read(limit + 1)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise UserError(
            "file-not-readable",
            f"`{path[:200]}` cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}",
        ) from error


def _mapping(args: argparse.Namespace) -> dict[str, Any]:
    name, title = names(args.name, args.display_name)
    return {
        "name": name,
        "display_name": title,
        "description": args.description,
        "language": args.language,
        "environment": {args.kind: _environment(args)},
        "modules": {"use": args.module_use, "load": args.module, "purge": args.module_purge},
        "env": pairs(args.env, "--env"),
        "build_env": pairs(args.build_env, "--build-env"),
        "isolation": dict.fromkeys(args.allow, True),
    }


def names(name: str, title: str | None) -> tuple[str, str | None]:
    """A name with capitals or spaces is a display name: the kernel name follows from it."""
    if (
        title is None
        and not NAME.fullmatch(name)
        and propose_name(name)
        and name.strip(". -/")
        and all(c.isalnum() or c in " ._-()+" for c in name)
    ):
        return propose_name(name), check_title(name)
    return name, title


def _environment(args: argparse.Namespace) -> dict[str, Any]:
    here = Path.cwd()
    if args.kind == "conda":
        return {
            "dependencies": args.packages,
            "file": _absolute(args.file, here),
            "channels": args.channel,
            "channels_append": args.channel_append,
        }
    if args.kind == "venv":
        return {
            "requirements": [requirement(p, here) for p in args.packages],
            "file": _absolute(args.file, here),
            "python": args.python,
        }
    if args.kind == "container":
        return {
            "image": _image(args.image, here),
            "gpu": args.gpu,
            "bind": [_bind(b) for b in args.bind],
            "runtime": args.runtime,
        }
    return {"path": _absolute(args.path, here)}


def requirement(text: str, here: Path) -> str:
    """A folder or wheel that was named by its path counts from where the command was called."""
    return str(here / text) if text.startswith(("./", "../")) else text


def _absolute(path: str | None, here: Path) -> str | None:
    if path is None or path.startswith(("/", "~")):
        return path
    return str(here / path)


def _image(image: str, here: Path) -> str:
    """A path that exists here or names a SIF file is made absolute; all else stays as it is."""
    if ":" in image or image.startswith(("/", "~", "-")):
        return image
    path = here / image
    is_path = (
        os.path.exists(path) or image.startswith(".") or path.suffix in {".sif", ".img", ".simg"}
    )
    return str(path) if is_path else image


def _bind(text: str) -> dict[str, Any]:
    try:
        bind = parse_bind(text)
    except ValueError as error:
        raise UsageError(
            "usage",
            f"--bind: {error}",
            hint="write --bind SRC, --bind SRC:DST or --bind SRC:DST:ro",
        ) from error
    return {"source": bind.source, "target": bind.target, "mode": bind.mode}


def pairs(words: Sequence[str], option: str) -> dict[str, str]:
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError("usage", f"{option} takes NAME=VALUE, not `{word[:80]}`")
        found[key] = value
    return found
