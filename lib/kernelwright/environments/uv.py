"""uv as we call it: every call in one place, its failures told apart."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process
from ..errors import UserError
from ..store.atomic import make_folder, write_text
from . import caches
from .base import Choice
from .layout import normal
from .offline import way_out
from .pip_settings import uv_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..process import Result
    from ..progress import Progress
    from .base import Place

LOCK = "requirements.lock"
TIMEOUT = 3600.0  # seconds: large packages over a slow network
SETTLING = 2.0  # seconds until an index whose servers disagree is asked again

# what uv prints, by regular expression: (code, message, hint); first match wins
FAILURES = (
    (
        r"Failed to inspect Python interpreter",
        "python-not-found",
        "the interpreter that was named is no Python that can be used",
        "give a version with --python, or the path of a Python",
    ),
    (
        r"No space left on device|Disk quota exceeded",
        "disk-full",
        "the disk or the quota is full",
        "free some space, or see `kernelwright storage`",
    ),
    (
        (
            r"(?:was|were) not found in (?:the package registry|the cache|the provided)|no versions of [\w.-]+"
            r"|Because (?:there is no version of|only) (?P<name>[\w.-]+)\S*(?: is available)? and you require (?P=name)\b"
        ),
        "package-not-found",
        "a package does not exist under this name or version",
        "look the name up, and check its spelling and version",
    ),
    (
        r"error sending request|dns error|Connection refused|Could not connect|timed out|Network is unreachable|os error 11[01]|Network connectivity is disabled",
        "index-unreachable",
        "the package index cannot be reached from this node",
        None,
    ),
    (
        r"401 Unauthorized|403 Forbidden|407 Proxy",
        "index-denied",
        "the package index refuses access",
        "check the credentials in pip.conf or ~/.netrc",
    ),
    (
        r"[Hh]ash mismatch",
        "hash-mismatch",
        "a package is not the file that the lock names",
        "the index was changed; `kernelwright update` makes a new lock",
    ),
    (
        r"No solution found|unsatisfiable",
        "requirements-conflict",
        "these requirements cannot be met together",
        "relax or leave out one of the requirements named below",
    ),
    (
        r"Failed to parse|[Uu]nexpected .*expected|Expected (?:package name|one of)|Couldn't parse|not a valid requirement",
        "invalid-requirement",
        "a requirement cannot be read",
        "write one requirement a line, for example `numpy>=2`",
    ),
    (
        r"[Ff]ailed to decode file",
        "invalid-requirement",
        "the requirements file is no text",
        "save it as UTF-8",
    ),
    (
        r"Failed to build|build backend returned an error|Failed building",
        "package-build-failed",
        "a package has no wheel for this Python and could not be built",
        "choose another version of it, or another Python with --python",
    ),
    (
        r"File not found|No such file|Distribution not found at",
        "file-not-found",
        "a file that the requirements name does not exist",
        None,
    ),
)


@dataclass(frozen=True)
class Uv:
    """The runtime's uv with the environment of one place."""

    place: Place
    progress: Progress

    def run(self, *words: str, cwd: Path | None = None) -> Result:
        """Run one uv command; raises the UserError that its failure stands for."""
        cache = caches.folder(self.place, "uv")
        make_folder(cache)
        environ = uv_environment(
            self.place.home,
            self.place.environ,
            cache=cache,
            index=self.place.site.python.index,
        )
        if words[:2] == ("pip", "install"):
            environ.pop("UV_CONSTRAINT", None)  # the lock obeyed it already; hashes allow no ranges
        if self.place.site.network.proxy:
            environ.setdefault("HTTPS_PROXY", self.place.site.network.proxy)
        result = process.run(
            [str(self._program()), *words],
            timeout=TIMEOUT,
            env=environ,
            cwd=cwd or self.place.keep,
            on_line=self._tell,
        )
        with open(self.place.keep / "pip.log", "a", encoding="utf-8") as log:
            log.write(f"$ uv {' '.join(words[:2])}\n{result.stderr}\n")
        if not result.ok:
            raise self._explain(result)
        return result

    def _program(self) -> Path:
        own = self.place.runtime / "venv/bin/uv"
        if own.exists():
            return own
        from uv import find_uv_bin  # a developer's checkout: uv lies beside this interpreter

        return Path(find_uv_bin())

    def _tell(self, line: str) -> None:
        found = re.match(r"\s*(?:Prepared|Resolved|Installed|Downloading|Building) .*", line)
        if found:
            self.progress.note(line.strip())

    def _explain(self, result: Result) -> UserError:
        text = re.sub(r"\x1b\[[0-9;]*m", "", result.stderr)
        evidence = "\n".join(line for line in text.splitlines() if line.strip())[-1500:]
        flat = " ".join(text.split())  # uv breaks its lines at the width of the terminal
        for pattern, code, message, hint in FAILURES:
            if re.search(pattern, flat):
                if code == "index-unreachable":
                    how = "how to install packages from here"
                    advice: str | None = way_out(self.place.site, "create", how)
                else:
                    advice = hint
                return UserError(
                    code, _named(message, flat), context={"uv says": evidence}, hint=advice
                )
        return UserError(
            "install-failed", "the packages could not be installed", context={"uv says": evidence}
        )


