"""`kernelwright session prepare`: one pass from the answers of the form to a server that can be started.

Called by template/before.sh within the job. Whatever goes wrong with the chosen kernel leaves a session
that works: the site's default kernel starts, and the kernel that could not be made explains itself.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalog.central import central
from ..discovery import discover
from ..errors import Problem, UserError, as_called
from ..mounts import NETWORK, Mounts
from . import choice, job, kernel_jobs, notices, places, request, server, specs
from .aside import Aside
from .card import Report, last_lines
from .starting import Known, Started, start_with

if TYPE_CHECKING:
    from .places import Places
    from .request import Request
    from .session import Session


def prepare(session: Session, *, host: str, port: str) -> bool:
    """Prepare the session; True when a server is to be started, False when only a kernel was to be made.

    Raises UserError after the reason stands in report.json: then nothing can be started at all.
    """
    report = Report(node=socket.gethostname(), ends_at=job.ends_at(session.environ))
    session.tell(report)
    try:
        return _prepare(session, report, host=host, port=port)
    except UserError as error:
        problem, log = told(error, session.site.command)
        session.tell(replace(report, state="failed").about(problem, log))
        _log(session, Started("", "", "none"), error.code)
        raise
    except KeyboardInterrupt:
        problem = Problem(
            "session-ended-while-preparing",
            "error",
            "the session ended while the kernel was being made",
            "launch again with more hours: what was downloaded is kept and the work goes on from there",
        )
        session.tell(replace(report, state="failed").about(problem))
        raise


def _prepare(session: Session, report: Report, *, host: str, port: str) -> bool:
    asked = request.read(session.root / "request.json")
    asked.check()
    network = on_network(session)
    arranged = places.arrange(session.private, session.home, session.environ, network=network)
    if asked.only:
        return _only(session, asked, report)
    of_jobs = kernel_jobs.variables(asked, session.site)
    where = server.address(host, port)
    server.private_file(session.private / "oom", str(job.oom_kills()))
    # argon2 and Slurm take their time beside everything else
    server.load_argon2()
    secrets = Aside(lambda: server.new_secrets(session.private))
    ends = Aside(lambda: job.ends_at(session.environ, ask=report.ends_at is None))
    known = look(session, arranged)
    started, report, own = _choose(
        session, asked, replace(report, interface=asked.interface), known
    )
    folder, trouble = notices.working_folder(asked, session.home, session.root)
    command, other = server.command(session.site, session.runtime, asked.interface)
    values = {
        **folder,
        **secrets.result(),
        "default_url": "/tree" if command[-1] == "notebook" else "/lab",
        "default_kernel_name": started.name,
        "native_kernel": True,
        "keep_signatures": not arranged.moved,
        "cull_idle": notices.cull_idle(session.site),
    }
    server.write_values(arranged, where, values)
    variables = {**server.environment(arranged, session.environ), **of_jobs}
    server.write_start(arranged, session.site, command, asked.modules, variables)
    found = [arranged.problem, trouble, other, *notices.of_site(asked, session.environ), *own]
    problems = tuple(p for p in found if p)
    report = replace(report, kernel=started.as_json(), problems=problems, ends_at=ends.result())
    session.tell(replace(report, state="starting"))
    _log(session, started, report.code or "ok")
    return True


def on_network(session: Session) -> bool:
    """Whether the home lies on a file system whose locks may hang."""
    return Mounts().file_system(str(session.home))[0] in NETWORK


def look(session: Session, arranged: Places) -> Known:
    """Everything that can be chosen on this node, with the session's own kernelspecs written."""
    kernels = discover(home=session.home, environ=session.environ, site=session.site)
    ours = central(session.site, environ=session.environ)
    offered = choice.offers(ours, kernels)
    folder = arranged.kernelspecs / "kernels"
    taken = {k.name for k in kernels if k.origin in {"user", "legacy"} and k.loads}
    by_value = {offer.value: offer for offer in offered}
    named = {
        value: name
        for value, name in specs.names(offered, taken).items()
        if specs.write_offer(folder, name, by_value[value])
    }
    return Known(kernels, ours, offered, named, folder)


def _choose(
    session: Session, asked: Request, report: Report, known: Known
) -> tuple[Started, Report, tuple[Problem, ...]]:
    """The kernel that new notebooks start with; a failure falls back to the site's default."""
    try:
        value = asked.kernel
        if value.partition(":")[0] in {"new", "template"}:
            return _make(session, asked, value, report, known), report, ()
        chosen = (
            choice.default(known.central)
            if value in {"", "default"}
            else choice.find(value, known.kernels, known.offered)
        )
        return start_with(chosen, known), report, (*notices.of_kernel(chosen, known.central),)
    except UserError as error:
        problem, log = told(error, session.site.command)
        print(f"kernelwright: {problem.code}: {problem.message}", file=sys.stderr, flush=True)
        recipe = getattr(error, "recipe", None)
        name, label = (recipe.name, recipe.title) if recipe else (asked.wished, asked.wished)
        language = recipe.language if recipe else "python"
        unmade = specs.Unmade(known.free(name), label, problem, "\n".join(log), language)
        specs.diagnostic(known.folder, unmade, session.runtime)
        return known.default(), report.about(problem, log), ()


def _make(session: Session, asked: Request, value: str, report: Report, known: Known) -> Started:
    from .making import make

    made = make(session, asked, value, report)
    spec = specs.sound(made.folder)
    if spec is None:
        raise UserError(
            "kernel-unusable",
            f"the kernel `{made.name}` was made, but its kernel.json cannot be read",
        )
    specs.write(known.folder / made.name, spec, made.folder)
    return Started(made.name, specs.describe(spec, made.name), "user", made.built)


def _only(session: Session, asked: Request, report: Report) -> bool:
    """Make the kernel and end: the card says "Ready" and its name."""
    from .making import make

    made = make(session, asked, asked.kernel, report)
    label = specs.describe(specs.sound(made.folder) or {}, made.name)
    started = Started(made.name, label, "user", made.built)
    session.tell(
        replace(report, state="ready", kernel=started.as_json(), message=f"Ready: {label}")
    )
    print(f"Ready: {label}", file=sys.stderr, flush=True)
    _log(session, started, "ok")
    return False


def _log(session: Session, started: Started, code: str) -> None:
    from .. import usage

    kind = "made" if started.made else started.origin
    usage.log(session.site, session.environ.get("USER", ""), started.name, f"session:{kind}", code)


def told(error: UserError, command: str | None) -> tuple[Problem, tuple[str, ...]]:
    """An error as the card's problem, with the last lines of its log or its evidence."""
    evidence = error.context.get("evidence") or error.context.get("output")
    problem = Problem(error.code, "error", error.message, as_called(error.hint, command), evidence)
    lines: tuple[str, ...] = ()
    if log := error.context.get("log"):
        path = Path(log)
        logs = sorted(path.glob("*.log"), key=os.path.getmtime) if path.is_dir() else [path]
        lines = last_lines(logs[-1]) if logs else ()
    if not lines and not evidence:
        lines = tuple(f"{k}: {v}" for k, v in error.context.items())
    return problem, lines
