"""One file from which a kernel is built again elsewhere: recipe, exact lock, and what to check.

The file is YAML that people can read. It is somebody else's when it is imported: nothing of it is run
or unpacked, the recipe is validated like any other, and a lock that was changed by hand is refused.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..model import CondaSpec, VenvSpec
from ..recipe import from_mapping, to_mapping
from .portable import LOCKS, lock_text, portable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ..model import Generation, Recipe

VERSION = 1
LIMIT = 32 << 20  # bytes; locks of large environments take 1 MB
HEAD = "# A Jupyter kernel, exported by Kernelwright. Build it with: kernelwright import FILE\n"


@dataclass(frozen=True)
class Bundle:
    """An exported kernel: `lock` is (file name, text) where its kind has one."""

    recipe: Recipe
    lock: tuple[str, str] | None = None
    checks: Mapping[str, Any] = field(default_factory=dict)


def dump(generation: Generation, home: Path, note: Callable[[str], None]) -> str:
    """The text of the export of one generation."""
    import yaml

    lock = lock_text(generation)
    made = generation.made
    checks: dict[str, Any] = {
        "kind": made.kind,
        "exported": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "packages": made.facts.get("packages"),
        "python": made.facts.get("python"),
        "node": {
            k: generation.facts.get(k)
            for k in ("arch", "glibc", "cpu_level")
            if generation.facts.get(k)
        },
        "virtual_packages": made.facts.get("virtual_packages"),
    }
    data: dict[str, Any] = {
        "kernelwright": VERSION,
        "recipe": to_mapping(portable(generation, home, note)),
        "checks": {k: v for k, v in checks.items() if v},
    }
    if lock is not None:
        data["checks"]["lock_sha256"] = _digest(lock[1])
        data["lock"] = {"name": lock[0], "text": _Block(lock[1])}

    class Dumper(yaml.SafeDumper):
        """Our own, so that the representer does not leak into other users of yaml."""

    Dumper.add_representer(
        _Block, lambda d, v: d.represent_scalar("tag:yaml.org,2002:str", str(v), style="|")
    )
    return HEAD + yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Block(str):
    """A text that is written line by line, so that a difference of two exports can be read."""

    __slots__ = ()


def is_bundle(data: bytes) -> bool:
    """Whether a file is an export; the form's file field and `create` ask."""
    return data.removeprefix(b"\xef\xbb\xbf").startswith(HEAD[:40].encode()) or (
        b"\nkernelwright:" in b"\n" + data[:4096] and b"\nrecipe:" in data
    )


def load(data: bytes, *, source: str) -> Bundle:
    """Read an export; raises `bundle-broken`, `bundle-too-new`, or what is wrong with the recipe."""
    import yaml

    if len(data) > LIMIT:
        raise _broken(source, f"has more than {LIMIT >> 20} MB")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if b"*" in data and yaml_aliases(data, loader):
            raise _broken(source, "holds YAML aliases, which an export never does")
        found = yaml.load(data, Loader=loader)  # noqa: S506 - a SafeLoader, in C where there is one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _broken(source, f"is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict) or "kernelwright" not in found or "recipe" not in found:
        raise _broken(source, "is not an exported kernel")
    if found["kernelwright"] != VERSION:
        raise UserError(
            "bundle-too-new",
            f"`{source}` was exported by a newer kernelwright",
            hint="update kernelwright, or export it with this version",
        )
    recipe = from_mapping(found["recipe"], source=source)
    checks = found.get("checks")
    return Bundle(
        recipe,
        _lock(found, source),
        checks if isinstance(checks, dict) else {},
    )


def yaml_aliases(data: bytes, loader: Any) -> bool:
    """Whether the YAML has aliases, which can make a small file enormous."""
    import yaml

    return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, Loader=loader))


def _lock(found: dict[str, Any], source: str) -> tuple[str, str] | None:
    lock = found.get("lock")
    if lock is None:
        return None
    if (
        not isinstance(lock, dict)
        or lock.get("name") not in LOCKS
        or not isinstance(lock.get("text"), str)
    ):
        raise _broken(source, "has a damaged lock")
    checks = found.get("checks")
    said = checks.get("lock_sha256") if isinstance(checks, dict) else None
    if said != _digest(lock["text"]):
        raise _broken(
            source,
            "has a lock that is not the one that was exported",
            "export it again; to change versions, use `kernelwright create recipe` without the lock",
        )
    return lock["name"], lock["text"]


def unpack(bundle: Bundle, folder: Path) -> Recipe:
    """The recipe with its lock written below `folder` (by content, so that a second call finds it)."""
    from ..store.atomic import make_folder, write_text

    spec = bundle.recipe.environment
    if bundle.lock is None or not isinstance(spec, CondaSpec | VenvSpec):
        return bundle.recipe
    name, text = bundle.lock
    make_folder(folder.parent)
    make_folder(folder)
    path = make_folder(folder / _digest(text)[:16]) / name
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
    return replace(bundle.recipe, environment=replace(spec, lock=str(path)))


def read(path: Path) -> Bundle:
    """The export in the file `path`; raises `file-not-found` and what `load` raises."""
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        with open(path, "rb") as stream:
            data = stream.read(LIMIT + 1)
    except OSError as error:
        raise UserError(
            "file-not-found",
            f"`{path}` cannot be read: {error.strerror}",
            hint="give the file that `kernelwright export` wrote",
        ) from error
    return load(data, source=str(path))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _broken(
    source: str, what: str, hint: str = "give the file that `kernelwright export` wrote, unchanged"
) -> UserError:
    return UserError("bundle-broken", f"`{source}` {what}", hint=hint)
