"""`kernelwright modules [PATTERN]`: what can stand in a recipe's `modules: load:`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from .. import modules

if TYPE_CHECKING:
    import argparse

    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    del verb
    parser.add_argument(
        "pattern",
        nargs="?",
        metavar="PATTERN",
        help="part of a name, or a shell pattern such as 'gcc/1*'",
    )
    parser.add_argument(
        "--use",
        action="append",
        default=[],
        metavar="DIR",
        help="look in this folder too (module use)",
    )
    parser.add_argument(
        "--refresh", action="store_true", help="ask the module system again instead of the cache"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """List; modules that need another one first are marked."""
    del verb
    listing = modules.available(
        site=context.site,
        home=context.home,
        environ=context.environ,
        use=tuple(args.use),
        max_age=0.0 if args.refresh else modules.MAX_AGE,
    )
    found = listing.matching(args.pattern)
    now = time.time()
    if args.json:
        context.out(json.dumps(modules.as_json(listing, found, now=now), indent=2))
        return 0
    for module in found:
        notes = ["default"] * module.default + ["needs another module first"] * (
            not module.loadable
        )
        context.out(f"{module.name}  ({', '.join(notes)})" if notes else module.name)
    if not found:
        context.say(
            f"no module matches `{args.pattern}`" if args.pattern else "there are no modules"
        )
    context.say(f"{listing.system}, asked {_age(now - listing.written_at)} (--refresh asks again)")
    return 0


def _age(seconds: float) -> str:
    if seconds < 60:
        return "just now"
    return f"{seconds / 60:.0f} min ago" if seconds < 3600 else f"{seconds / 3600:.0f} h ago"
