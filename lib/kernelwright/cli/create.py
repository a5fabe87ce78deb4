"""`kernelwright create KIND NAME ...`: from words to a recipe, then to the builder."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, UserError
from ..recipe import check_title, from_mapping, load, propose_name
from ..recipe.parse import parse_bind
from .render import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..builder import Builder
    from ..model import Generation, Recipe
    from .context import Context

KINDS = {
    "conda": "packages solved and installed without any conda",
    "venv": "Python packages from pip's index, over a Python of this node",
    "container": "an Apptainer image",
    "script": "your own start script",
    "prefix": "an environment that exists already",
    "recipe": "a recipe file, or - for standard input",
    "template": "one of the site's templates, with key=value answers",
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """One sub-parser a kind; the common options belong to each."""
    kinds = parser.add_subparsers(
        dest="kind", metavar="KIND", required=True, parser_class=type(parser)
    )
    made = {
        name: kinds.add_parser(
            name, help=text, description=f"Make a kernel from {text}.", allow_abbrev=False
        )
        for name, text in KINDS.items()
    }
    for name in ("conda", "venv", "container", "script", "prefix", "template"):
        made[name].add_argument(
            "name", metavar="NAME", help="kernel name, or a display name in quotes"
        )
    made["conda"].add_argument(
        "packages", nargs="*", metavar="SPEC", help="for example python=3.12 numpy"
    )
    made["conda"].add_argument(
        "--file", metavar="FILE", help="environment.yml or an @EXPLICIT list"
    )
    made["conda"].add_argument("--channel", "-c", action="append", default=[], metavar="URL")
    made["conda"].add_argument("--channel-append", action="append", default=[], metavar="URL")
    made["venv"].add_argument(
        "packages", nargs="*", metavar="REQUIREMENT", help="for example numpy 'pandas>=2'"
    )
    made["venv"].add_argument(
        "-r",
        "--requirement",
        dest="file",
        metavar="FILE",
        help="requirements.txt or pyproject.toml",
    )
    made["venv"].add_argument(
        "--python", metavar="VERSION", help="3.12, or the path of an interpreter"
    )
    made["container"].add_argument(
        "image", metavar="IMAGE", help="docker://org/name:tag or a .sif path"
    )
    made["container"].add_argument("--bind", action="append", default=[], metavar="SRC[:DST[:ro]]")
    made["container"].add_argument(
        "--gpu", choices=("auto", "none", "nvidia", "rocm"), default="auto"
    )
    made["container"].add_argument(
        "--runtime", metavar="NAME", help="apptainer or singularity; the site's by default"
    )
    made["script"].add_argument("path", metavar="PATH")
    made["prefix"].add_argument("path", metavar="DIR")
    made["recipe"].add_argument("file", metavar="FILE")
    made["template"].add_argument("template", metavar="TEMPLATE")
    made["template"].add_argument("answers", nargs="*", metavar="KEY=VALUE")
    for name, sub in made.items():
        _common(sub, settings=name not in {"recipe", "template"})


def _common(parser: argparse.ArgumentParser, *, settings: bool) -> None:
    if settings:
        parser.add_argument("--display-name", metavar="TEXT", help="what Jupyter shows")
        parser.add_argument("--description", metavar="TEXT")
        parser.add_argument(
            "--language", metavar="NAME", default="python", help="python, r, julia, bash ..."
        )
        parser.add_argument(
            "--module",
            action="append",
            default=[],
            metavar="MODULE",
            help="load it before the start; may be given again",
        )
        parser.add_argument("--module-use", action="append", default=[], metavar="DIR")
        parser.add_argument("--module-purge", action="store_true")
        parser.add_argument(
            "--env",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="set at every start; ${X} is filled in",
        )
        parser.add_argument(
            "--build-env",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="set only while it is made",
        )
        parser.add_argument(
            "--allow",
            action="append",
            default=[],
            choices=("user_site", "pythonpath", "ld_library_path"),
            help="let it through to the kernel",
        )
    parser.add_argument(
        "--slurm",
        metavar="K=V,...",
        help="a Slurm job of its own: partition=defq,ntasks=4,time=01:00:00",
    )
    add_build_options(parser)
    parser.add_argument("--replace", action="store_true", help="build a kernel of this name anew")
    parser.add_argument(
        "--force", action="store_true", help="move a kernel that is not ours to a backup"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print launch script and kernel.json, change nothing"
    )


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that builds."""
    parser.add_argument("--no-test", action="store_true", help="publish without a start test")
    parser.add_argument("--test-timeout", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--progress", choices=("auto", "plain", "json", "none"), default="auto")
    parser.add_argument("--json", action="store_true")


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Make the kernel and say where it is."""
    recipe = recipe_from(args, context)
    builder = builder_for(args, context)
    if args.dry_run:
        return _show_dry(builder.dry_run(recipe), context, as_json=args.json)
    generation = builder.create(recipe, replace=args.replace, force=args.force)
    say_done(generation, context, as_json=args.json)
    return 0


def builder_for(args: argparse.Namespace, context: Context) -> Builder:
    """The builder with this call's options."""
    from ..builder import Builder
    from .progress import progress_for

    if not 0 < args.test_timeout <= 3600:
        raise UsageError("usage", "--test-timeout must lie between 0 and 3600 seconds")
    return Builder(
        context.home,
        context.environ,
        context.site,
        context.runtime,
        progress_for(context, "none" if args.json and args.progress == "auto" else args.progress),
        test=not args.no_test,
        test_timeout=args.test_timeout,
    )


def recipe_from(args: argparse.Namespace, context: Context) -> Recipe:
    """The recipe that the words describe; validated like a file."""
    if args.kind == "recipe":
        recipe = load(_read(args.file), source=args.file if args.file != "-" else "standard input")
    elif args.kind == "template":
        from ..catalog import instantiate

        recipe = instantiate(
            context.site, args.template, _pairs(args.answers, "answer"), name=args.name
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
        "env": _pairs(args.env, "--env"),
        "build_env": _pairs(args.build_env, "--build-env"),
        "isolation": dict.fromkeys(args.allow, True),
    }


def names(name: str, title: str | None) -> tuple[str, str | None]:
    """A name with capitals or spaces is a display name: the kernel name follows from it."""
    from ..recipe.names import NAME

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
            "requirements": args.packages,
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


def _absolute(path: str | None, here: Path) -> str | None:
    if path is None or path.startswith(("/", "~")):
        return path
    return str(here / path)


def _image(image: str, here: Path) -> str:
    """A path that exists here is made absolute; `docker://` and the like stay as they are."""
    return image if ":" in image or image.startswith(("/", "~", "-")) else str(here / image)


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


def _pairs(words: Sequence[str], option: str) -> dict[str, str]:
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError("usage", f"{option} takes NAME=VALUE, not `{word[:80]}`")
        found[key] = value
    return found


def _show_dry(files: dict[str, str], context: Context, *, as_json: bool) -> int:
    if as_json:
        context.out(json.dumps({"version": 1, "files": files}, indent=2))
        return 0
    for name, text in files.items():
        context.out(f"# ---- {name} ----\n{text.rstrip()}\n")
    return 0


def say_done(generation: Generation, context: Context, *, as_json: bool) -> None:
    """What was made, where its files lie, and when Jupyter shows it."""
    recipe, made = generation.recipe, generation.made
    if as_json:
        context.out(
            json.dumps(
                {
                    "version": 1,
                    "kernel": {
                        "name": recipe.name,
                        "display_name": recipe.title,
                        "kind": recipe.kind,
                        "language": recipe.language,
                        "id": generation.kernel_id,
                        "generation": generation.number,
                        "prefix": made.prefix,
                        "folder": str(generation.folder),
                        "facts": dict(made.facts),
                    },
                },
                indent=2,
                default=str,
            )
        )
        return
    rows = [
        ("name", recipe.name),
        ("kind", recipe.kind),
        ("environment", made.prefix or str(made.facts.get("image", ""))),
    ]
    context.say(context.paint("green", f"Ready: {recipe.title}"))
    context.say(table([(f"  {key}", value) for key, value in rows if value]))
    loose = made.facts.get("unhashed")
    if loose:
        context.say(f"  without a hash in the lock: {', '.join(map(str, loose))}")
    context.say("Jupyter shows it when its page is loaded again; a new session has it at once.")
