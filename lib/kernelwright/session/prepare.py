"""`kernelwright session prepare`: one pass from the answers of the form to a server that can be started.

Called by template/before.sh within the job. Whatever goes wrong with the chosen kernel leaves a session
that works: the site's default kernel starts, and the kernel that could not be made explains itself.
"""

from __future__ import annotations

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..catalog import central
from ..discovery import discover
from ..errors import Problem, UserError
from . import choice, job, places, request, server, specs
from .card import Report, last_lines, write_report
from .choice import Choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..catalog import Central
    from ..config.model import SiteConfig
    from ..model import Kernel
    from .request import Request
    from .specs import Offer


@dataclass(frozen=True)
class Session:
    """The surroundings of one session; `root` is OOD's staged root, `private` the folder for secrets."""

    root: Path
    private: Path
    home: Path
    environ: Mapping[str, str]
    site: SiteConfig
    runtime: Path


@dataclass(frozen=True)
class Started:
    """What a new notebook starts with: Jupyter's name, what people read, whether this session built it."""

    name: str
    label: str
    origin: str
    made: bool = False

    def as_json(self) -> dict[str, Any]:
        """The `kernel` member of report.json."""
        return {"name": self.name, "label": self.label, "origin": self.origin, "made": self.made}


def prepare(session: Session, *, host: str, port: str) -> bool:
    """Prepare the session; True when a server is to be started, False when only a kernel was to be made.

    Raises UserError after the reason stands in report.json: then nothing can be started at all.
    """
    report = Report(node=socket.gethostname(), ends_at=job.ends_at(session.environ))
    write_report(session.root, report)
    try:
        return _prepare(session, report, host=host, port=port)
    except UserError as error:
        write_report(session.root, replace(report, state="failed").about(*_told(error)))
        raise
    except KeyboardInterrupt:
        problem = Problem(
            "session-ended-while-preparing",
            "error",
            "the session ended while the kernel was being made",
            "launch again with more hours: what was downloaded is kept and the work goes on from there",
        )
        write_report(session.root, replace(report, state="failed").about(problem))
        raise


def _prepare(session: Session, report: Report, *, host: str, port: str) -> bool:
    asked = request.read(session.root / "request.json")
    report = replace(report, interface=None if asked.only else asked.interface)
    with ThreadPoolExecutor(1) as pool:
        places.check_private(session.private)
        hashed = None if asked.only else pool.submit(server.new_secrets, session.private)
        arranged = places.arrange(session.private, session.home, session.environ)
        kernels = discover(home=session.home, environ=session.environ, site=session.site)
        ours = central(session.site, environ=session.environ)
        offered = choice.offers(ours, kernels)
        taken = {k.name for k in kernels if k.origin in {"user", "legacy"} and k.visible}
        named = _write_offers(arranged.kernelspecs / "kernels", offered, taken)
        outcome = _choose(session, asked, report, _Known(kernels, ours, offered, named, arranged.kernelspecs / "kernels"))
        problems = [*_warnings(session, asked, arranged.problem), *outcome.problems]
        report = replace(outcome.report, problems=tuple(problems))
        if asked.only:
            return _only(session, outcome.started, report)
        where = server.address(host, port)
        folder, trouble = working_folder(asked, session.home, session.root)
        values = {
            **folder,
            **hashed.result(),  # type: ignore[union-attr] # made unless `only`
            "default_url": "/tree" if asked.interface == "notebook" else "/lab",
            "default_kernel_name": outcome.started.name,
            "native_kernel": True,
            "cull_idle": _cull_idle(session.site),
        }
    server.write_values(arranged, where, values)
    server.write_start(arranged, session.site, session.runtime, asked, session.environ)
    report = replace(
        report,
        state="starting",
        kernel=outcome.started.as_json(),
        problems=(*report.problems, *([trouble] if trouble else [])),
    )
    write_report(session.root, report)
    return True


@dataclass(frozen=True)
class _Known:
    kernels: Sequence[Kernel]
    central: Sequence[Central]
    offered: Sequence[Offer]
    named: Mapping[str, str]
    folder: Path


@dataclass(frozen=True)
class _Outcome:
    started: Started
    report: Report
    problems: tuple[Problem, ...] = ()


def _choose(session: Session, asked: Request, report: Report, known: _Known) -> _Outcome:
    """The kernel that new notebooks start with; a failure falls back to the site's default."""
    value, label = "", "kernel"
    try:
        value = asked.kernel
        kind = value.partition(":")[0]
        if kind in {"new", "template"}:
            from . import making

            made = making.make(session, asked, value, report)
            spec = specs.sound(made.folder)
            if spec is None:
                raise UserError("kernel-not-published", f"the kernel `{made.name}` was made but cannot be read")
            specs.write(known.folder / made.name, spec, made.folder)
            return _Outcome(Started(made.name, specs.describe(spec, made.name), "user", made.built), report)
        if asked.only:
            raise request.bad("kw_kernel", "to make a kernel without a notebook, choose one of “Make a new one”")
        if value in {"", "default"}:
            return _Outcome(_use(choice.default(known.central), known), report)
        chosen = choice.find(value, known.kernels, known.offered)
        return _Outcome(_use(chosen, known), report, _serious(chosen))
    except UserError as error:
        if asked.only:
            raise
        problem, log = _told(error)
        print(f"kernelwright: {problem.code}: {problem.message}", file=sys.stderr, flush=True)
        label = getattr(error, "kernel", None) or label
        _leave_diagnostic(session, known, value, problem, error)
        started = _use(choice.default(known.central), known)
        return _Outcome(started, report.about(problem, log))


