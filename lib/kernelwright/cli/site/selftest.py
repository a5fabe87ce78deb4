"""`site selftest`: a table of what works for this user on this node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...errors import UsageError

if TYPE_CHECKING:
    import argparse

    from ...site.check import Check
    from ..context import Context

COLOURS = {"ok": "green", "failed": "red", "skipped": "dim"}


def configure(_action: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of `site selftest`."""
    parser.add_argument("--no-slurm", action="store_true", help="submit no job")
    parser.add_argument(
        "--slurm-timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="how long the small job may wait",
    )
    parser.add_argument("--json", action="store_true")


def run(_action: str, args: argparse.Namespace, context: Context) -> int:
    """Print each check as it ends; exit 1 when one failed."""
    from ...site.check import Surroundings
    from ...site.selftest import selftest

    if not 0 < args.slurm_timeout <= 86_400:
        raise UsageError("usage", "--slurm-timeout must lie between 0 and 86400 seconds")
    around = Surroundings(
        context.home, context.environ, context.site, context.runtime, args.slurm_timeout
    )
    checks = []
    for check in selftest(around, slurm=not args.no_slurm):
        checks.append(check)
        if not args.json:
            _say(check, context)
    failed = sum(check.state == "failed" for check in checks)
    if args.json:
        context.out(
            json.dumps(
                {"version": 1, "ok": not failed, "checks": [check.as_json() for check in checks]},
                indent=2,
            )
        )
    else:
        context.say(
            f"{failed} of {len(checks)} checks failed"
            if failed
            else f"all {len(checks)} checks passed or were skipped"
        )
    return 1 if failed else 0


def _say(check: Check, context: Context) -> None:
    word = context.paint(COLOURS[check.state], f"{check.state:8}", context.stdout)
    context.out(f"{word} {check.name:12} {check.message}")
    if check.hint and check.state == "failed":
        context.out(f"{'':21} hint: {check.hint}")
