"""What no single key can tell: values that contradict each other, or the machine that this runs on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..recipe import from_mapping
from .model import RUNTIMES
from .reader import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .loaded import KeyPath, Loaded


def check_together(loaded: Loaded) -> list[Finding]:
    """Every finding beyond the table's, kernels first."""
    return [
        *_kernels(loaded),
        *_templates(loaded),
        *_form(loaded),
        *_machine(loaded),
    ]


def _finding(
    loaded: Loaded,
    path: KeyPath,
    code: str,
    message: str,
    *,
    severity: Any = "error",
    hint: str | None = None,
) -> Finding:
    return Finding(severity, code, message, loaded.spot(path), ".".join(path), hint)


def _kernels(loaded: Loaded) -> Iterator[Finding]:
    kernels: dict[str, Mapping[str, Any]] = {}
    for entry in loaded.values.get("kernels") or ():
        path = ("kernels", entry["name"])
        if entry["name"] in kernels:
            yield _finding(
                loaded,
                path,
                "site-duplicate-name",
                f"two central kernels are called `{entry['name']}`",
                hint="give one of them another name",
            )
        kernels[entry["name"]] = entry
        yield from _kernel(loaded, path, entry)
    chosen = [name for name, entry in kernels.items() if entry.get("default")]
    for name in chosen[1:]:
        yield _finding(
            loaded,
            ("kernels", name, "default"),
            "site-two-defaults",
            f"`{name}` and `{chosen[0]}` are both the default",
            hint="keep one `default: true`",
        )
    for name, entry in kernels.items():
        yield from _successor(loaded, name, entry, kernels)


def _kernel(loaded: Loaded, path: KeyPath, entry: Mapping[str, Any]) -> Iterator[Finding]:
    sources = [key for key in ("path", "recipe") if entry.get(key)]
    if len(sources) == 2:
        yield _finding(
            loaded,
            (*path, "path"),
            "site-kernel-source",
            f"`{entry['name']}` has a path and a recipe",
            hint="keep one of them",
        )
    named = {".".join((*path, key)) for key in ("path", "recipe", "successor")}
    wrong = any(f.key in named and f.severity == "error" for f in loaded.findings)
    if not sources and not entry.get("successor") and not wrong:
        yield _finding(
            loaded,
            path,
            "site-kernel-source",
            f"`{entry['name']}` has neither path nor recipe",
            hint="add `path:` (a folder with kernel.json), `recipe:`, or `successor:`",
        )
    if "recipe" in sources:
        yield from _recipe(loaded, (*path, "recipe"), entry)
    folder = entry.get("path")
    if folder and not os.path.isfile(os.path.join(folder, "kernel.json")):
        yield _finding(
            loaded,
            (*path, "path"),
            "site-no-kernelspec",
            f"`{folder}` holds no kernel.json",
            severity="warning",
            hint="name the folder that holds kernel.json, as this machine sees it; people are told that the kernel is unavailable",
        )


def _recipe(loaded: Loaded, path: KeyPath, entry: Mapping[str, Any]) -> Iterator[Finding]:
    """A central recipe is a recipe; the message points at the key that is wrong."""
    asked: list[KeyPath] = []
    data = (
        {**entry["recipe"], "name": entry["name"]}
        if isinstance(entry["recipe"], dict)
        else entry["recipe"]
    )
    try:
        from_mapping(data, source=entry["name"], line_of=asked.append)
    except UserError as error:
        where = (*path, *asked[-1]) if asked else path
        yield _finding(loaded, where, "site-recipe", error.message, hint=error.hint)


