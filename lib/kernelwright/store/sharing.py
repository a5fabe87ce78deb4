"""Who may have written a shared kernel: whatever it holds runs as the person who opens it.

Trust is judged by effective access: the owner and the write permissions (ACLs where they can be read)
of everything that decides what runs, up to the root of the file system. The site names the owners
that it trusts (`groups.trusted_owners`); `@members` there stands for the members of the folder's own
group, who then may write to it too. A person's own word (`kernelwright trust`) is remembered with a
hash of what the kernel runs, and ends when that changes.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import stat
import struct
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Problem
from . import kernelspec
from .atomic import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..config.model import SiteConfig

MEMBERS = "@members"
# what launch.sh may source and start, beside it
LAUNCH_FILES = ("start.sh", "watch.sh", "modules.sh", "hooks.sh", "container.sh", "entry.py")
INNER = ".kernelwright"  # with -USER, in a group folder: the versions that a user has published
ACL = "system.posix_acl_access"
USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x02, 0x04, 0x08, 0x10, 0x20  # tags of linux/posix_acl.h
SMALL = 1 << 20  # bytes of a file that goes into the hash
HINT = "its owner closes it with `chmod go-w`, or publishes it anew with `kernelwright share`"


def trust(folder: str | Path, site: SiteConfig, *, home: Path | None = None) -> Problem | None:
    """Why the kernel in the kernelspec `folder` must not be started; None when it may.

    Called by discovery for every kernel of a group, and by the session for the one that was chosen:
    some dozen stat calls, no process. With `home`, what this user has trusted by word is let through.
    """
    spec = Path(os.path.abspath(folder))
    problem = next((p for path in deciding(spec) if (p := _of_path(path, spec, site))), None)
    if problem is not None and home is not None and remembered(home, spec):
        return None
    return problem


def deciding(folder: Path) -> Iterator[Path]:
    """The files and folders that decide what the kernel runs, and everything above them, once each."""
    data = kernelspec.read(folder)
    argv = data.get("argv") if data else None
    program = (
        str(argv[0]).replace("{resource_dir}", str(folder))
        if isinstance(argv, list) and argv
        else ""
    )
    seen: set[Path] = set()
    starts = [folder / "kernel.json"]
    if program.startswith("/"):
        starts.append(Path(program))
        starts += [Path(program).parent / name for name in (*LAUNCH_FILES, "env/bin")]
    for start in starts:
        for path in (start, Path(os.path.realpath(start))):
            for one in (path, *path.parents):
                if one not in seen and os.path.lexists(one):
                    seen.add(one)
                    yield one


def _of_path(path: Path, folder: Path, site: SiteConfig) -> Problem | None:
    try:
        facts = os.stat(path)
    except OSError as error:
        return Problem("shared-unreadable", "error", f"you cannot look at `{path}`: {error.strerror}",
                       f"ask {_owner(folder)} to publish it anew with `kernelwright share`", str(path))  # fmt: skip
    group = _members(folder, site)
    if facts.st_uid not in trusted_users(site) and not (group and _is_member(facts.st_uid, group)):
        return Problem("untrusted-kernel", "error", f"`{path}` belongs to {_name(facts.st_uid)}, whom the site does not trust with shared kernels",
                       f"look at it with `kernelwright show {_called(folder, site)}`, then say `kernelwright trust {_called(folder, site)}` if you know its owner", str(path))  # fmt: skip
    sticky_folder = stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX
    if sticky_folder and path != folder:
        return None  # as in /tmp: nobody can replace what belongs to another
    writers = _writers(path, facts, group)
    if writers:
        return Problem(
            "untrusted-kernel",
            "error",
            f"{writers} can change `{path}`, and it would run as you",
            HINT,
            str(path),
        )
    return None


def _writers(path: Path, facts: os.stat_result, group: int | None) -> str | None:
    """Who else may write, in words; None when only the owner (and trusted groups) can."""
    if facts.st_mode & stat.S_IWOTH:
        return "everybody"
    if not facts.st_mode & stat.S_IWGRP:
        return None  # with an ACL this bit is its mask: nobody named there can write either
    entries = _acl(path)
    if entries is None:
        return None if facts.st_gid in {0, group} else f"the group {_group_name(facts.st_gid)}"
    for tag, permission, number in entries:
        if not permission & 2:
            continue
        if tag == USER and number not in {0, os.getuid(), facts.st_uid}:
            return f"{_name(number)} (by an ACL)"
        named = facts.st_gid if tag == GROUP_OBJ else number
        if tag in {GROUP, GROUP_OBJ} and named not in {0, group}:
            return f"the group {_group_name(named)}"
    return None


def _acl(path: Path) -> list[tuple[int, int, int]] | None:
    """The entries (tag, permissions, id) of a POSIX ACL; None where there is none or it cannot be read."""
    try:
        data = os.getxattr(path, ACL)
    except OSError:
        return None
    if len(data) < 4 or struct.unpack_from("<I", data)[0] != 2:
        return None
    return [struct.unpack_from("<HHI", data, start) for start in range(4, len(data) - 7, 8)]


def trusted_users(site: SiteConfig) -> frozenset[int]:
    """The numbers of the users whose shared kernels may be run: the site's list, root and this user."""
    return _numbers(site.groups.trusted_owners, os.getuid())


