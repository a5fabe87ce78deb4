"""Checks of hand-written container kernels: `apptainer exec ... IMAGE python ...` and its relatives.

Paths inside the image are no finding here: they cannot be seen from outside.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .subject import Subject

_VERBS = frozenset({"exec", "run", "shell"})
_WITH_VALUE = frozenset(
    {"-B", "--bind", "-H", "--home", "-W", "--workdir", "-S", "--scratch", "-o", "--overlay", "--env",
     "--env-file", "--pwd", "--cwd", "--mount", "--add-caps", "--drop-caps", "--network", "--dns", "--hostname",
     "--security", "--apply-cgroups", "--app", "--fusemount", "--nvccli-path", "--memory", "--cpus"}
)  # fmt: skip
_CONTAINED = frozenset({"-c", "--contain", "-C", "--containall", "--no-home"})


@dataclass(frozen=True)
class Call:
    """One parsed `apptainer exec`: options as they stand, the image, the command in it."""

    program: str
    options: tuple[str, ...]
    binds: tuple[str, ...]
    image: str | None
    command: tuple[str, ...]


def parse(argv: tuple[str, ...]) -> Call | None:
    """The container call in `argv`; None where there is none of apptainer's kind."""
    start = next(
        (n for n, w in enumerate(argv[:4]) if os.path.basename(w) in {"apptainer", "singularity"}),
        None,
    )
    if start is None:
        return None
    options: list[str] = []
    binds: list[str] = []
    rest = list(argv[start + 1 :])
    seen_verb = False
    while rest:
        word = rest.pop(0)
        if not seen_verb and word in _VERBS:
            seen_verb = True
        elif word in {"-B", "--bind"} and rest:
            options.append(word)
            binds.append(rest.pop(0))
        elif word.startswith(("--bind=", "-B")) and len(word) > 2:
            options.append(word)
            binds.append(
                word.removeprefix("--bind=") if word.startswith("--bind=") else word[2:].strip(" =")
            )
        elif word in _WITH_VALUE and rest:
            options += [word, rest.pop(0)]
        elif word.startswith("-"):
            options.append(word)
        elif seen_verb:
            return Call(argv[start], tuple(options), tuple(binds), word, tuple(rest))
    return Call(argv[start], tuple(options), tuple(binds), None, ())


def check_container(subject: Subject) -> Iterator[Problem]:
    """Image, binds and the way of the connection file into the container."""
    if subject.kernel.owned:
        return
    call = parse(subject.argv) if subject.argv else None
    if call is None:
        return
    yield from _image(subject, call)
    yield from _binds(call)
    yield from _connection_file(subject, call)
    if re.search(r"/\d+(?:\.\d+)+/", call.program):
        text = f"`{call.program}` names one version of the runtime and ends with it"
        yield Problem(
            "runtime-path-of-one-version",
            "note",
            text,
            "`kernelwright adopt` finds the runtime at each start",
        )


def _image(subject: Subject, call: Call) -> Iterator[Problem]:
    image = call.image
    if image is None:
        yield Problem(
            "image-not-named",
            "error",
            "the container command names no image",
            "put it before the command",
        )
        return
    if re.search(r"[^:]/(?:docker|oras|library|shub|https?):/", image):
        text = f"`{image[:200]}` is an image address that was taken for a path"
        yield Problem("image-path-mangled", "error", text, "write `docker://...` again")
        return
    if "://" in image:
        text = (
            f"`{image[:200]}` is fetched and converted at every first start, which can take minutes"
        )
        yield Problem(
            "image-not-local",
            "note",
            text,
            f"`kernelwright adopt {subject.kernel.name}` keeps it as a file",
        )
        return
    path = image if image.startswith("/") else os.path.join(str(subject.around.home), image)
    if not os.path.exists(path) and not _unfilled(subject):
        text = f"the container image `{image[:300]}` does not exist on this node"
        hint = (
            "give its new path, or pull it again"
            if image.startswith("/")
            else "give its absolute path: it counts from the notebook's folder"
        )
        yield Problem("image-not-found", "error", text, hint)
    elif "$" in image:
        text = f"`$` in `{image[:200]}` is not expanded in argv"
        yield Problem("argv-not-expanded", "error", text, "write the path in full, or `~/...`")


def _unfilled(subject: Subject) -> bool:
    return any(p.code == "placeholder-not-filled" for p in subject.kernel.problems)


def _binds(call: Call) -> Iterator[Problem]:
    for bind in call.binds:
        for entry in bind.split(","):
            source = entry.split(":")[0].strip()
            if source == "/run/user" or source.startswith("/run/user/"):
                text = f"the bind `{entry}` fails on nodes without a login session of yours: /run/user is missing there"
                hint = "Jupyter's connection files lie in HOME, which apptainer binds by itself: leave it out"
                yield Problem("bind-run-user", "warning", text, hint)
            elif source.startswith("/") and not os.path.exists(source):
                text = f"the bind `{entry}` fails: `{source}` does not exist on this node"
                yield Problem(
                    "bind-missing", "warning", text, "make the folder, or leave the bind out"
                )


def _connection_file(subject: Subject, call: Call) -> Iterator[Problem]:
    contained = _CONTAINED & set(call.options)
    if not contained:
        return
    folder = subject.around.jupyter_runtime
    sources = [entry.split(":")[0] for bind in call.binds for entry in bind.split(",")]
    if any(folder == s or folder.startswith(s.rstrip("/") + "/") for s in sources if s):
        return
    text = f"`{min(contained)}` hides `{folder}`, where Jupyter writes the connection file: no answer until the timeout"
    yield Problem("connection-file-invisible", "error", text, f"add `--bind {folder}`")
