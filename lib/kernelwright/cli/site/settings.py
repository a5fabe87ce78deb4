"""`site init|check|show|compile`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError, UserError

if TYPE_CHECKING:
    import argparse

    from ...config.loaded import Loaded
    from ...config.reader import Finding
    from ...site.start import Started
    from ..context import Context

COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def configure(action: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of one action."""
    if action == "init":
        parser.add_argument(
            "--output",
            metavar="FILE",
            help="write it there instead of to stdout; an existing file is kept",
        )
        parser.add_argument("--name", metavar="NAME", help="name of the site")
        return
    parser.add_argument(
        "--config",
        metavar="PATH",
        help="folder of *.yaml files, or one file; Open OnDemand's by default",
    )
    parser.add_argument("--json", action="store_true")
    if action == "check":
        parser.add_argument("--start", action="store_true", help="really start each central kernel")
        parser.add_argument("--test-timeout", type=float, default=60.0, metavar="SECONDS")
    if action == "show":
        parser.add_argument(
            "key",
            nargs="?",
            metavar="KEY",
            help="only this key or section, such as slurm or storage.root",
        )


def run(action: str, args: argparse.Namespace, context: Context) -> int:
    """One action."""
    return {"init": _init, "check": _check, "show": _show, "compile": _compile}[action](
        args, context
    )


def loaded(args: argparse.Namespace, context: Context) -> Loaded:
    """The site's files: --config, else KERNELWRIGHT_SITE_CONFIG, else Open OnDemand's folder."""
    from ...config.load import config_path, load

    return load(os.path.abspath(args.config) if args.config else config_path(context.environ))


def _init(args: argparse.Namespace, context: Context) -> int:
    from ...config.render import start

    installed = context.runtime if (context.runtime / "current").exists() else None
    text = start(name=args.name, runtime=str(installed) if installed else None)
    if args.output is None:
        context.stdout.write(text)
        return 0
    path = Path(args.output).absolute()
    if path.suffix != ".yaml":
        raise UsageError(
            "usage",
            f"`{path.name}` would not be read: the name must end with .yaml",
            hint="for example 10-site.yaml",
        )
    _write_new(path, text)
    context.say(
        f"wrote {path}; next: edit it, `kernelwright site check`, `kernelwright site compile`"
    )
    return 0


def _write_new(path: Path, text: str) -> None:
    from ...store.atomic import explained

    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
    except FileExistsError as error:
        raise UserError(
            "file-exists",
            f"`{path}` exists already and was kept",
            hint="choose another name, or move it away",
        ) from error


def _check(args: argparse.Namespace, context: Context) -> int:
    if not 0 < args.test_timeout <= 3600:
        raise UsageError("usage", "--test-timeout must lie between 0 and 3600 seconds")
    from ...catalog.review import review

    found = loaded(args, context)
    findings = [*found.findings, *review(found, environ=context.environ)]
    started: list[Started] = []
    if not args.json:
        _say_findings(findings, context)
    if args.start:
        from ...site.start import start_all

        for one in start_all(found.site, environ=context.environ, timeout=args.test_timeout):
            started.append(one)
            if not args.json:
                _say_started(one, context)
    bad = any(f.severity != "note" for f in findings) or any(s.problem for s in started)
    if args.json:
        document = {
            "version": 1,
            "ok": not bad,
            "files": list(found.files),
            "findings": [f.as_json() for f in findings],
        }
        context.out(
            json.dumps(
                document | ({"started": [s.as_json() for s in started]} if args.start else {}),
                indent=2,
            )
        )
    elif not bad:
        context.say(
            context.paint(
                "green",
                f"ok: {len(found.files)} files, {len(found.site.kernels)} central kernels, {len(found.site.templates)} templates",
            )
        )
    return 1 if bad else 0


def _say_findings(findings: list[Finding], context: Context) -> None:
    for finding in findings:
        word = context.paint(COLOURS[finding.severity], finding.severity, context.stdout)
        context.out(f"{finding.spot}: {word}: {finding.message} [{finding.code}]")
        if finding.hint:
            context.out(f"    hint: {finding.hint}")
    counts = [(word, sum(f.severity == word for f in findings)) for word in ("error", "warning")]
    said = ", ".join(f"{count} {word}{'s' if count > 1 else ''}" for word, count in counts if count)
    if said:
        context.say(said)


def _say_started(one: Started, context: Context) -> None:
    if one.problem is None:
        context.out(f"{one.name}: started in {one.seconds:.1f} s")
        return
    context.out(
        f"{one.name}: {context.paint('red', 'failed', context.stdout)}: {one.problem.message}"
    )
    for text in (one.problem.evidence, one.problem.hint and f"hint: {one.problem.hint}"):
        for line in (text or "").splitlines()[-10:]:
            context.out(f"    {line}")


def _show(args: argparse.Namespace, context: Context) -> int:
    from ...config.show import rows

    found = None if _only_catalog(args, context) else loaded(args, context)
    shown = rows(context.site if found is None else found.site, found, _catalog_name(context))
    if args.key:
        shown = [row for row in shown if row.key == args.key or row.key.startswith(args.key + ".")]
        if not shown:
            raise UserError(
                "site-unknown-key",
                f"`{args.key[:80]}` is not a key of the site's settings",
                hint="docs/reference/site-config.md lists every key",
            )
    if args.json:
        context.out(
            json.dumps(
                {"version": 1, "values": [row.as_json() for row in shown]},
                indent=2,
                ensure_ascii=False,
            )
        )
        return 0
    folder = os.path.join(found.where, "") if found is not None else ""
    wide = max(len(row.key) for row in shown) + 1
    for row in shown:
        context.out(f"{row.key + ':':{wide}} {row.text}  # {row.source.removeprefix(folder)}")
    if found is not None and found.errors:
        context.say(
            f"{len(found.errors)} values are wrong and left out: `kernelwright site check` shows them"
        )
    return 0


def _only_catalog(args: argparse.Namespace, context: Context) -> bool:
    """On nodes without the site's files the catalog of the runtime is what counts."""
    from ...config.load import DEFAULT_FOLDER

    named = args.config or context.environ.get("KERNELWRIGHT_SITE_CONFIG")
    return not named and not os.path.exists(DEFAULT_FOLDER)


def _catalog_name(context: Context) -> str:
    from ...config.effective import catalog_path, read_catalog

    path = catalog_path(context.environ)
    return path if path and read_catalog(path) else "default"


def _compile(args: argparse.Namespace, context: Context) -> int:
    from ...catalog.compile import compile_site

    found = loaded(args, context)
    made = compile_site(found, environ=context.environ)
    catalog: dict[str, Any] = dict(made.catalog)
    hidden = [t for t in catalog["templates"] if t["reason"]]
    if args.json:
        context.out(
            json.dumps(
                {
                    "version": 1,
                    "written": list(made.written),
                    "sha": catalog["sha"],
                    "findings": [f.as_json() for f in found.findings],
                },
                indent=2,
            )
        )
        return 0
    for finding in found.findings:
        if finding.severity == "warning":
            context.say(f"{finding.spot}: warning: {finding.message}")
    for template in hidden:
        context.say(f"the template `{template['name']}` is hidden: {template['reason']}")
    for kernel in catalog["kernels"]:
        if kernel["state"] != "ok":
            context.say(
                f"the central kernel `{kernel['name']}` is {kernel['state']}: {kernel['problem']}; {kernel['hint']}"
            )
    for path in made.written:
        context.out(path)
    return 0