def trusts_me(site: SiteConfig) -> bool:
    """Whether others may start what this user shares, without a word of their own."""
    return MEMBERS in site.groups.trusted_owners or os.getuid() in _numbers(
        site.groups.trusted_owners, 0
    )


@lru_cache(maxsize=32)
def _numbers(names: tuple[str, ...], me: int) -> frozenset[int]:
    found = {0, me}
    for name in names:
        try:
            found.add(int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    return frozenset(found)


def _members(folder: Path, site: SiteConfig) -> int | None:
    """The group whose members the site trusts with this folder: `{group}` of its pattern."""
    if MEMBERS not in site.groups.trusted_owners:
        return None
    name = group_of(folder, site)
    try:
        return grp.getgrnam(name).gr_gid if name else None
    except KeyError:
        return None


def group_of(folder: Path, site: SiteConfig) -> str | None:
    """The group to whose folder a kernelspec belongs, by the site's patterns; None for other folders."""
    for pattern in site.groups.folders:
        before, _, after = pattern.partition("{group}")
        if "{group}" not in pattern:
            continue
        found = re.match(
            re.escape(before) + r"([^/]+)" + re.escape(after.rstrip("/")) + r"(?:/|$)", str(folder)
        )
        if found:
            return found[1]
    return None


def _called(folder: Path, site: SiteConfig) -> str:
    """GROUP/NAME, as `list` and `trust` call a kernel in a folder of a group."""
    return f"{group_of(folder, site) or folder.parent.name}/{folder.name}"


@lru_cache(maxsize=256)
def _is_member(user: int, group: int) -> bool:
    try:
        entry = pwd.getpwuid(user)
        return entry.pw_gid == group or entry.pw_name in grp.getgrgid(group).gr_mem
    except KeyError:
        return False


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _group_name(group: int) -> str:
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def _owner(folder: Path) -> str:
    try:
        return _name(os.stat(folder).st_uid)
    except OSError:
        return "its owner"


# --- a person's own word --------------------------------------------------------------------------


def content_hash(folder: Path) -> str:
    """A hash of what the kernel runs: kernel.json and the small files beside its start script."""
    digest = hashlib.sha256()
    data = kernelspec.read(folder)
    argv = data.get("argv") if data else None
    program = str(argv[0]) if isinstance(argv, list) and argv else ""
    paths = [folder / "kernel.json"]
    if program.startswith("/"):
        beside = Path(program).parent
        ours = (beside / "recipe.yml").is_file()
        paths += sorted(p for p in beside.iterdir() if p.is_file()) if ours else [Path(program)]
    for path in paths:
        digest.update(f"{path}\0".encode())
        with open(path, "rb") as stream:
            digest.update(stream.read(SMALL))
    return digest.hexdigest()


def remember(home: Path, folder: Path) -> str:
    """Keep this user's word that the kernel in `folder`, as it is now, may be started."""
    digest = content_hash(folder)
    path = _memory(home)
    known = _known(home)
    known[str(folder)] = {"hash": digest, "since": time.time()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"version": 1, "kernels": known})
    return digest


def remembered(home: Path, folder: Path) -> bool:
    """Whether this user has trusted the kernel by word, and it is still the same."""
    entry = _known(home).get(str(folder))
    if not isinstance(entry, dict):
        return False
    try:
        return bool(entry.get("hash") == content_hash(folder))
    except OSError:
        return False


def forget(home: Path, folder: Path) -> bool:
    """Take the word back; whether there was one."""
    known = _known(home)
    if known.pop(str(folder), None) is None:
        return False
    write_json(_memory(home), {"version": 1, "kernels": known})
    return True


def _memory(home: Path) -> Path:
    return home / ".local/share/kernelwright/trusted.json"


def _known(home: Path) -> dict[str, Any]:
    data = read_json(_memory(home))
    kernels = data.get("kernels") if isinstance(data, dict) else None
    return dict(kernels) if isinstance(kernels, dict) else {}
