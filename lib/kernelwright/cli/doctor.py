"""`doctor`, `repair` and `report`: parse, call, show."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from ..errors import Problem, UsageError, UserError
from .render import one_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from ..doctor import Diagnosis
    from ..doctor.notebook import Answer
    from ..doctor.notebook_file import Wanted
    from ..doctor.subject import Around
    from .context import Context

COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of the three verbs."""
    parser.add_argument("--json", action="store_true")
    if verb == "doctor":
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME|NOTEBOOK.ipynb",
            help="kernels, or one notebook; none: all kernels and the account",
        )
        parser.add_argument(
            "--probe", action="store_true", help="also run each kernel's interpreter and ask it"
        )
        parser.add_argument(
            "--make", action="store_true", help="with a notebook: make the kernel that it asks for"
        )
    elif verb == "repair":
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be changed, change nothing"
        )
        parser.add_argument("--prefix", metavar="NEW", help="where the environment is now")
    else:
        parser.add_argument("name", metavar="NAME", nargs="?")
        parser.add_argument("--output", metavar="FILE", help="where to write it (- for stdout)")


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Dispatch to the verb."""
    return {"doctor": _doctor, "repair": _repair, "report": _report}[verb](args, context)


def around(context: Context) -> Around:
    """The surroundings of this call, as doctor wants them."""
    from ..doctor.subject import Around as AroundValue

    return AroundValue(context.home, context.environ, context.site, context.runtime)


def _doctor(args: argparse.Namespace, context: Context) -> int:
    if any(name.endswith(".ipynb") for name in args.names):
        if len(args.names) > 1:
            raise UsageError("usage", "give one notebook, or names of kernels")
        return _notebook(args, context)
    from ..doctor import diagnose

    found, account = diagnose(around(context), names=args.names, probe=args.probe)
    _check_names(args.names, found)
    broken = any(d.broken for d in found) or any(p.severity == "error" for p in account)
    if args.json:
        context.out(
            json.dumps(
                {
                    "version": 1,
                    "kernels": [_row(d) for d in found],
                    "account": [p.as_json() for p in account],
                },
                indent=2,
            )
        )
    else:
        _show(found, account, context)
    return 1 if broken else 0


def _check_names(names: Iterable[str], found: Iterable[Diagnosis]) -> None:
    from ..discovery import named

    have = [d.kernel for d in found]
    for name in names:
        if not named(have, name):
            raise UserError(
                "no-such-kernel",
                f"there is no kernel called `{name[:80]}`",
                hint="`kernelwright list --all` shows what there is",
            )


def _row(diagnosis: Diagnosis) -> dict[str, Any]:
    from .look import as_json

    return as_json(diagnosis.kernel)


def _show(found: list[Diagnosis], account: list[Problem], context: Context) -> None:
    bad = [d for d in found if any(p.severity != "note" for p in d.problems)]
    for diagnosis in found if len(found) == 1 else bad:
        kernel = diagnosis.kernel
        mark = {"broken": "red", "untrusted": "red", "warning": "yellow"}.get(kernel.state, "bold")
        context.out(
            context.paint(mark, f"{one_line(kernel.name)}: {kernel.state}", context.stdout)
            + f"  ({one_line(kernel.path)})"
        )
        _show_problems(diagnosis.problems, context)
        context.out("")
    if account:
        context.out(context.paint("bold", "your account", context.stdout))
        _show_problems(account, context)
        context.out("")
    fine = len(found) - len(bad)
    if len(found) != 1:
        context.out(f"{fine} of {len(found)} kernels have no problem that is known from outside")


def _show_problems(problems: Iterable[Problem], context: Context) -> None:
    for problem in problems:
        context.out(
            f"  {context.paint(COLOURS[problem.severity], problem.severity, context.stdout)}: {problem.code}"
        )
        context.out(f"    {one_line(problem.message)}")
        if problem.evidence:
            for line in problem.evidence.splitlines()[:12]:
                context.out(f"    | {line}")
        if problem.hint:
            context.out(f"    -> {context.called(problem.hint)}")


def _notebook(args: argparse.Namespace, context: Context) -> int:
    from ..discovery import discover
    from ..doctor import examine_kernel
    from ..doctor.notebook import answer
    from ..doctor.notebook_file import read_notebook

    kernels = discover(home=context.home, environ=context.environ, site=context.site)
    told = answer(read_notebook(args.names[0]), kernels)
    exact = examine_kernel(told.exact, around(context), probe=args.probe) if told.exact else None
    if args.make:
        return _make(told, context)
    if args.json:
        context.out(json.dumps({"version": 1, **_answer_json(told, exact)}, indent=2))
    else:
        _show_answer(told, exact, context)
    return 0 if exact is not None and not exact.broken else 1


def _answer_json(told: Answer, exact: Diagnosis | None) -> dict[str, Any]:
    wanted = told.wanted
    return {
        "notebook": wanted.path,
        "asks_for": {
            "name": wanted.name,
            "display_name": wanted.title,
            "language": wanted.language,
            "imports": list(wanted.imports),
        },
        "kernel": _row(exact) if exact else None,
        "nearest": [
            {
                "name": m.kernel.name,
                "origin": m.kernel.origin,
                "missing": list(m.missing),
                "reasons": list(m.reasons),
            }
            for m in told.nearest
        ],
        "make": ["kernelwright", *told.command] if told.command else None,
    }


def _show_answer(told: Answer, exact: Diagnosis | None, context: Context) -> None:
    wanted = told.wanted
    title = f" ({wanted.title})" if wanted.title and wanted.title != wanted.name else ""
    language = f"{wanted.language}{' (by its cells)' if wanted.guessed else ''}"
    if wanted.name:
        context.out(
            f"{wanted.path} asks for the kernel `{wanted.name}`{title}, language {language}"
        )
    else:
        context.out(
            f"{wanted.path} names no kernel, Jupyter asks for one; its language is {language}"
        )
    if exact is not None:
        alias = next((p for p in exact.problems if p.code == "kernel-alias"), None)
        context.out(
            f"you have it: {alias.message if alias else exact.kernel.display_name} [{exact.kernel.state}]"
        )
        _show_problems(exact.problems, context)
        if not exact.broken:
            return
    elif wanted.name:
        context.out("you have no kernel of that name")
    for match in told.nearest:
        lacks = f"; it lacks {', '.join(match.missing[:8])}" if match.missing else ""
        context.out(
            f"  near: {match.kernel.name} ({match.kernel.display_name}): {', '.join(match.reasons) or 'same language'}{lacks}"
        )
    if told.nearest:
        context.out("  in the notebook: Kernel > Change Kernel")
    if told.command:
        context.out(f"  make it: kernelwright {shlex.join(told.command)}")
        context.out("  or let it be made: `kernelwright doctor NOTEBOOK.ipynb --make`")
    else:
        context.out(f"  make it over an environment that has {wanted.language}: {_over(wanted)}")


def _over(wanted: Wanted) -> str:
    return f"`kernelwright create prefix NAME DIR --language {shlex.quote(wanted.language)}`"


def _make(told: Answer, context: Context) -> int:
    from . import main

    if told.command is None:
        raise UserError(
            "cannot-make",
            f"a kernel for the language `{told.wanted.language}` cannot be made from a list of packages",
            hint=f"make it over an environment that has it: {_over(told.wanted)}",
        )
    context.say(f"kernelwright {shlex.join(told.command)}")
    return main(list(told.command))


def _repair(args: argparse.Namespace, context: Context) -> int:
    from ..doctor.repair import repair
    from .progress import progress_for

    result = repair(
        args.name,
        around(context),
        prefix=args.prefix,
        dry_run=args.dry_run,
        progress=progress_for(context),
    )
    if args.json:
        context.out(json.dumps({"version": 1, **result.as_json()}, indent=2))
        return 0 if result.mended else 1
    for step in result.steps:
        context.out(f"{'would ' if args.dry_run else ''}{step.text}")
        if step.diff:
            context.out(step.diff)
    for backup in result.backups:
        context.out(f"what was there is kept in {backup}")
    if not result.steps:
        context.out(f"`{args.name}`: nothing that has one right answer")
    for problem in () if args.dry_run else result.left:
        context.say(
            f"not mended: {problem.code}: {problem.message}"
            + (f"\n  -> {problem.hint}" if problem.hint else "")
        )
    return 0 if result.mended else 1


def _report(args: argparse.Namespace, context: Context) -> int:
    from ..doctor.report import default_path, make_report
    from ..store import write_text

    text = make_report(around(context), args.name)
    if args.output == "-":
        context.out(text)
        return 0
    path = default_path(context.home)
    if args.output:
        named = type(context.home)(args.output)
        path = named / path.name if named.is_dir() else named
    write_text(path, text)
    if args.json:
        context.out(json.dumps({"version": 1, "path": str(path)}))
    else:
        context.out(str(path))
        context.say("tokens, keys and passwords were taken out; read it before you send it")
    return 0
