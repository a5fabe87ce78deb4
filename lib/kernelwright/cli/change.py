"""Verbs that change a kernel that is there: update, add, edit, clone, rename, remove, rollback, generations."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, UserError
from ..model import with_lock
from ..recipe import check_name, check_title, from_mapping, to_mapping
from .create import _pairs, add_build_options, builder_for, names, say_done
from .render import table

if TYPE_CHECKING:
    import argparse

    from ..model import Generation, Recipe
    from ..store import Owned, Store
    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of each verb."""
    parser.add_argument("name", metavar="NAME")
    if verb in {"update", "add", "edit", "clone"}:
        add_build_options(parser)
    else:
        parser.add_argument("--json", action="store_true")
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
    if verb in {"clone", "rename"}:
        parser.add_argument("new", metavar="NEW")
    if verb == "rename":
        parser.add_argument(
            "--no-alias", action="store_true", help="do not keep the old name for old notebooks"
        )
    if verb == "remove":
        parser.add_argument(
            "--force", action="store_true", help="move a kernel that is not ours to a backup"
        )
    if verb == "rollback":
        parser.add_argument("number", nargs="?", type=int, metavar="GENERATION")
    if verb == "generations":
        parser.add_argument("--prune", action="store_true", help="remove all but the newest two")


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Dispatch to the verb; the index for the form is written anew afterwards."""
    from ..store import Store

    store = Store(context.home, context.site, context.environ)
    verbs = {
        "update": _update,
        "add": _update,
        "edit": _edit,
        "clone": _clone,
        "rename": _rename,
        "remove": _remove,
        "rollback": _rollback,
        "generations": _generations,
    }
    status = verbs[verb](args, context, store)
    if not getattr(args, "dry_run", False):
        refresh_index(context)
    return status


def refresh_index(context: Context) -> None:
    """Write index.json, which the OOD form reads, after a change."""
    from ..discovery import discover, write_index

    kernels = discover(home=context.home, environ=context.environ, site=context.site)
    write_index(context.home, kernels, os.uname().nodename)


def _now(store: Store, name: str) -> tuple[Owned, Generation]:
    owned = store.find(name)
    return owned, store.generation(owned.id, owned.number)


def _update(args: argparse.Namespace, context: Context, store: Store) -> int:
    from ..builder import with_packages
    from ..changes import captured, difference

    owned, generation = _now(store, args.name)
    recipe = generation.recipe
    if getattr(args, "capture", False):
        recipe = captured(generation)
    if args.packages:
        recipe = with_packages(recipe, tuple(args.packages))
    else:
        recipe = with_lock(recipe, None)
    builder = builder_for(args, context)
    if args.dry_run:
        from ..changes import planned

        return _say_difference(planned(builder, owned, recipe), context, as_json=args.json)
    new = builder.next_generation(owned, recipe)
    rows = difference(generation, new)
    if args.json:
        context.out(json.dumps({"version": 1, "generation": new.number, "changes": rows}, indent=2))
        return 0
    _say_difference(rows, context, as_json=False)
    say_done(new, context, as_json=False)
    context.say("Notebooks that run keep the old generation until their kernel is restarted.")
    return 0


def _say_difference(rows: list[dict[str, Any]], context: Context, *, as_json: bool) -> int:
    if as_json:
        context.out(json.dumps({"version": 1, "changes": rows}, indent=2))
    elif not rows:
        context.out("no package changes")
    else:
        context.out(
            table(
                [(r["change"], r["name"], r["old"] or "-", r["new"] or "-") for r in rows],
                ("CHANGE", "PACKAGE", "OLD", "NEW"),
            )
        )
    return 0


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
    env = data.get("env", {}) | _pairs(args.env, "--env")
    data["env"] = {k: v for k, v in env.items() if v or k not in _pairs(args.env, "--env")}
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


def _clone(args: argparse.Namespace, context: Context, store: Store) -> int:
    from ..clone import clone_recipe

    name, title = names(args.new, None)
    recipe = clone_recipe(
        args.name,
        check_name(name),
        title,
        home=context.home,
        environ=context.environ,
        site=context.site,
    )
    generation = builder_for(args, context).create(recipe)
    say_done(generation, context, as_json=args.json)
    return 0


def _rename(args: argparse.Namespace, context: Context, store: Store) -> int:
    from ..store import lock

    owned = store.find(args.name)
    name, title = names(args.new, None)
    check_name(name)
    if any(name == o.name for o in store.kernels()):
        raise UserError(
            "kernel-exists",
            f"you have a kernel called `{name}` already",
            hint="choose another name",
        )
    with lock(store.lock_path(owned.name), command=f"kernelwright rename {owned.name}", wait=60):
        shown = title or (
            name if owned.spec["display_name"] == owned.name else owned.spec["display_name"]
        )
        store.publish(name, {**owned.spec, "display_name": shown}, resources=owned.folder)
        if args.no_alias:
            store.unpublish(owned.name)
        else:
            store.publish(owned.name, _alias(owned, name, shown))
    context.say(
        f"`{owned.name}` is now `{name}`"
        + ("" if args.no_alias else "; old notebooks still find it under the old name")
    )
    return 0


def _alias(owned: Owned, new: str, title: str) -> dict[str, Any]:
    metadata = dict(owned.spec["metadata"])
    metadata["kernelwright"] = metadata["kernelwright"] | {"alias_of": new}
    return {
        **owned.spec,
        "display_name": f"{title} (old name: {owned.name})"[:150],
        "metadata": metadata,
    }


def _remove(args: argparse.Namespace, context: Context, store: Store) -> int:
    from ..store import lock
    from ..store.prune import remove_kernel

    check_removable(args.name)
    try:
        owned = store.find(args.name)
    except UserError as error:
        if error.code != "not-owned":
            raise
        backup = store.unpublish(args.name, force=args.force)
        context.say(f"`{args.name}` is no longer a kernel; its files are in {backup}")
        return 0
    with lock(store.lock_path(owned.name), command=f"kernelwright remove {owned.name}", wait=60):
        if args.name != owned.name:
            store.unpublish(args.name)
            context.say(f"the alias `{args.name}` of `{owned.name}` is removed")
            return 0
        for name in (*owned.aliases, owned.name):
            store.unpublish(name)
        left = remove_kernel(store, owned.id)
    context.say(
        f"removed: {owned.spec['display_name']}"
        + (
            "; it still runs, its files go when it has ended (`kernelwright storage --clean`)"
            if left
            else ""
        )
    )
    return 0


def check_removable(name: str) -> None:
    """`.`, `..` and paths would name folders that are no kernels."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise UsageError("invalid-name", f"`{name[:80]}` cannot be a kernel name")


