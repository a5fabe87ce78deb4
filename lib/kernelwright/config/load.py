"""The site's files, later ones winning, each value with its place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .check import WRONG, Checker
from .keys import TABLE
from .loaded import KeyPath, Loaded
from .reader import Finding, Spot, UnreadableFileError, read
from .semantics import check_together

if TYPE_CHECKING:
    from collections.abc import Mapping


DEFAULT_FOLDER = "/etc/ood/config/apps/kernelwright/conf.d"


def config_path(environ: Mapping[str, str]) -> str:
    """The folder or file that KERNELWRIGHT_SITE_CONFIG names, else the one of Open OnDemand."""
    return os.path.abspath(environ.get("KERNELWRIGHT_SITE_CONFIG") or DEFAULT_FOLDER)


def load(where: str) -> Loaded:
    """Read and check everything; never raises for what the files hold."""
    files, findings = _files(where)
    values: dict[str, Any] = {}
    spots: dict[KeyPath, Spot] = {}
    for file in files:
        try:
            node, formal = read(file)
        except UnreadableFileError as error:
            findings.append(error.finding)
            continue
        checker = Checker(formal)
        if node is not None:
            found = checker.value(TABLE, node, ())
            _merge(
                values, {} if found is WRONG else found, spots, checker.spots, os.path.dirname(file)
            )
        findings += checker.findings
    loaded = Loaded(where, tuple(files), values, spots, tuple(findings))
    findings += check_together(loaded)
    return Loaded(
        where, tuple(files), values, spots, tuple(sorted(findings, key=lambda f: (f.spot, f.key)))
    )


def _files(where: str) -> tuple[list[str], list[Finding]]:
    """The files in their order, and what an admin would not expect about the others."""
    if not os.path.isdir(where):
        if os.path.lexists(where):
            return [where], []
        return [], [
            Finding(
                "error",
                "site-unreadable",
                "there is no such file or folder",
                Spot(where),
                hint="`kernelwright site init --output FILE` writes a start",
            )
        ]
    try:
        names = sorted(os.listdir(where))
    except OSError as error:
        return [], [
            Finding(
                "error",
                "site-unreadable",
                f"the folder cannot be read: {error.strerror}",
                Spot(where),
            )
        ]
    findings = [
        Finding(
            "warning",
            "site-not-read",
            "the file is not read: its name does not end with .yaml",
            Spot(os.path.join(where, name)),
            hint="rename it to *.yaml",
        )
        for name in names
        if name.endswith((".yml", ".yml.erb", ".json"))
    ]
    read_ = [
        os.path.join(where, name)
        for name in names
        if name.endswith(".yaml") and not name.startswith(".")
    ]
    if not read_:
        findings.append(
            Finding(
                "note",
                "site-empty",
                "the folder holds no *.yaml file: every value is the default",
                Spot(where),
            )
        )
    return read_, findings


def _merge(
    values: dict[str, Any],
    new: Mapping[str, Any],
    spots: dict[KeyPath, Spot],
    places: Mapping[KeyPath, Spot],
    folder: str,
) -> None:
    """Put a file's values over those of the files before it.

    Sections merge key by key, kernels, templates and partitions by name, everything else is replaced.
    """
    for entry in new.get("kernels") or ():
        entry["recipe"] = _anchored(entry.get("recipe"), folder)
        if entry["recipe"] is None:
            del entry["recipe"]
    _merge_section(values, new, TABLE.keys, (), spots)
    spots.update({path: spot for path, spot in places.items() if path})


def _merge_section(
    values: dict[str, Any],
    new: Mapping[str, Any],
    keys: Mapping[str, Any],
    path: KeyPath,
    spots: dict[KeyPath, Spot],
) -> None:
    for name, value in new.items():
        key = keys[name]
        here = (*path, name)
        if key.kind == "section" and isinstance(value, dict) and isinstance(values.get(name), dict):
            _merge_section(values[name], value, key.keys, here, spots)
        elif key.by and isinstance(value, list) and isinstance(values.get(name), list):
            fresh = {entry[key.by] for entry in value}
            values[name] = [entry for entry in values[name] if entry[key.by] not in fresh] + value
            _forget(spots, [(*here, entry) for entry in fresh])
        else:
            values[name] = value
            _forget(spots, [here])


def _forget(spots: dict[KeyPath, Spot], gone: list[KeyPath]) -> None:
    for path in [p for p in spots if any(p[: len(g)] == g for g in gone)]:
        del spots[path]


def _anchored(recipe: Any, folder: str) -> Any:
    """A central recipe whose environment files are relative to the site's file gets absolute ones."""
    environment = recipe.get("environment") if isinstance(recipe, dict) else None
    if not isinstance(environment, dict):
        return recipe
    fixed = {
        kind: {
            key: os.path.join(folder, value)
            if key in {"file", "lock"} and isinstance(value, str) and value and value[0] not in "/~"
            else value
            for key, value in spec.items()
        }
        if isinstance(spec, dict)
        else spec
        for kind, spec in environment.items()
    }
    return {**recipe, "environment": fixed}
