"""The exact lock of an environment: a conda `@EXPLICIT` list that any conda can read as well.

Each address has its hash. The comment above it holds the rest of the package's record (what it needs
and how it is linked), so that a build from the lock asks no channel for lists. The pip part follows as
comments: `# pip: name==1.0 --hash=...`.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from .settings import visible
from .values import Package

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
HEAD = f"# kernelwright-lock: {VERSION}"
ARCHIVE = re.compile(r"(?P<name>[^/]+)-(?P<version>[^-/]+)-(?P<build>[^-/]+)\.(?:conda|tar\.bz2)")
# what the address itself says
LEFT_OUT = {"url", "fn", "name", "version", "build", "channel", "sha256"}


@dataclass(frozen=True)
class Locked:
    """One address of a list that came from elsewhere: only its hash is known, if that."""

    url: str
    digest: tuple[str, str] | None = None  # ("sha256" or "md5", hex)

    @property
    def name(self) -> str:
        """The package's name, from the file's."""
        return self.url.rsplit("/", 1)[1].rsplit("-", 2)[0]


@dataclass(frozen=True)
class Lock:
    """The lock's text taken apart; `bare` are entries whose record must still be found."""

    packages: tuple[Package, ...] = ()
    bare: tuple[Locked, ...] = ()
    pip: tuple[str, ...] = ()
    platform: str | None = None
    virtual: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def dump(
    packages: tuple[Package, ...],
    *,
    platform: str,
    specs: tuple[str, ...],
    virtual: Mapping[str, str],
    pip: tuple[str, ...],
    variables: Mapping[str, str] = {},
) -> str:
    """The text of a lock; addresses hold no secrets already."""
    lines = [
        "# An exact list of packages, to be used with `kernelwright import` or `conda create --file`.",
        HEAD,
        f"# platform: {platform}",
        f"# specs: {json.dumps(list(specs))}",
        f"# virtual: {json.dumps([f'{k}={v}' for k, v in virtual.items()])}",
        *([f"# variables: {json.dumps(dict(variables))}"] if variables else []),
        "@EXPLICIT",
    ]
    for package in sorted(packages, key=lambda p: p.name):
        rest = {
            k: v
            for k, v in package.record.items()
            if k not in LEFT_OUT and v not in (None, [], {}, "")
        }
        lines.append(f"# {json.dumps(rest, sort_keys=True)}")
        lines.append(package.url + _fragment(package.record))
    lines += [f"# pip: {line}" for line in pip]
    return "\n".join(lines) + "\n"


def _fragment(record: Mapping[str, Any]) -> str:
    """conda reads `#md5` and `#sha256:...`; the stronger one where the channel gives it."""
    if digest := record.get("sha256"):
        return f"#sha256:{digest}"
    return f"#{record['md5']}" if record.get("md5") else ""


def is_explicit(text: str) -> bool:
    """Whether a file is an `@EXPLICIT` list."""
    return any(line.strip() == "@EXPLICIT" for line in text.splitlines()[:200])


def load(text: str, *, source: str) -> Lock:
    """Take a lock or any other `@EXPLICIT` list apart; raises `invalid-lock` with the line."""
    packages: list[Package] = []
    bare: list[Locked] = []
    pip: list[str] = []
    names: set[str] = set()
    head: dict[str, Any] = {}
    record: dict[str, Any] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("# pip: "):
            pip.append(line[7:])
        elif line.startswith("# {"):
            record = _json(line[2:], source, number)
        elif named := re.match(r"# (platform|specs|virtual|variables): (.*)", line):
            head[named[1]] = named[2] if named[1] == "platform" else _json(named[2], source, number)
        elif not line or line.startswith("#") or line == "@EXPLICIT":
            continue
        else:
            found = _entry(line, source, number)
            if found.name in names:
                raise _invalid(source, number, f"names `{found.name}` a second time")
            names.add(found.name)
            if record is None:
                bare.append(found)
            else:
                packages.append(_package(found, record))
            record = None
    if not packages and not bare:
        raise _invalid(source, None, "names no package")
    return Lock(
        tuple(packages),
        tuple(bare),
        tuple(pip),
        head.get("platform"),
        tuple(head.get("virtual") or ()),
        tuple(head.get("specs") or ()),
        {str(k): str(v) for k, v in dict(head.get("variables") or {}).items()},
    )


def _json(text: str, source: str, number: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid(source, number, "holds a damaged comment") from None


def _entry(line: str, source: str, number: int) -> Locked:
    url, _, fragment = line.partition("#")
    parts = urllib.parse.urlsplit(url.strip())
    if parts.scheme not in {"http", "https", "file"} or not ARCHIVE.fullmatch(
        url.rsplit("/", 1)[-1]
    ):
        raise _invalid(source, number, f"is not the address of a package: `{visible(line)[:200]}`")
    kind, _, digest = fragment.strip().rpartition(":")
    if not digest:
        return Locked(url.strip())
    kind = kind or ("sha256" if len(digest) == 64 else "md5")
    if kind not in {"sha256", "md5"} or not re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{64}", digest):
        raise _invalid(source, number, "has a hash that is neither md5 nor sha256")
    return Locked(url.strip(), (kind, digest))


def _package(found: Locked, rest: dict[str, Any]) -> Package:
    file_name = found.url.rsplit("/", 1)[1]
    parts = ARCHIVE.fullmatch(file_name)
    assert parts is not None  # noqa: S101 - _entry has looked
    channel = found.url.rsplit("/", 2)[0] + "/"
    record = rest | parts.groupdict() | {"fn": file_name, "url": found.url, "channel": channel}
    if found.digest:
        record[found.digest[0]] = found.digest[1]
    return Package(record)


def _invalid(source: str, number: int | None, what: str) -> UserError:
    place = f"line {number} of `{source}`" if number else f"`{source}`"
    return UserError(
        "invalid-lock",
        f"{place} {what}",
        hint="export the kernel again, or make a new list with `conda list --explicit --sha256`",
    )
