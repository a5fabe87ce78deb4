"""Checks of the account: what keeps every kernel of a person from starting, whichever it is.

Start files of the shell are only read; nothing here edits them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import time
from typing import TYPE_CHECKING

from .. import paths, process
from ..errors import Problem, UserError
from ..mounts import NETWORK
from ..store.atomic import read_json
from ..store.lock import STALE, describe
from .subject import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .subject import Around

NEARLY = 0.95  # of a quota
LOW = 64 << 20  # bytes free on the file system of HOME
SHELLS = frozenset({"bash"})
START_FILES = (
    ".bash_profile",
    ".bash_login",
    ".profile",
    ".bashrc",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".cshrc",
    ".tcshrc",
    ".login",
)
# sign in a start file: (code, what it does to the session)
SIGNS = (
    (r"^\s*exec\s+(?!\d*[<>])\S+", "start-file-exec", "replaces the shell, so that what follows never runs"),
    (r"^\s*(?:exit|logout)\b", "start-file-exit", "ends the shell, and with it the start of a session"),
    (r"^\s*read\s+(?!.*<)", "start-file-read", "waits for somebody to type"),
    (r"^\s*set\s+-\w*[eu]", "start-file-set", "makes the shell end at the first small failure"),
)  # fmt: skip
_GUARD = re.compile(
    r"\$-|\[\s+-z\s+\"?\$PS1|-t\s+[01]\b|\$\{?PS1|tty\s+-s|\$\?prompt|status is-interactive"
)


def check_account(around: Around, *, thorough: bool = True) -> list[Problem]:
    """Every finding; without `thorough` only what needs neither a process nor a write (session prepare)."""
    found = [
        *_home(around, write=thorough),
        *_variables(around),
        *_history(around),
        *_shell(around),
        *_start_files(around),
        *_locks(around),
    ]
    return [*found, *_quota(around)] if thorough else found


def _home(around: Around, *, write: bool) -> Iterator[Problem]:
    home = around.home
    if not os.path.isdir(home):
        yield Problem(
            "home-missing", "error", f"the home folder `{home}` does not exist on this node"
        )
        return
    reason = _cannot_write(around) if write else None
    if reason in {errno.ENOSPC, errno.EDQUOT}:
        text = "nothing can be written to HOME: it is full"
        yield Problem(
            "home-full",
            "error",
            text,
            "`kernelwright storage` shows what takes space; `quota -s` shows your limit",
            str(home),
        )
    elif reason is not None:
        text = f"nothing can be written to `{home}`: {os.strerror(reason)}"
        yield Problem("home-unwritable", "error", text, "look at it with `ls -ld`", str(home))
    else:
        with contextlib.suppress(OSError):
            facts = os.statvfs(home)
            if facts.f_blocks and facts.f_bavail * facts.f_frsize < LOW:
                text = f"the file system of HOME has only {facts.f_bavail * facts.f_frsize >> 20} MiB left"
                yield Problem(
                    "home-nearly-full",
                    "warning",
                    text,
                    "IPython and Jupyter write there at every start",
                )


def _cannot_write(around: Around) -> int | None:
    """The error number of writing 64 KiB to HOME and taking them away again; None when it works."""
    path = around.home / f".kernelwright-check-{os.getpid()}"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, b"\0" * 65536)
            os.fsync(handle)
        finally:
            os.close(handle)
            os.unlink(path)
    except OSError as error:
        return error.errno
    return None


def _quota(around: Around) -> Iterator[Problem]:
    try:
        result = process.run(
            ["quota", "-w", "-p"],
            timeout=2,
            env={"PATH": around.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
    except UserError:
        return
    yield from quota_findings(result.stdout)


def quota_findings(text: str) -> Iterator[Problem]:
    """Findings from the output of `quota -w -p`: blocks and files against their limits."""
    for line in text.splitlines():
        fields = line.replace("*", "").split()
        if len(fields) < 8 or not all(f.isdecimal() for f in fields[1:4]):
            continue
        for used, soft, hard, what in ((*fields[1:4], "space"), (*fields[5:8], "files")):
            limit = int(soft) if int(soft or 0) else int(hard) if hard.isdecimal() else 0
            if limit and int(used) >= NEARLY * limit:
                text = (
                    f"{100 * int(used) // limit} % of your quota of {what} on `{fields[0]}` is used"
                )
                yield Problem(
                    "quota-nearly-used",
                    "warning",
                    text,
                    "`kernelwright storage --clean` frees what nothing uses",
                )


def _variables(around: Around) -> Iterator[Problem]:
    folder = around.environ.get("XDG_RUNTIME_DIR")
    if folder and not os.path.isdir(folder):
        text = f"XDG_RUNTIME_DIR names `{folder}`, which does not exist on this node"
        yield Problem(
            "runtime-folder-missing",
            "warning",
            text,
            "unset XDG_RUNTIME_DIR in the start files of your shell",
        )
    said = around.environ.get("HOME")
    if (
        said
        and "KERNELWRIGHT_HOME" not in around.environ
        and os.path.realpath(said) != os.path.realpath(around.home)
    ):
        text = f"HOME is `{said}`, but your home folder is `{around.home}`: kernels are looked for in two places"
        yield Problem("home-differs", "warning", text, "do not change HOME in start files")
    runtime = around.jupyter_runtime
    if os.path.isdir(runtime) and not os.access(runtime, os.W_OK):
        text = f"Jupyter cannot write connection files to `{runtime}`"
        yield Problem(
            "runtime-folder-unwritable", "error", text, f"`ls -ld {runtime}` shows whose it is"
        )


def _history(around: Around) -> Iterator[Problem]:
    folder = around.environ.get("IPYTHONDIR") or str(around.home / ".ipython")
    kind, options = around.file_system(folder)
    if kind not in NETWORK or (kind == "lustre" and re.search(r"\bflock\b", options)):
        return
    text = f"IPython's history lies on {kind}, where its locks can hang a start for a minute"
    hint = "kernels made here avoid it by themselves; for others set IPYTHONDIR to a folder on a local disk"
    yield Problem("history-on-network-disk", "note", text, hint, folder)


def _shell(around: Around) -> Iterator[Problem]:
    try:
        shell = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        return
    name = os.path.basename(shell)
    if shell and not os.path.exists(shell):
        yield Problem(
            "login-shell-missing",
            "warning",
            f"your login shell `{shell}` does not exist on this node",
            "`chsh` changes it",
        )
    elif name and name not in SHELLS:
        text = f"your login shell is {name}; other tools may source files for bash in it"
        yield Problem("login-shell", "note", text, "kernels made here always start in bash")


def _start_files(around: Around) -> Iterator[Problem]:
    for name in START_FILES:
        text = text_of(around.home / name)
        if text:
            yield from start_file_findings(f"~/{name}", text)


def start_file_findings(path: str, text: str) -> Iterator[Problem]:
    """What one start file does to a shell that nobody types into; lines behind a guard do not count."""
    lines = text.splitlines()
    guard = next((n for n, line in enumerate(lines) if _is_guard(lines, n)), len(lines))
    reached = "\n".join("" if line.lstrip().startswith("#") else line for line in lines[:guard])
    inside = _indented(reached)
    for pattern, code, effect in SIGNS:
        for match in re.finditer(pattern, reached, re.MULTILINE):
            number = reached.count("\n", 0, match.end()) + 1
            if number in inside:
                continue
            hint = "put it behind `case $- in *i*) ;; *) return ;; esac`"
            evidence = f"line {number}: {lines[number - 1].strip()[:160]}"
            yield Problem(code, "warning", f"`{path}` {effect}", hint, evidence)
            break
    if "conda initialize" in text:
        words = f"`{path}` holds a `conda init` block: base is active in every shell, also in your sessions"
        yield Problem(
            "start-file-conda-init",
            "note",
            words,
            "`conda config --set auto_activate_base false` keeps base out",
        )


def _is_guard(lines: list[str], number: int) -> bool:
    """Whether a line leaves the file when nobody types: `case $- in ... return`, `[ -z "$PS1" ] && return`."""
    line = lines[number]
    if line.lstrip().startswith("#") or not _GUARD.search(line):
        return False
    return any(re.search(r"\b(?:return|exit)\b", near) for near in lines[number : number + 5])


def _indented(text: str) -> set[int]:
    """The lines inside functions and conditionals, which may never run: no finding from them."""
    found, depth = set(), 0
    for number, line in enumerate(text.split("\n"), 1):
        body = line.strip()
        if re.match(r"(?:fi|done|esac|\})\b|\}|endif\b|end\b", body):
            depth = max(0, depth - 1)
        if depth:
            found.add(number)
        opens = re.match(r"(?:if|for|while|until|case)\b|[\w-]+\s*\(\)|function\b", body)
        if opens and not re.search(r"\b(?:fi|done|esac)\b\s*;?$|\}\s*$", body):
            depth += 1
    return found


def _locks(around: Around) -> Iterator[Problem]:
    folder = paths.data_folder(around.home) / "locks"
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            if not entry.name.endswith(".lock"):
                continue
            holder = read_json(folder / entry.name) or {}
            silent = time.time() - entry.stat().st_mtime
            if silent > STALE and isinstance(holder, dict):
                text = f"a lock was left behind by {describe(holder)}"
                yield Problem(
                    "stale-lock",
                    "note",
                    text,
                    "the next command on that kernel takes it away",
                    entry.path,
                )
