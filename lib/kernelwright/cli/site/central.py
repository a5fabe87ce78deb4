"""`site build|prefetch|adopt|add`: central kernels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...errors import UserError
from ..create import add_build_options
from .settings import loaded

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ...config.loaded import Loaded
    from ..context import Context


def configure(action: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of one action."""
    parser.add_argument(
        "--config",
        metavar="PATH",
        help="folder of *.yaml files, or one file; Open OnDemand's by default",
    )
    if action == "build":
        parser.add_argument(
            "names", nargs="+", metavar="NAME", help="central kernels that have a recipe"
        )
        add_build_options(parser)
    elif action == "prefetch":
        add_build_options(parser)
    elif action == "adopt":
        parser.add_argument(
            "paths",
            nargs="+",
            metavar="PATH",
            help="a kernelspec folder, or a folder that holds some",
        )
        parser.add_argument(
            "--output",
            metavar="FILE",
            help="file of conf.d for the entries; 50-adopted.yaml by default",
        )
        parser.add_argument("--json", action="store_true")
    else:
        parser.add_argument("bundle", metavar="BUNDLE", help="what `kernelwright request` wrote")
        parser.add_argument("--name", metavar="NAME", help="call the central kernel so")
        parser.add_argument(
            "--output", metavar="FILE", help="file of conf.d for the entry; 60-NAME.yaml by default"
        )
        add_build_options(parser)


def run(action: str, args: argparse.Namespace, context: Context) -> int:
    """One action."""
    return {"build": _build, "prefetch": _prefetch, "adopt": _adopt, "add": _add}[action](
        args, context
    )


def _build(args: argparse.Namespace, context: Context) -> int:
    return _make(args.names, loaded(args, context), args, context)


def _prefetch(args: argparse.Namespace, context: Context) -> int:
    from ...site.build import recipes

    found = loaded(args, context)
    names = list(recipes(found.site))
    if not names:
        context.say("no central kernel has a recipe: there is nothing to make")
    return _make(names, found, args, context)


def _make(names: Sequence[str], found: Loaded, args: argparse.Namespace, context: Context) -> int:
    """Make each kernel, go on after a failure, and compile the catalog when something was made."""
    from ...catalog.compile import broken, compile_site
    from ...site.build import build
    from ..progress import progress_for

    if found.errors:
        raise broken(found)
    progress = progress_for(
        context, "none" if args.json and args.progress == "auto" else args.progress
    )
    done, failed = [], {}
    for name in names:
        try:
            made = build(
                name,
                site=found.site,
                environ=context.environ,
                runtime=context.runtime,
                progress=progress,
                test=not args.no_test,
                test_timeout=args.test_timeout,
            )
        except UserError as problem:
            failed[name] = problem
            continue
        done.append({"name": name, "generation": made.number, "folder": str(made.folder)})
        if not args.json:
            context.out(f"{name}: {made.folder}")
    if done:
        compile_site(found, environ=context.environ)
    if args.json:
        context.out(
            json.dumps(
                {
                    "version": 1,
                    "built": done,
                    "failed": {name: error.as_json() for name, error in failed.items()},
                },
                indent=2,
            )
        )
    elif len(names) == 1 and failed:
        raise failed[names[0]]
    else:
        for name, error in failed.items():
            context.say(
                f"{context.paint('red', 'error')}: {name}: {error.message}"
                + (f"\n  hint: {error.hint}" if error.hint else "")
            )
    return 1 if failed else 0


def _adopt(args: argparse.Namespace, context: Context) -> int:
    from ...site.adopt import adopt

    result = adopt(args.paths, loaded(args, context), output=args.output)
    if args.json:
        skipped = [{"path": path, "reason": reason} for path, reason in result.skipped]
        context.out(
            json.dumps(
                {
                    "version": 1,
                    "file": result.file,
                    "added": list(result.entries),
                    "skipped": skipped,
                },
                indent=2,
                ensure_ascii=False,
            )
        )
        return 0
    for entry in result.entries:
        context.out(f"{entry['name']}: {entry['path']}")
    for path, reason in result.skipped:
        context.say(f"left out `{path}`: {reason}")
    if result.entries:
        context.say(
            f"wrote {len(result.entries)} entries to {result.file}; `kernelwright site compile` puts them into the form"
        )
    return 0


def _add(args: argparse.Namespace, context: Context) -> int:
    from ...site.add import add

    found = loaded(args, context)
    name, file = add(args.bundle, found, name=args.name, output=args.output)
    context.say(f"wrote the entry `{name}` to {file}")
    return _make([name], loaded(args, context), args, context)
