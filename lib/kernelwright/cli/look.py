"""`list` and `show`: what there is, and one kernel in full."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from ..errors import UserError, did_you_mean
from .render import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..model import Generation, Kernel
    from ..store import Owned
    from .context import Context

MARKS = {
    "ok": "ok",
    "warning": "warning",
    "broken": "BROKEN",
    "shadowed": "shadowed",
    "untrusted": "UNTRUSTED",
    "unavailable": "not here",
}


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of both verbs."""
    parser.add_argument("--json", action="store_true")
    if verb == "list":
        parser.add_argument(
            "--all", action="store_true", help="also what Jupyter does not list itself"
        )
        return
    parser.add_argument("name", metavar="NAME")


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Dispatch to the verb."""
    return {"list": _list, "show": _show}[verb](args, context)


def refresh(context: Context) -> list[Kernel]:
    """Every kernel there is; index.json, which the OOD form reads, is brought up to date by the way."""
    from ..discovery import discover, write_index

    kernels = discover(home=context.home, environ=context.environ, site=context.site)
    write_index(context.home, kernels, os.uname().nodename)
    return kernels


def _list(args: argparse.Namespace, context: Context) -> int:
    kernels = refresh(context)
    if args.json:
        context.out(json.dumps({"version": 1, "kernels": [as_json(k) for k in kernels]}, indent=2))
        return 0
    shown = (
        kernels
        if args.all
        else [
            k for k in kernels if k.visible or k.origin in {"group", "site"} or k.state == "broken"
        ]
    )
    if not shown:
        context.say("No kernels yet. `kernelwright create venv NAME numpy` makes the first one.")
        return 0
    context.out(list_table(shown))
    bad = [k for k in shown if k.state == "broken"]
    if bad:
        context.say(f"\n{len(bad)} cannot start: `kernelwright doctor` says why and what mends it")
    hidden = len(kernels) - len(shown)
    if hidden:
        context.say(
            f"{hidden} more that Jupyter does not list, such as conda environments: `kernelwright list --all`"
        )
    return 0


def list_table(kernels: Sequence[Kernel]) -> str:
    """The table of `list`: name, state in words, where it is from, what it is, display name last."""
    rows = [
        (
            k.name,
            MARKS[k.state],
            k.group or k.origin,
            k.kind if k.launcher == "local" else f"{k.kind}, {k.launcher}",
            k.display_name,
        )
        for k in kernels
    ]
    return table(rows, ("NAME", "STATE", "FROM", "KIND", "SHOWN AS"))


def as_json(kernel: Kernel) -> dict[str, Any]:
    """One entry of `list --json` (DESIGN: docs/reference/cli.md)."""
    keys = (
        "name",
        "display_name",
        "language",
        "origin",
        "kind",
        "launcher",
        "path",
        "owned",
        "visible",
        "state",
    )
    return {k: getattr(kernel, k) for k in keys} | {
        "problems": [p.as_json() for p in kernel.problems]
    }


def find(name: str, context: Context) -> Kernel:
    """The kernel that Jupyter would start under this name, else any that carries it; or GROUP/NAME."""
    from ..discovery import named

    kernels = refresh(context)
    if found := named(kernels, name):
        return found[0]
    others = "`kernelwright list` shows what there is"
    raise UserError(
        "no-such-kernel",
        f"there is no kernel called `{name[:80]}`",
        hint=did_you_mean(name, [k.name for k in kernels], others),
    )


def _owned(kernel: Kernel, context: Context) -> tuple[Owned, Generation] | None:
    from ..store import Store

    if not kernel.owned or kernel.origin == "group":
        return None
    store = Store(context.home, context.site, context.environ)
    owned = store.find(kernel.name)
    return owned, store.generation(owned.id, owned.number)


def _show(args: argparse.Namespace, context: Context) -> int:
    from ..recipe import to_mapping

    kernel = find(args.name, context)
    mine = _owned(kernel, context)
    if args.json:
        data: dict[str, Any] = as_json(kernel) | {"spec": _public(kernel.spec)}
        if mine:
            owned, generation = mine
            data |= {
                "id": owned.id,
                "generation": owned.number,
                "aliases": list(owned.aliases),
                "recipe": to_mapping(generation.recipe),
                "prefix": generation.made.prefix,
                "facts": dict(generation.made.facts),
                "built": dict(generation.facts),
            }
        context.out(json.dumps({"version": 1, "kernel": data}, indent=2, default=str))
        return 0
    rows = [
        ("name", kernel.name),
        ("shown as", kernel.display_name),
        ("state", MARKS[kernel.state]),
        ("language", kernel.language),
        ("kind", kernel.kind),
        ("from", kernel.group or kernel.origin),
        ("kernelspec", kernel.path),
    ]
    rows += shared_rows(kernel)
    if mine:
        rows += _rows(*mine)
    context.out(table(rows, limit=200))
    for problem in kernel.problems:
        context.out(
            f"\n{problem.severity}: {problem.code}\n  {problem.message}"
            + (f"\n  hint: {context.called(problem.hint)}" if problem.hint else "")
        )
    if mine:
        _show_recipe(mine[1], context)
    return 0


def shared_rows(kernel: Kernel) -> list[tuple[str, str]]:
    """What is known of a kernel that somebody shares: the command, owner, date, contact."""
    mine = (kernel.spec.get("metadata") or {}).get("kernelwright")
    shared = mine.get("shared") if isinstance(mine, dict) else None
    if not isinstance(shared, dict):
        return []
    since = shared.get("since")
    day = (
        time.strftime("%Y-%m-%d", time.localtime(since)) if isinstance(since, (int, float)) else ""
    )
    rows = {"runs": " ".join(map(str, kernel.spec.get("argv") or [])), "owner": shared.get("owner"),
            "contact": shared.get("contact"), "since": day, "deprecated": shared.get("deprecated")}  # fmt: skip
    return [(label, str(value)) for label, value in rows.items() if value]


def _rows(owned: Owned, generation: Generation) -> list[tuple[str, str]]:
    facts = generation.made.facts
    rows = [
        ("generation", str(owned.number)),
        ("environment", generation.made.prefix or str(facts.get("image", ""))),
        ("folder", str(generation.folder)),
    ]
    if owned.aliases:
        rows.append(("also called", ", ".join(owned.aliases)))
    rows += [
        (key.replace("_", " "), str(value))
        for key, value in facts.items()
        if value not in (None, [], {}, "") and not isinstance(value, dict)
    ]
    return rows


def _show_recipe(generation: Generation, context: Context) -> None:
    from ..environments import kind
    from ..recipe import dump

    context.out(
        "\nrecipe:\n" + "\n".join("  " + line for line in dump(generation.recipe).splitlines())
    )
    describe = getattr(kind(generation.made.kind), "here", None)
    if describe:
        context.out(
            "\non this node:\n"
            + "\n".join(
                f"  {line}"
                for line in describe(
                    generation.recipe, generation.made, context.environ, context.site
                )
            )
        )
    if generation.recipe.slurm is not None:
        from ..slurm.script import render_script

        script = render_script(
            generation.recipe.slurm,
            context.site,
            generation=generation.folder,
            name=generation.recipe.name,
        )
        context.out("\nbatch script:\n" + "\n".join("  " + line for line in script.splitlines()))


def _public(spec: Any) -> dict[str, Any]:
    """A kernel.json without the values of env and foreign metadata: people keep keys in them."""
    shown = dict(spec)
    if isinstance(shown.get("env"), dict):
        shown["env"] = sorted(shown["env"])
    metadata = shown.get("metadata")
    if isinstance(metadata, dict):
        shown["metadata"] = (
            {"kernelwright": metadata["kernelwright"]}
            if "kernelwright" in metadata
            else sorted(metadata)
        )
    return {
        k: v
        for k, v in shown.items()
        if k in {"argv", "display_name", "language", "interrupt_mode", "env", "metadata"}
    }
