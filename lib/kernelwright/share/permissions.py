"""Who may read what is shared: opened for the group, closed for everybody else, writable by nobody."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator


def group_number(name: str) -> int:
    """The number of a Unix group that this user belongs to; raises `not-in-group`."""
    try:
        number = grp.getgrnam(name).gr_gid
    except KeyError:
        raise UserError(
            "no-such-group",
            f"there is no group `{name[:60]}` here",
            hint=f"your groups are: {', '.join(my_groups())}",
        ) from None
    if os.getuid() != 0 and number not in {os.getgid(), *os.getgroups()}:
        raise UserError(
            "not-in-group",
            f"you are not a member of the group `{name}`",
            hint=f"your groups are: {', '.join(my_groups())}; a new membership counts from the next login on",
        )
    return number


def my_groups() -> list[str]:
    """The names of this user's groups."""
    found = []
    for number in {os.getgid(), *os.getgroups()}:
        try:
            found.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return sorted(found)


def close(folder: Path, group: int) -> int:
    """Give everything below `folder` to the group for reading alone; returns the number of files.

    Files lose their write permission for the owner too: what is shared stays as it is until the
    owner publishes another version or takes it back (folders stay open for that).
    """
    count = 0
    for path in _everything(folder):
        facts = os.lstat(path)
        if facts.st_gid != group:
            os.chown(path, -1, group, follow_symlinks=False)
        if stat.S_ISLNK(facts.st_mode):
            continue
        inner = 0o750 if stat.S_ISDIR(facts.st_mode) else 0o550 if facts.st_mode & 0o100 else 0o440
        os.chmod(path, inner)
        count += 1
    return count


def pass_through(folder: Path, group: int) -> None:
    """Let the group go through `folder` to what is shared below it, without looking around in it."""
    os.chown(folder, -1, group)
    os.chmod(folder, 0o2710)  # noqa: S103 - the group is meant to pass


def _everything(folder: Path) -> Iterator[str]:
    yield str(folder)
    for base, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield os.path.join(base, name)


def unreadable(path: Path, group: int, *, execute: bool = False) -> str | None:
    """Why the members of a group cannot use `path`, in words; None when they can.

    Looks at the whole way from the root: one closed folder above hides everything below it.
    """
    real = Path(os.path.realpath(path))
    for one in [*reversed(real.parents), real]:
        try:
            facts = os.stat(one)
        except OSError as error:
            return f"`{one}`: {error.strerror}"
        needed = 1 if one != real else 5 if stat.S_ISDIR(facts.st_mode) or execute else 4
        if not _allows(facts, group, needed):
            what = "enter" if needed == 1 else "read"
            return f"`{one}` belongs to {login(facts.st_uid)}, and the group cannot {what} it (mode {stat.S_IMODE(facts.st_mode):04o})"
    return None


def _allows(facts: os.stat_result, group: int, needed: int) -> bool:
    mode = facts.st_mode
    bits = (mode >> 3) & 7 if facts.st_gid == group else mode & 7
    return bits & needed == needed


def contact() -> str:
    """Who shares, for people: the name of the account, else its login."""
    entry = pwd.getpwuid(os.getuid())
    name = entry.pw_gecos.split(",")[0].strip()
    return f"{name} ({entry.pw_name})" if name else entry.pw_name


def me() -> str:
    """The login of the user whose process this is, whatever its variables say."""
    return pwd.getpwuid(os.getuid()).pw_name


def login(user: int) -> str:
    """The login of a user, or their number where it has none here."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
