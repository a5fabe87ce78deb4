"""`kernelwright jobs list|cancel|clean`: the Slurm jobs of the user's kernels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..errors import UsageError, UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..slurm.jobs import KernelJob
    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `jobs`."""
    del verb
    parser.add_argument("action", choices=("list", "cancel", "clean"), nargs="?", default="list")
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="cancel: job ids or kernel names")
    parser.add_argument("--session", metavar="ID", help="cancel: all jobs of this session")
    parser.add_argument("--all", action="store_true", help="cancel: all jobs of your kernels")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """List, cancel or clean; 1 where Slurm does not answer."""
    del verb
    from ..slurm.clients import Unreachable

    try:
        found = _act(args, context)
    except Unreachable as error:
        raise UserError(
            "slurm-unreachable",
            "Slurm does not answer at the moment",
            context={"Slurm says": str(error)},
            hint="try again in a minute; running kernels are not touched by this",
        ) from error
    if args.json:
        key = {"list": "jobs", "cancel": "cancelled", "clean": "cleaned"}[args.action]
        context.out(json.dumps({"version": 1, key: [job.as_json() for job in found]}, indent=2))
    else:
        _print(args.action, found, context)
    return 0


def _act(args: argparse.Namespace, context: Context) -> Sequence[KernelJob]:
    from ..slurm import jobs
    from ..slurm.scheduler import connect

    if args.action == "cancel" and not (args.jobs or args.session or args.all):
        raise UsageError(
            "usage", "say which jobs to cancel", hint="`kernelwright jobs cancel JOB`, or `--all`"
        )
    bases = jobs.folders(context.home, context.environ, context.site)
    scheduler = connect(environ=context.environ, submit=context.site.slurm.submit)
    if args.action == "clean":
        return jobs.clean(scheduler, bases)
    found = jobs.listed(scheduler, bases)
    if args.action == "list":
        return found
    chosen = jobs.select(found, args.jobs, session=args.session, everything=args.all)
    if chosen:
        scheduler.cancel(ids=[job.job for job in chosen])
    return chosen


def _print(action: str, found: Sequence[KernelJob], context: Context) -> None:
    if action != "list":
        word = {"cancel": "cancelled", "clean": "cancelled, because its notebook is gone"}[action]
        for job in found:
            context.say(f"job {job.job} of kernel {job.kernel}: {word}")
        if not found:
            context.say("nothing to do")
        return
    if not found:
        context.say("no kernel of yours has a Slurm job")
        return
    rows = [("JOB", "KERNEL", "STATE", "NODE", "TIME", "NOTEBOOK", "")]
    for job in found:
        notebook = {True: "open", False: "gone", None: "unknown"}[job.notebook]
        rows.append(
            (job.job, job.kernel, job.state, job.node or "-", job.elapsed, notebook, job.text)
        )
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        context.out("  ".join(cells).rstrip())