def _use(chosen: Choice, known: _Known) -> Started:
    """Make sure that Jupyter starts exactly this kernel, and say under which name."""
    if chosen.folder is None:
        return Started(chosen.name, "Python 3", "jupyter")
    spec = specs.sound(chosen.folder)
    if spec is None:
        raise UserError(
            "kernel-unusable",
            f"the kernel.json of `{chosen.name}` cannot be used",
            context={"kernel.json": str(chosen.folder / "kernel.json")},
            hint=f"`kernelwright doctor {chosen.name}` says what is wrong with it",
        )
    if chosen.origin in {"site", "group"} and chosen.value in known.named:
        name = known.named[chosen.value]
        written = specs.sound(known.folder / name) or spec
        return Started(name, specs.describe(written, name), chosen.origin)
    name = chosen.name if chosen.origin != "conda" else f"conda.{chosen.name}"
    specs.write(known.folder / name, spec, chosen.folder)
    origin = chosen.origin if chosen.origin in {"user", "group", "site"} else "user" if chosen.origin == "conda" else "jupyter"
    return Started(name, specs.describe(spec, name), origin)


def _write_offers(folder: Path, offered: Sequence[Offer], taken: set[str]) -> dict[str, str]:
    named = specs.names(offered, taken)
    by_value = {offer.value: offer for offer in offered}
    return {v: name for v, name in named.items() if specs.write_offer(folder, name, by_value[v])}


def _leave_diagnostic(session: Session, known: _Known, value: str, problem: Problem, error: UserError) -> None:
    """Let the kernel that was asked for open as the diagnostic kernel, where it has a usable name."""
    from ..recipe import propose_name

    wanted = getattr(error, "kernel_name", None) or value.rpartition(":")[2].rpartition("/")[2]
    name = propose_name(wanted) or "failed-kernel"
    if (known.folder / name).exists():
        name = f"failed.{name}"
    specs.diagnostic(
        known.folder,
        name,
        label=getattr(error, "kernel_label", None) or wanted or name,
        problem=problem,
        log=error.context.get("log"),
        runtime=session.runtime,
    )


def _only(session: Session, started: Started, report: Report) -> bool:
    text = f"Ready: {started.label}"
    write_report(session.root, replace(report, state="ready", kernel=started.as_json(), message=text))
    print(text, file=sys.stderr, flush=True)
    return False


def _warnings(session: Session, asked: Request, first: Problem | None) -> list[Problem]:
    found = [first] if first else []
    mine = _catalog_sha(session.environ)
    if asked.catalog_sha and mine and asked.catalog_sha != mine:
        found.append(
            Problem(
                "catalog-differs",
                "warning",
                "the form and this node read different versions of the site's settings",
                "an admin of the site runs `kernelwright site compile`",
            )
        )
    if job.is_root():
        found.append(
            Problem("runs-as-root", "warning", "this session runs as root", "launch it as an ordinary user")
        )
    return found


def _catalog_sha(environ: Mapping[str, str]) -> str | None:
    from ..config.effective import catalog_path, read_catalog

    sha = (read_catalog(catalog_path(environ)) or {}).get("sha")
    return sha if isinstance(sha, str) else None


def _serious(chosen: Choice) -> tuple[Problem, ...]:
    return tuple(p for p in chosen.problems if p.severity in {"error", "warning"})[:5]


def _cull_idle(site: SiteConfig) -> int:
    """Seconds after which a kernel that nobody has open ends; 0 for never."""
    minutes = site.slurm.limits.get("idle")
    return int(minutes * 60) if isinstance(minutes, (int, float)) and minutes > 0 else 0


def working_folder(asked: Request, home: Path, root: Path) -> tuple[dict[str, str], Problem | None]:
    """The server's root folder and where the file browser opens; a folder that is not there is a warning."""
    base = str(home) if os.access(home, os.R_OK | os.X_OK) else str(root)
    try:
        said = asked.line("kw_folder")
        folder = os.path.normpath(os.path.join(base, os.path.expanduser(said) if said != "~" else base)) if said else base
        if said.startswith("~/"):
            folder = os.path.normpath(os.path.join(home, said[2:]))
        if os.path.isdir(folder) and os.access(folder, os.R_OK | os.X_OK):
            if folder == base:
                return {"root_dir": base}, None
            if os.path.realpath(folder).startswith(os.path.realpath(base) + "/"):
                return {"root_dir": base, "preferred_dir": folder}, None
            return {"root_dir": folder}, None
        what = f"the folder `{request.shown(said, 200)}` is not there or cannot be entered"
    except UserError as error:
        what = error.message
    problem = Problem("folder-missing", "warning", f"{what}: the session opens in `{base}`", "change “Folder” on the form")
    return {"root_dir": base}, problem


def _told(error: UserError) -> tuple[Problem, tuple[str, ...]]:
    """An error as the card's problem, with the last lines of its log or its evidence."""
    evidence = error.context.get("evidence") or error.context.get("output")
    problem = Problem(error.code, "error", error.message, error.hint, evidence)
    log = error.context.get("log")
    lines: tuple[str, ...] = ()
    if log:
        path = Path(log)
        logs = sorted(path.glob("*.log"), key=lambda p: p.stat().st_mtime) if path.is_dir() else [path]
        lines = last_lines(logs[-1]) if logs else ()
    if not lines and not evidence:
        lines = tuple(f"{k}: {v}" for k, v in error.context.items())
    return problem, lines
