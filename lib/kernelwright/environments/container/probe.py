"""Look inside an image once, when the kernel is made: which languages, which libc, which ipykernel.

Bounded in time and output, with nothing of this node visible to the image. Nothing is believed that is
not of the expected shape: an image is somebody else's program.
"""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import process
from ...errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...process import Result
    from .runtimes import Runtime

TIMEOUT = 120.0  # seconds a call: the first start of a large image from a slow file system
MARK = "KERNELWRIGHT-PROBE "
PYTHONS = (
    "python3",
    "python",
    "/usr/bin/python3",
    "/usr/local/bin/python3",
    "/opt/conda/bin/python",
)
SCRIPT = Path(__file__).with_name("inside.py")
LIMIT = 256 << 10  # bytes believed of an answer

# asked of a shell, where the image has one, and only when Python is not what the kernel needs
SHELL = r"""
say() { printf 'KERNELWRIGHT-PROBE %s=%s\n' "$1" "$2"; }
say shell yes
for p in R Rscript julia bash python3 python; do w=$(command -v "$p" 2>/dev/null) && say "$p" "$w"; done
command -v R >/dev/null 2>&1 && say r-version "$(R --version 2>/dev/null | sed -n '1s/^R version \([0-9.]*\).*/\1/p')"
command -v Rscript >/dev/null 2>&1 && say irkernel "$(Rscript --vanilla -e 'cat(nzchar(system.file(package="IRkernel")))' 2>/dev/null)"
for d in /usr/local/share/jupyter /usr/share/jupyter /opt/conda/share/jupyter; do
  for f in "$d"/kernels/*/kernel.json; do [ -r "$f" ] && say spec "$f" && while IFS= read -r l || [ -n "$l" ]; do say json "$l"; done < "$f"; done
done
exit 0
"""

NO_PROGRAM = re.compile(
    r"executable file not found|no such file or directory|stat .*: no such", re.IGNORECASE
)
NO_FUSE = re.compile(r"/dev/fuse|squashfuse|image driver mount failure", re.IGNORECASE)
WRONG_MACHINE = re.compile(
    r"exec format error|wrong architecture|incompatible with host", re.IGNORECASE
)


@dataclass(frozen=True)
class Spec:
    """A kernelspec inside the image."""

    folder: str
    argv: tuple[str, ...]
    language: str
    interrupt_mode: str | None


@dataclass(frozen=True)
class Findings:
    """What an image holds; None or empty where it has none. Kept in made.json."""

    python: str | None = None  # the interpreter's path inside
    version: tuple[int, ...] = ()
    machine: str = ""
    libc: str = ""
    libc_version: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    messages: bool | None = None  # whether its own ipykernel answers interrupt messages
    kernelspecs: tuple[Spec, ...] = ()
    shell: bool = False
    programs: Mapping[str, str] = field(default_factory=dict)
    r_version: str | None = None
    irkernel: bool = False
    unsquash: bool = False  # the image file cannot be mounted here without unpacking

    @property
    def minor(self) -> str:
        """The version as `3.9`."""
        return ".".join(map(str, self.version[:2]))

    def facts(self) -> dict[str, Any]:
        """Plain data for made.json."""
        return asdict(self)

    def words(self) -> str:
        """What the image has, for people: `Python 3.9, R 4.2, bash`."""
        found = [f"Python {'.'.join(map(str, self.version))}"] if self.python else []
        found += [f"R {self.r_version or ''}".strip()] if "R" in self.programs else []
        found += [name for name in ("julia", "bash") if name in self.programs]
        return ", ".join(found) or (
            "a shell" if self.shell else "none of Python, R, Julia and a shell"
        )


def probe(runtime: Runtime, image: str, language: str, environ: Mapping[str, str]) -> Findings:
    """Ask the image. Raises UserError `image-wrong-architecture`, `image-start-failed` or `command-timed-out`."""
    environ = runtime.environment(environ)
    found, unsquash = _ask_python(runtime, image, environ)
    if found is None or language != "python":
        found = _ask_shell(runtime, image, environ, found or Findings(), unsquash=unsquash)
    return _with(found, unsquash=unsquash)


def _ask_python(
    runtime: Runtime, image: str, environ: Mapping[str, str]
) -> tuple[Findings | None, bool]:
    unsquash = False
    for python in PYTHONS:
        command = (python, "-E", "-s", "-c", SCRIPT.read_text(encoding="utf-8"))
        result = process.run(
            runtime.inside(image, command, unsquash=unsquash), timeout=TIMEOUT, env=environ, cwd="/"
        )
        if not result.ok and not unsquash and NO_FUSE.search(result.stderr):
            unsquash = True
            result = process.run(
                runtime.inside(image, command, unsquash=True), timeout=TIMEOUT, env=environ, cwd="/"
            )
        if answer := _answer(result.stdout):
            return _from_python(answer), unsquash
        if WRONG_MACHINE.search(result.stderr):
            raise UserError(
                "image-wrong-architecture",
                f"the programs in `{image}` are not made for this processor",
                context={"evidence": result.tail(3)},
                hint="look for a tag that is made for it",
            )
        if not result.ok and not NO_PROGRAM.search(result.stderr) and "FATAL" in result.stderr:
            raise _broken(image, result)
    return None, unsquash