def _rollback(args: argparse.Namespace, context: Context, store: Store) -> int:
    owned = store.find(args.name)
    earlier = [g.number for g in store.generations(owned.id) if g.number < owned.number]
    number = args.number if args.number is not None else max(earlier, default=None)
    if number is None:
        raise UserError(
            "no-such-generation",
            f"`{owned.name}` has no earlier generation",
            hint=f"`kernelwright generations {owned.name}` lists them",
        )
    args.no_test, args.test_timeout, args.progress = True, 60.0, "none"
    builder_for(args, context).switch(owned, number)
    context.say(f"`{owned.name}` is generation {number} again; restart its kernels to use it")
    return 0


def _generations(args: argparse.Namespace, context: Context, store: Store) -> int:
    from ..store.prune import in_use, remove_stale

    owned = store.find(args.name)
    if args.prune:
        removed = remove_stale(store, owned.id)
        context.say(f"removed: {', '.join(map(str, removed)) or 'nothing'}")
    rows = [
        {
            "generation": g.number,
            "created": g.created,
            "current": g.number == owned.number,
            "in_use": in_use(g.folder),
            "packages": g.made.facts.get("packages"),
            "folder": str(g.folder),
        }
        for g in store.generations(owned.id)
    ]
    if args.json:
        context.out(json.dumps({"version": 1, "generations": rows}, indent=2))
        return 0
    context.out(
        table(
            [
                (
                    str(r["generation"]),
                    time.strftime("%Y-%m-%d %H:%M", time.localtime(float(str(r["created"])))),
                    "current" if r["current"] else "runs" if r["in_use"] else "",
                    str(r["packages"] or "-"),
                )
                for r in rows
            ],
            ("GENERATION", "MADE", "STATE", "PACKAGES"),
        )
    )
    return 0
