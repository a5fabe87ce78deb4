"""`adopt`: take hand-made kernels into care."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, UserError

if TYPE_CHECKING:
    import argparse

    from ..doctor.steps import Outcome
    from .context import Context


def configure(_verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of `adopt`."""
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="NAME|PATH",
        help="kernels, kernelspec folders or kernel.json files",
    )
    parser.add_argument(
        "--all", action="store_true", help="all kernels of yours that kernelwright did not make"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be changed, change nothing"
    )
    parser.add_argument(
        "--prefix", metavar="DIR", help="the environment that a bare `python` means"
    )
    parser.add_argument(
        "--image",
        metavar="IMAGE",
        help="the container image, where the kernelspec has a placeholder",
    )
    parser.add_argument("--no-test", action="store_true", help="do not start the kernel once")
    parser.add_argument("--json", action="store_true")


def run(_verb: str, args: argparse.Namespace, context: Context) -> int:
    """Adopt each target; with several, one that cannot be adopted does not stop the others."""
    from ..doctor.adopt import adopt, candidates
    from ..doctor.shape import Wish
    from .doctor import around
    from .progress import progress_for

    here = around(context)
    targets = list(args.targets) + ([k.path for k in candidates(here)] if args.all else [])
    if not targets and not args.all:
        raise UsageError(
            "usage", "give the kernels to adopt, or --all", hint="`kernelwright list` shows them"
        )
    if (args.prefix or args.image) and len(targets) != 1:
        raise UsageError("usage", "--prefix and --image are for one kernel")
    wish = Wish(args.prefix, args.image)
    done: list[Outcome] = []
    failed: list[tuple[str, UserError]] = []
    for target in targets:
        try:
            done.append(
                adopt(
                    target,
                    here,
                    progress=progress_for(context),
                    wish=wish,
                    dry_run=args.dry_run,
                    test=not args.no_test,
                )
            )
        except UserError as error:
            if len(targets) == 1:
                raise
            failed.append((target, error))
    _show(args, done, failed, context)
    return 1 if failed else 0


def _show(
    args: argparse.Namespace,
    done: list[Outcome],
    failed: list[tuple[str, UserError]],
    context: Context,
) -> None:
    if args.json:
        rows: list[dict[str, Any]] = [outcome.as_json() for outcome in done]
        rows += [{"name": target, "error": error.as_json()} for target, error in failed]
        context.out(json.dumps({"version": 1, "kernels": rows}, indent=2))
        return
    for outcome in done:
        for step in outcome.steps:
            context.out(f"{'would ' if args.dry_run else ''}{step.text}")
            context.out(step.diff)
        if args.dry_run:
            context.out(f"recipe:\n{outcome.facts['recipe']}")
        for backup in outcome.backups:
            context.out(f"what was there is kept in {backup}")
    for target, error in failed:
        context.say(
            f"not adopted: {target}: {error.code}: {error.message}"
            + (f"\n  -> {error.hint}" if error.hint else "")
        )
    if not done and not failed:
        context.say("nothing to adopt: every kernel of yours was made by kernelwright")
