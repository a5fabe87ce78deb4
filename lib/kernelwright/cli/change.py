"""`update`, `add` and `edit`: the next generation of a kernel, or other settings for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..model import with_lock
from ..recipe import check_title, from_mapping, to_mapping
from ..store import Store
from .create import add_build_options, builder_for, say_done
from .look import refresh
from .progress import size
from .render import table
from .words import pairs, requirement

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from ..environments.base import Choice
    from ..model import Generation, Recipe
    from ..store import Owned
    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of each verb."""
    parser.add_argument("name", metavar="NAME")
    add_build_options(parser)
    if verb in {"update", "add"}:
        parser.add_argument("packages", nargs="*" if verb == "update" else "+", metavar="SPEC")
        parser.add_argument("--dry-run", action="store_true", help="show the difference only")
    if verb == "update":
        parser.add_argument(
            "--capture",
            action="store_true",
            help="keep what `%%pip install` has put into the environment",
        )
    if verb == "edit":
        parser.add_argument("--display-name", metavar="TEXT")
        parser.add_argument("--description", metavar="TEXT")
        parser.add_argument(
            "--slurm", metavar="K=V,...", help="launcher settings; `none` makes the kernel local"
        )
        parser.add_argument(
            "--env",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="NAME= alone removes it",
        )
        parser.add_argument("--module", action="append", metavar="MODULE")
        parser.add_argument(
            "--allow",
            action="append",
            choices=("user_site", "pythonpath", "ld_library_path", "none"),
        )


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Dispatch to the verb; the index for the form is written anew afterwards."""
    store = Store(context.home, context.site, context.environ)
    status = (_edit if verb == "edit" else _update)(args, context, store)
    if not getattr(args, "dry_run", False):
        refresh(context)
    return status


def _now(store: Store, name: str) -> tuple[Owned, Generation]:
    owned = store.find(name)
    return owned, store.generation(owned.id, owned.number)


def _update(args: argparse.Namespace, context: Context, store: Store) -> int:
    from ..changes import captured, compare, difference, solved, with_packages

    owned, generation = _now(store, args.name)
    recipe = generation.recipe
    if getattr(args, "capture", False):
        recipe = captured(generation)
    if args.packages:
        here = Path.cwd()
        recipe = with_packages(recipe, tuple(requirement(p, here) for p in args.packages))
    else:
        recipe = with_lock(recipe, None)
    builder = builder_for(args, context)
    if args.dry_run:
        from ..changes import planned

        return _say_difference(planned(builder, owned, recipe), context, as_json=args.json)
    told: list[list[dict[str, Any]]] = []

    def chosen(choices: Mapping[str, Choice]) -> None:
        told.append(compare(solved(generation), choices))
        if not args.json:
            _say_difference(told[-1], context, as_json=False)

    new = builder.next_generation(owned, recipe, chosen)
    rows = difference(generation, new)
    if args.json:
        context.out(json.dumps({"version": 1, "generation": new.number, "changes": rows}, indent=2))
        return 0
    more = [row for row in rows if not told or row not in told[-1]]
    if more or not told:  # what pip and an image brought
        _say_difference(more, context, as_json=False)
    say_done(new, context, as_json=False)
    context.say("Notebooks that run keep the old generation until their kernel is restarted.")
    return 0


def _say_difference(rows: list[dict[str, Any]], context: Context, *, as_json: bool) -> int:
    if as_json:
        context.out(json.dumps({"version": 1, "changes": rows}, indent=2))
    elif not rows:
        context.out("no package changes")
    else:
        cells = [
            (r["change"], r["name"], r["old"] or "-", r["new"] or "-", _size(r["size"]))
            for r in rows
        ]
        context.out(table(cells, ("CHANGE", "PACKAGE", "OLD", "NEW", "SIZE")))
    return 0


def _size(value: int | None) -> str:
    return "-" if value is None else size(value)


def _edit(args: argparse.Namespace, context: Context, store: Store) -> int:
    owned, generation = _now(store, args.name)
    recipe = _edited(args, generation.recipe, store.launcher(owned.id))
    builder = builder_for(args, context)
    same = replace(
        recipe,
        display_name=generation.recipe.display_name,
        description=generation.recipe.description,
        slurm=generation.recipe.slurm,
    )
    if same == generation.recipe and (recipe.slurm is None) == (generation.recipe.slurm is None):
        _publish_settings(store, owned, recipe)
    else:
        builder.rerender(owned, recipe)
    context.say(f"changed: {recipe.title}")
    return 0


def _edited(args: argparse.Namespace, recipe: Recipe, launcher: dict[str, Any]) -> Recipe:
    data = to_mapping(recipe)
    if launcher:
        data["launcher"] = launcher
    if args.display_name is not None:
        data["display_name"] = check_title(args.display_name)
    if args.description is not None:
        data["description"] = args.description
    if args.slurm == "none":
        data.pop("launcher", None)
    elif args.slurm is not None:
        from ..slurm.settings import parse_settings

        data["launcher"] = to_mapping(replace(recipe, slurm=parse_settings(args.slurm)))["launcher"]
    env = data.get("env", {}) | pairs(args.env, "--env")
    data["env"] = {k: v for k, v in env.items() if v or k not in pairs(args.env, "--env")}
    if args.module is not None:
        data["modules"] = data.get("modules", {}) | {"load": args.module}
    if args.allow is not None:
        data["isolation"] = {name: True for name in args.allow if name != "none"}
    return from_mapping(data, source="the command line")


def _publish_settings(store: Store, owned: Owned, recipe: Recipe) -> None:
    """Names, description and launcher are no part of a generation: only two small files change."""
    from ..recipe import dump
    from ..store import lock, write_text

    with lock(store.lock_path(owned.name), command=f"kernelwright edit {owned.name}", wait=60):
        store.set_launcher(owned.id, to_mapping(recipe).get("launcher") or {})
        write_text(store.generation(owned.id, owned.number).folder / "recipe.yml", dump(recipe))
        store.publish(owned.name, {**owned.spec, "display_name": recipe.title})
