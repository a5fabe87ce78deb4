"""`export`, `import`, `share`, `unshare`, `trust` and `request`: kernels that go to other people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, UserError
from ..store import Store
from .create import add_build_options, builder_for, say_done
from .look import shared_rows
from .words import names

if TYPE_CHECKING:
    import argparse

    from ..model import Generation, Kernel
    from ..share.publish import Sharing
    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of each verb."""
    what = {"import": "FILE", "trust": "GROUP/NAME"}.get(verb, "NAME")
    parser.add_argument("name", metavar=what)
    if verb in {"export", "request"}:
        parser.add_argument(
            "--output",
            "-o",
            metavar="FILE",
            help="`-` for standard output"
            if verb == "export"
            else "NAME-request.tar.gz by default",
        )
    if verb == "request":
        parser.add_argument(
            "--reason", default="", metavar="TEXT", help="who needs it, and for what"
        )
    if verb == "import":
        parser.add_argument("--name", dest="rename", metavar="NAME", help="call the kernel so")
        parser.add_argument(
            "--replace", action="store_true", help="build a kernel of this name anew"
        )
        parser.add_argument(
            "--solve", action="store_true", help="take the recipe alone and choose versions anew"
        )
        add_build_options(parser)
    if verb in {"share", "unshare"}:
        parser.add_argument("--group", required=True, metavar="GROUP")
    if verb == "share":
        parser.add_argument("--as", dest="rename", metavar="NAME", help="the name in the group")
        parser.add_argument(
            "--contact", metavar="TEXT", help="whom members may ask; your account by default"
        )
        parser.add_argument(
            "--deprecated",
            metavar="TEXT",
            help="only tell members so, for example `use rna2`; empty takes it back",
        )
        add_build_options(parser)
    if verb == "trust":
        parser.add_argument("--forget", action="store_true", help="take the word back")
    if verb in {"export", "unshare", "request", "trust"}:
        parser.add_argument("--json", action="store_true")


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Dispatch to the verb."""
    verbs = {
        "export": _export,
        "import": _import,
        "share": _share,
        "unshare": _unshare,
        "trust": _trust,
        "request": _request,
    }
    return verbs[verb](args, context)


def _generation(context: Context, name: str) -> Generation:
    store = Store(context.home, context.site, context.environ)
    owned = store.find(name)
    return store.generation(owned.id, owned.number)


def _export(args: argparse.Namespace, context: Context) -> int:
    from ..share import bundle
    from ..store import write_text

    generation = _generation(context, args.name)
    text = bundle.dump(generation, context.home, context.say)
    if args.output in {None, "-"} and not args.json:
        context.stdout.write(text)
        return 0
    target = Path(args.output or f"{generation.recipe.name}.kernel.yml").absolute()
    write_text(target, text, 0o644)
    return _told(
        args,
        context,
        target,
        f"wrote {target}; `kernelwright import {target.name}` builds it elsewhere",
    )


def _told(args: argparse.Namespace, context: Context, target: Path, text: str) -> int:
    if args.json:
        context.out(json.dumps({"version": 1, "file": str(target)}))
    else:
        context.say(text)
    return 0


def _import(args: argparse.Namespace, context: Context) -> int:
    from dataclasses import replace

    from ..paths import data_folder
    from ..recipe import check_name
    from ..share import bundle

    found = bundle.read(Path(args.name))
    recipe = (
        found.recipe if args.solve else bundle.unpack(found, data_folder(context.home) / "imports")
    )
    if args.rename:
        name, title = names(args.rename, None)
        recipe = replace(recipe, name=check_name(name), display_name=title or recipe.display_name)
    generation = builder_for(args, context).create(recipe, replace=args.replace)
    say_done(generation, context, as_json=args.json)
    return 0


def _sharing(args: argparse.Namespace, context: Context) -> Sharing:
    from ..share.publish import Sharing, folder_of
    from .progress import progress_for

    quiet = args.json and getattr(args, "progress", "auto") == "auto"
    progress = progress_for(context, "none" if quiet else getattr(args, "progress", "auto"))
    return Sharing(
        args.group,
        folder_of(args.group, context.site),
        context.home,
        context.environ,
        context.site,
        context.runtime,
        progress,
        test=not getattr(args, "no_test", False),
    )


def _share(args: argparse.Namespace, context: Context) -> int:
    from ..share.publish import Words
    from ..store.sharing import trusts_me

    sharing = _sharing(args, context)
    name = args.rename or args.name
    words = Words(args.contact, args.deprecated)
    if args.deprecated is not None:
        target = sharing.tell(name, words)
    else:
        target = sharing.publish(_generation(context, args.name), name, words)
    if args.json:
        context.out(
            json.dumps(
                {"version": 1, "kernel": {"name": name, "group": args.group, "folder": str(target)}}
            )
        )
    else:
        context.say(f"shared with `{args.group}`: {name}, in {target}")
        context.say(
            f"Members see it in the form, and copy it with `{context.site.command or 'kernelwright'} clone {name} NEW`."
        )
        if not trusts_me(context.site):
            context.say(
                f"This site does not trust your kernels by itself: they first say `{context.site.command or 'kernelwright'} trust {args.group}/{name}`."
            )
    return 0


def _unshare(args: argparse.Namespace, context: Context) -> int:
    left = _sharing(args, context).withdraw(args.name)
    if args.json:
        context.out(json.dumps({"version": 1, "unshared": args.name, "running": left}))
    else:
        context.say(
            f"`{args.name}` is no longer shared with `{args.group}`"
            + ("; it still runs here, its files stay until it ends" if left else "")
        )
    return 0


def _trust(args: argparse.Namespace, context: Context) -> int:
    from ..store import sharing

    kernel = _group_kernel(args.name, context)
    folder = Path(kernel.path)
    if args.forget:
        was = sharing.forget(context.home, folder)
        context.say(
            f"`{args.name}` is "
            + ("no longer trusted by your word" if was else "not trusted by your word")
        )
        return 0
    problem = sharing.trust(folder, context.site)
    digest = sharing.remember(context.home, folder)
    if args.json:
        context.out(
            json.dumps(
                {
                    "version": 1,
                    "trusted": str(folder),
                    "hash": digest,
                    "problem": problem.as_json() if problem else None,
                }
            )
        )
        return 0
    for label, value in [("kernel", kernel.display_name), *shared_rows(kernel)]:
        context.say(f"{label}: {value}")
    context.say(
        f"you trust `{args.name}` as it is now; when one of its files changes, you are asked again"
    )
    if problem:
        context.say(f"despite of: {problem.message}")
    return 0


def _group_kernel(word: str, context: Context) -> Kernel:
    from ..discovery import discover, named

    group, slash, name = word.removeprefix("group:").partition("/")
    if not slash:
        raise UsageError(
            "usage",
            f"write GROUP/NAME, not `{word[:80]}`",
            hint="`kernelwright list` shows the kernels of your groups",
        )
    kernels = discover(home=context.home, environ=context.environ, site=context.site)
    if found := named(kernels, word):
        return found[0]
    raise UserError(
        "no-such-kernel",
        f"no kernel `{name[:80]}` is shared with the group `{group[:80]}`",
        hint="`kernelwright list` shows the kernels of your groups",
    )


def _request(args: argparse.Namespace, context: Context) -> int:
    from ..share import request

    generation = _generation(context, args.name)
    target = Path(args.output or f"{generation.recipe.name}-request.tar.gz").absolute()
    request.write(
        generation, target, context.home, context.site, reason=args.reason, note=context.say
    )
    to = context.site.site.support or "your site's support"
    return _told(args, context, target, f"wrote {target}; send it to {to}")
