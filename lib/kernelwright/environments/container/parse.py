"""Read a hand-written `apptainer exec ...` or `singularity run ...` into what a recipe says.

Used by `adopt`. Nothing is run or looked up: paths may belong to another node.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model import Bind, ContainerSpec
from ...recipe.parse import parse_bind
from .runtimes import FLAVOURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERBS = frozenset({"exec", "run"})
# options that take a value in the next word; all others stand alone
WITH_VALUE = frozenset(
    [
        "-B",
        "--bind",
        "-M",
        "--mount",
        "-H",
        "--home",
        "-W",
        "--workdir",
        "-S",
        "--scratch",
        "-o",
        "--overlay",
        "--env",
        "--env-file",
        "--pwd",
        "--cwd",
        "--add-caps",
        "--drop-caps",
        "--network",
        "--network-args",
        "--dns",
        "--hostname",
        "--security",
        "--apply-cgroups",
        "--app",
        "--fusemount",
        "--memory",
        "--cpus",
        "--no-mount",
        "--config",
    ]
)
# what the launch script does by itself, for every container kernel
DONE_ANYWAY = frozenset("-e --cleanenv -s --silent -q --quiet --pwd --cwd --no-init".split())  # noqa: SIM905 - as they are typed
FOR_HUNTING = frozenset("-d --debug -v --verbose".split())  # noqa: SIM905 - as they are typed
IPYKERNEL = re.compile(r"^(?:\S*/)?python[\d.]*$")


@dataclass(frozen=True)
class Call:
    """One container call: the recipe's part, the command inside, and what could not be taken over.

    `command` is () where it is ipykernel in the usual way, which Kernelwright starts by itself.
    `notes` are sentences for people.
    """

    spec: ContainerSpec
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def parse(argv: Sequence[str]) -> Call | None:
    """The call in the argv of a kernel.json; None where it is none, or names no image."""
    assigned, words = _program(argv)
    if words is None:
        return None
    options, rest = _options(words[1:])
    if not rest:
        return None
    image, *command = rest
    binds, notes = _binds(options)
    gpu = "nvidia" if "--nv" in options else "rocm" if "--rocm" in options else "none"
    if gpu != "none":
        notes.append(
            f"{'--nv' if gpu == 'nvidia' else '--rocm'} is now given only on nodes that have such a device (gpu: auto)"
        )
    notes += [
        f"`{name}` is left out: it is for hunting errors and slows each start"
        for name in options
        if name in FOR_HUNTING
    ]
    known = {"--nv", "--rocm", "-B", "--bind", "--env"} | DONE_ANYWAY | FOR_HUNTING
    notes += [
        f"`{' '.join([name, *values])}` is not taken over"
        for name, values in options.items()
        if name not in known
    ]
    return Call(
        ContainerSpec(
            image,
            gpu="auto" if gpu != "none" else "none",
            bind=tuple(binds),
            runtime=_runtime(words[0]),
        ),
        () if _is_ipykernel(command) else tuple(command),
        (*assigned.items(), *_env(options)),
        tuple(notes),
    )


def _program(argv: Sequence[str]) -> tuple[dict[str, str], list[str] | None]:
    """What `env A=1 ...` before the runtime sets, and the words from the runtime on; None without one."""
    words, assigned = list(argv), {}
    if words and os.path.basename(words[0]) == "env":
        words.pop(0)
        while words and re.match(r"[A-Za-z_]\w*=", words[0]):
            name, _, value = words.pop(0).partition("=")
            assigned[name] = value
    if not words or os.path.basename(words[0]) not in FLAVOURS:
        return assigned, None
    return assigned, words


def _options(words: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The options by name with their values in order, and the words from the image on."""
    found: dict[str, list[str]] = {}
    rest, verb = list(words), False
    while rest:
        word = rest.pop(0)
        if not verb and word in VERBS:
            verb = True
            continue
        if not word.startswith("-"):
            return found, [word, *rest] if verb else []
        name, equals, value = word.partition("=")
        if short := re.match(r"(-[BMHWSo])[ =]?(.+)", word):  # `-B/data`, or `-B /data` in one word
            found.setdefault(short[1], []).append(short[2].strip())
        elif equals:
            found.setdefault(name, []).append(value)
        elif word in WITH_VALUE and rest:
            found.setdefault(word, []).append(rest.pop(0))
        else:
            found.setdefault(word, [])
    return found, []


def _binds(options: Mapping[str, list[str]]) -> tuple[list[Bind], list[str]]:
    binds, notes = [], []
    for value in (*options.get("-B", ()), *options.get("--bind", ())):
        for part in value.strip("\"'").split(","):
            if re.match(r"/run/user(?:/|:|$)", part):
                notes.append(
                    f"the bind `{part}` is not needed: the connection file's folder is bound at each start"
                )
                continue
            try:
                binds.append(parse_bind(part))
            except ValueError as error:
                notes.append(f"the bind `{part}` is left out: {error}")
    return binds, notes


def _env(options: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for value in options.get("--env", ()) for part in value.split(",")]
    return [
        (name, value) for name, mark, value in pairs if mark and re.fullmatch(r"[A-Za-z_]\w*", name)
    ]


def _runtime(program: str) -> str | None:
    """A full path of one version ends with it, and a bare name is the site's to find: only the family is kept."""
    return "singularity" if os.path.basename(program) == "singularity" else None


def _is_ipykernel(command: Sequence[str]) -> bool:
    return (
        len(command) == 5
        and IPYKERNEL.match(command[0]) is not None
        and "/" not in command[0]
        and command[1] == "-m"
        and command[2] in {"ipykernel", "ipykernel_launcher"}
        and list(command[3:]) == ["-f", "{connection_file}"]
    )
