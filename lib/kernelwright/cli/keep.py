"""`clone`, `rename`, `remove`, `rollback` and `generations`: what a kernel is called and which build it is."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from ..errors import UsageError, UserError
from ..recipe import check_name
from ..store import Store, lock
from ..store.naming import exists, rename
from ..store.prune import in_use, remove_kernel, remove_stale
from .create import add_build_options, builder_for, say_done
from .look import refresh
from .render import table
from .words import names

if TYPE_CHECKING:
    import argparse

    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of each verb."""
    parser.add_argument("name", metavar="NAME")
    if verb in {"clone", "rename"}:
        parser.add_argument("new", metavar="NEW")
    if verb == "clone":
        add_build_options(parser)
    else:
        parser.add_argument("--json", action="store_true")
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
    verbs = {
        "clone": _clone,
        "rename": _rename,
        "remove": _remove,
        "rollback": _rollback,
        "generations": _generations,
    }
    status = verbs[verb](args, context, Store(context.home, context.site, context.environ))
    refresh(context)
    return status


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
    owned = store.find(args.name)
    name, title = names(args.new, None)
    check_name(name)
    if name == owned.name:
        raise exists(name)
    rename(store, owned, name, title, alias=not args.no_alias)
    context.say(
        f"`{owned.name}` is now `{name}`"
        + ("" if args.no_alias else "; old notebooks still find it under the old name")
    )
    return 0


def _remove(args: argparse.Namespace, context: Context, store: Store) -> int:
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