def _successor(
    loaded: Loaded, name: str, entry: Mapping[str, Any], kernels: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    path = ("kernels", name, "successor")
    seen, following = {name}, entry.get("successor")
    if entry.get("deprecated") and not following:
        yield _finding(
            loaded,
            ("kernels", name, "deprecated"),
            "site-no-successor",
            f"`{name}` is deprecated, but nothing takes over",
            severity="warning",
            hint="name the `successor`; without one the kernel only carries a note",
        )
    while following:
        if following not in kernels:
            yield _finding(
                loaded,
                path,
                "site-successor",
                f"there is no central kernel `{following}` to follow `{name}`",
            )
            return
        if following in seen:
            yield _finding(
                loaded, path, "site-successor", f"the successors of `{name}` run in a circle"
            )
            return
        seen.add(following)
        following = kernels[following].get("successor")


def _templates(loaded: Loaded) -> Iterator[Finding]:
    seen: set[str] = set()
    for entry in loaded.values.get("templates") or ():
        path = ("templates", entry["name"])
        if entry["name"] in seen:
            yield _finding(
                loaded,
                path,
                "site-duplicate-name",
                f"two templates are called `{entry['name']}`",
                hint="give one of them another name",
            )
        seen.add(entry["name"])
        for name, parameter in (entry.get("parameters") or {}).items():
            yield from _parameter(loaded, (*path, "parameters", name), name, parameter)


def _parameter(
    loaded: Loaded, path: KeyPath, name: str, parameter: Mapping[str, Any]
) -> Iterator[Finding]:
    if not name.isidentifier() or not name.isascii():
        yield _finding(
            loaded,
            path,
            "site-parameter",
            f"`{name}` cannot be used in an expression",
            hint="use letters, digits and `_`",
        )
    kind = parameter.get("type", "text")
    source = parameter.get("from")
    low, high = parameter.get("min"), parameter.get("max")
    if (
        kind == "choice"
        and not parameter.get("options")
        and not source
        and parameter.get("value") is None
    ):
        yield _finding(
            loaded,
            path,
            "site-parameter",
            f"the choice `{name}` has no options",
            hint="add `options:` or `from:`",
        )
    if low is not None and high is not None and low > high:
        yield _finding(
            loaded, (*path, "min"), "site-parameter", f"`{name}` has a min above its max"
        )
    if kind != "number" and (low is not None or high is not None):
        yield _finding(
            loaded,
            path,
            "site-parameter",
            f"`{name}` is no number, but has bounds",
            severity="warning",
            hint="write `type: number`",
        )


def _form(loaded: Loaded) -> Iterator[Finding]:
    form = loaded.site.form
    for low, high in (
        ("hours", "max_hours"),
        ("cores", "max_cores"),
        ("memory_gb", "max_memory_gb"),
    ):
        if getattr(form, low) > getattr(form, high):
            key = low if ("form", low) in loaded.spots else high
            yield _finding(
                loaded,
                ("form", key),
                "site-bounds",
                f"`form.{low}` is {getattr(form, low)}, more than `form.{high}`: {getattr(form, high)}",
            )
    names = {str(partition["name"]) for partition in form.partitions}
    if not names:
        return
    used = [
        (("build", "partition"), loaded.site.build.partition),
        (("slurm", "defaults", "partition"), loaded.site.slurm.defaults.get("partition")),
    ]
    used += [
        (("kernels", k["name"], "partitions"), p)
        for k in loaded.values.get("kernels") or ()
        for p in k.get("partitions") or ()
    ]
    for path, partition in used:
        if partition and partition not in names and partition not in loaded.site.slurm.partitions:
            yield _finding(
                loaded,
                path,
                "site-partition",
                f"the partition `{partition}` is not among `form.partitions`",
                severity="warning",
                hint=f"known are {', '.join(sorted(names))}",
            )


def _machine(loaded: Loaded) -> Iterator[Finding]:
    """Paths that should be there; notes, since the web node need not see what compute nodes see."""
    site = loaded.site
    program = os.path.join(site.runtime or "/", "bin/kernelwright")
    if site.runtime and not os.path.exists(program):
        yield _finding(
            loaded,
            ("runtime",),
            "site-no-runtime",
            f"there is no `{program}`",
            severity="warning",
            hint=f"install the runtime there: `make install PREFIX={site.runtime}`",
        )
    wanted: list[tuple[KeyPath, str, str]] = [
        (("modules", "init"), site.modules.init or "", "file")
    ]
    wanted += [(("python", "interpreters"), path, "file") for path in site.python.interpreters]
    wanted += [(("modules", "use"), path, "folder") for path in site.modules.use]
    wanted += [
        (("containers", "runtimes", name, "path"), runtime.path or "", "file")
        for name, runtime in site.containers.runtimes.items()
    ]
    for name in site.containers.runtimes.keys() - set(RUNTIMES):
        yield _finding(
            loaded,
            ("containers", "runtimes", name),
            "site-value",
            f"`{name}` is no container runtime that kernels start in",
            severity="warning",
            hint=f"it is left out; known are {' and '.join(RUNTIMES)}",
        )
    for path, place, what in wanted:
        if place and not os.path.exists(place):
            yield _finding(
                loaded,
                path,
                "site-not-here",
                f"there is no {what} `{place}` on this machine",
                severity="note",
                hint="right if only compute nodes have it; else correct the path",
            )
