"""`kernelwright create KIND NAME ...`: from words to a recipe, then to the builder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..errors import UsageError
from .look import refresh
from .render import table
from .words import recipe_from

if TYPE_CHECKING:
    import argparse

    from ..builder import Builder
    from ..model import Generation
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
        "--python", metavar="VERSION", help="3.12, 3.12.4, '>=3.10', or the path of an interpreter"
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
        from ..preview import preview

        return _show_dry(preview(builder, recipe), context, as_json=args.json)
    generation = builder.create(recipe, replace=args.replace, force=args.force)
    refresh(context)
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