def _named(message: str, said: str) -> str:
    """`message` with the package that uv names, where it names one."""
    found = re.search(
        r"[Bb]ecause ([\w.-]+) was not found|no versions? of ([\w.-]+)|[Bb]ecause only ([\w.-]+)\S* is available",
        said,
    )
    name = next((n for n in found.groups() if n), None) if found else None
    return message.replace("a package does", f"the package `{name}` does") if name else message


def install(
    place: Place, progress: Progress, python: Path, wanted: Sequence[str], files: Sequence[str]
) -> tuple[str, list[str]]:
    """Lock `wanted` and `files` for `python`, install the lock, and return (lock text, what has no hash).

    What cannot be hashed (git and local requirements) is installed all the same and named.
    """
    uv = Uv(place, progress)
    progress.phase("solve", "choosing versions")
    text = compile_lock(uv, python, wanted, files)
    place.chosen(pinned(text))
    loose = unhashed(text)
    progress.phase("download", "downloading and installing packages")
    hashes = [] if loose else ["--require-hashes"]
    words = ("pip", "install", "--python", str(python), *hashes, "-r", str(place.keep / LOCK))
    try:
        uv.run(*words, cwd=_base(files, place))
    except UserError as error:
        if error.code != "package-not-found":
            raise
        progress.note("the index no longer has what it had a moment ago: asking it again")
        time.sleep(SETTLING)
        uv.run(*words, "--refresh", cwd=_base(files, place))
    return text, loose


def compile_lock(uv: Uv, python: Path, wanted: Sequence[str], files: Sequence[str]) -> str:
    """The text of an exact lock with hashes for `python`; written to LOCK in the place's folder."""
    keep = uv.place.keep
    source = keep / "requirements.in"
    write_text(source, "\n".join(wanted) + "\n")
    uv.run(
        *("pip", "compile", "--quiet", "--generate-hashes", "--no-annotate", "--no-header"),
        *(
            "--no-strip-extras",
            "--python",
            str(python),
            "-o",
            str(keep / LOCK),
            str(source),
            *files,
        ),
        cwd=_base(files, uv.place),
    )
    text = absolute((keep / LOCK).read_text(), _base(files, uv.place))
    write_text(keep / LOCK, text)
    return text


def _base(files: Sequence[str], place: Place) -> Path:
    """Relative paths in a requirements file count from its folder."""
    return Path(files[0]).parent if files else place.keep


def pinned(lock: str) -> dict[str, Choice]:
    """The distributions of a lock by normalised name; what comes from an address has `?` as version."""
    rows = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?(?:==([^\s;\\]+)| @ )", lock, re.MULTILINE)
    return {normal(name): Choice(version or "?") for name, version in rows}


def absolute(lock: str, base: Path) -> str:
    """`lock` with the paths in it counted from `base`, so that it means the same from anywhere."""
    return re.sub(
        r"^(-e )?(\.{1,2}/|[^\s=@:#/-][^\s=@:/]*/)",
        lambda found: f"{found[1] or ''}{os.path.normpath(base / found[2])}/",
        lock,
        flags=re.MULTILINE,
    )


def unhashed(lock: str) -> list[str]:
    """The requirements of a lock that carry no hash: by name, or by path where they have only that."""
    blocks = re.split(r"\n(?=\S)", lock.replace("\\\n", " "))
    asked = (b.strip().removeprefix("-e ") for b in blocks if "--hash=" not in b)
    return [re.split(r"\s+[;@]\s", a)[0] for a in asked if a and not a.startswith(("#", "-"))]


def has(path: str) -> bool:
    """Whether a file named by a recipe is there and can be read."""
    return os.path.isfile(path) and os.access(path, os.R_OK)