def _broken(image: str, result: Result) -> UserError:
    return UserError(
        "image-start-failed",
        f"nothing can be started in `{image}`",
        context={"evidence": result.tail(5)},
        hint="try it by hand with the runtime's `exec IMAGE true`; a damaged image must be pulled again",
    )


def _answer(stdout: str) -> dict[str, Any] | None:
    for line in stdout[-LIMIT:].splitlines():
        if line.startswith(MARK):
            try:
                value = json.loads(line[len(MARK) :])
            except ValueError:
                return None
            return value if isinstance(value, dict) else None
    return None


def _from_python(answer: Mapping[str, Any]) -> Findings:
    """Keep what has the expected shape only."""
    version = answer.get("version")
    libc = answer.get("libc")
    packages = answer.get("packages")
    clean = {
        name: value
        for name, value in (packages if isinstance(packages, dict) else {}).items()
        if re.fullmatch(r"[a-z0-9-]{1,60}", str(name))
        and re.fullmatch(r"[A-Za-z0-9.+!-]{1,60}", str(value))
    }
    specs = answer.get("kernelspecs")
    return Findings(
        python=_path(answer.get("executable")),
        version=tuple(v for v in version if isinstance(v, int))
        if isinstance(version, list)
        else (),
        machine=_word(answer.get("machine")),
        libc=_word(libc[0]) if isinstance(libc, list) and libc else "",
        libc_version=_word(libc[1]) if isinstance(libc, list) and len(libc) > 1 else "",
        packages=clean,
        messages=answer.get("messages") if isinstance(answer.get("messages"), bool) else None,
        kernelspecs=tuple(
            s for entry in (specs if isinstance(specs, list) else [])[:50] if (s := _spec(entry))
        ),
    )


def _spec(entry: object) -> Spec | None:
    if not isinstance(entry, list) or len(entry) != 4:
        return None
    folder, argv, language, mode = entry
    if (
        not isinstance(folder, str)
        or not isinstance(argv, list)
        or not argv
        or not all(isinstance(a, str) and "\0" not in a for a in argv)
    ):
        return None
    placed = tuple(a.replace("{resource_dir}", folder) for a in argv)
    return Spec(
        folder, placed, str(language).lower(), mode if mode in {"message", "signal"} else None
    )


def _ask_shell(
    runtime: Runtime, image: str, environ: Mapping[str, str], found: Findings, *, unsquash: bool
) -> Findings:
    result = process.run(
        runtime.inside(image, ("/bin/sh", "-c", SHELL), unsquash=unsquash),
        timeout=TIMEOUT,
        env=environ,
        cwd="/",
    )
    said = [
        line[len(MARK) :].partition("=")
        for line in result.stdout[-LIMIT:].splitlines()
        if line.startswith(MARK)
    ]
    words = {key: value.strip() for key, _, value in said if key not in {"spec", "json"}}
    return _with(
        found,
        shell=words.get("shell") == "yes",
        programs={
            name: path
            for name in ("R", "Rscript", "julia", "bash", "python3", "python")
            if (path := _path(words.get(name)))
        },
        r_version=_word(words.get("r-version")) or None,
        irkernel=words.get("irkernel") == "TRUE",
        kernelspecs=(
            *found.kernelspecs,
            *_shell_specs(said, {s.folder for s in found.kernelspecs}),
        ),
    )


def _shell_specs(said: list[tuple[str, str, str]], known: set[str]) -> list[Spec]:
    files: dict[str, list[str]] = {}
    current: list[str] = []
    for key, _, value in said:
        if key == "spec":
            current = files.setdefault(posixpath.dirname(value), [])
        elif key == "json":
            current.append(value)
    found = []
    for folder, lines in files.items():
        try:
            value = json.loads("\n".join(lines))
        except ValueError:
            continue
        if isinstance(value, dict) and folder not in known:
            found.append(
                _spec(
                    [folder, value.get("argv"), value.get("language"), value.get("interrupt_mode")]
                )
            )
    return [spec for spec in found if spec is not None]


def _with(found: Findings, **changes: Any) -> Findings:
    from dataclasses import replace

    return replace(found, **changes)


def _path(value: object) -> str | None:
    return (
        value
        if isinstance(value, str)
        and value.startswith("/")
        and value.isprintable()
        and len(value) < 1000
        else None
    )


def _word(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,40}", value) else ""
