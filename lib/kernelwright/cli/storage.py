"""`storage`: every path that we own with bytes and files; `--clean` removes what nothing uses."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from .. import paths
from ..store import Store
from .progress import size
from .render import table

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from .context import Context


def configure(verb: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of `storage`."""
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--clean",
        action="store_true",
        help="remove old generations, leftovers of killed builds and the caches",
    )


def run(verb: str, args: argparse.Namespace, context: Context) -> int:
    """Clean if asked, then list."""
    store = Store(context.home, context.site, context.environ)
    if args.clean:
        freed = _clean(store, context)
        context.say(f"removed {size(freed)}")
    rows = [
        {"path": str(p), "what": what, "bytes": n, "files": files}
        for p, what in owned_paths(store)
        for n, files in [measure(p)]
        if files
    ]
    if args.json:
        context.out(json.dumps({"version": 1, "paths": rows}, indent=2))
        return 0
    if not rows:
        context.say("kernelwright has no files here yet")
        return 0
    context.out(
        table(
            [
                (size(int(str(r["bytes"]))), f"{r['files']} files", str(r["what"]), str(r["path"]))
                for r in rows
            ],
            limit=200,
        )
    )
    return 0


def owned_paths(store: Store) -> list[tuple[Path, str]]:
    """Every folder that kernelwright writes to for this user, with what lies there."""
    from ..environments import caches
    from ..environments.container.images import own_store

    names = {o.id: o.name for o in store.kernels()}
    found: list[tuple[Path, str]] = []
    for root in dict.fromkeys([store.data / "kernels", store.environments()]):
        if os.access(root, os.R_OK | os.X_OK):
            found += [
                (root / i, f"kernel {names[i]}" if i in names else "unused kernel")
                for i in sorted(os.listdir(root))
                if len(i) == 16
            ]
    found += [(store.specs / o.name, f"kernelspec {o.name}") for o in store.kernels()]
    for name in ("cache", "logs", "backups", "locks", "jobs", "sessions"):
        found.append((store.data / name, name))
    found += [(store.data / n, n) for n in ("index.json", "report.json")]
    cache = caches.base(store.site, store.home, store.environ)
    if cache != store.data / "cache":
        found.append((cache, "package cache"))
    images = own_store(store.site, store.home, store.environ)
    return found if images.shared else [*found, (images.root, "images")]


def measure(path: Path) -> tuple[int, int]:
    """(bytes on disk, number of files) below `path`; hard links are counted once, links not followed."""
    total, files, seen = 0, 0, set()
    stack = [path]
    while stack:
        here = stack.pop()
        try:
            status = os.lstat(here)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
            if os.path.isdir(here) and not here.is_symlink():
                stack += [here / n for n in os.listdir(here)]
            else:
                files += 1
        except OSError:
            continue
    return total, files


def _clean_cache(folder: Path) -> None:
    """Empty the package cache, unless it is one that people share."""
    try:
        mine = folder.stat().st_uid == os.getuid()
    except OSError:
        return
    for name in ("conda", "uv") if mine else ():
        shutil.rmtree(folder / name, ignore_errors=True)


def _clean(store: Store, context: Context) -> int:
    from ..environments import caches
    from ..environments.container.unused import unused as unused_images
    from ..store.prune import remove_stale, unreferenced

    before = sum(measure(p)[0] for p, _ in owned_paths(store))
    for kernel_id in {o.id for o in store.kernels()}:
        remove_stale(store, kernel_id)
    for path in (*unreferenced(store), *unused_images(store)):
        context.say(f"  removing {path}")
        shutil.rmtree(path, ignore_errors=True)
    for name in ("cache", "logs"):
        shutil.rmtree(paths.data_folder(store.home) / name, ignore_errors=True)
    _clean_cache(caches.base(store.site, store.home, store.environ))
    return max(0, before - sum(measure(p)[0] for p, _ in owned_paths(store)))
