"""Which allocation a kernel asks for: `--slurm k=v,k=v`, the site's defaults, a session's overrides.

The site's defaults come first, then the session's (KERNELWRIGHT_SLURM_DEFAULTS: who pays for the session
pays for its kernels), then the kernel's own settings (launcher.json), then what the form chose for this
session (KERNELWRIGHT_SLURM); the site's limits hold for the result.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, UserError, did_you_mean
from ..model import SlurmSettings
from ..recipe import parse as recipe_parse
from ..recipe.reader import Reader
from . import limits, options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config.model import SlurmConfig

KEYS = tuple(f.name for f in fields(SlurmSettings))
OVERRIDES = "KERNELWRIGHT_SLURM"  # environment variable: the session's settings as a JSON object
DEFAULTS = "KERNELWRIGHT_SLURM_DEFAULTS"  # the same, for what the kernel itself leaves open


def parse_settings(text: str) -> SlurmSettings:
    """Read `partition=defq,ntasks=4,gres=gpu:1,extra=--constraint=skylake`.

    A piece that does not begin with `key=` belongs to the value before it, so that
    `gres=gpu:1,shard:2` is one value; so does, after an option of `extra` with a value, all that begins
    neither with a dash nor with a known key: `extra=--acctg-freq=task=5,energy=3`. `extra=` may stand several times.
    Raises UsageError `slurm-settings` or UserError `invalid-recipe`.
    """
    values: dict[str, Any] = {}
    last: str | None = None
    for piece in text.split(","):
        key, equals, value = piece.strip().partition("=")
        key = key.lower().replace("-", "_").lstrip("_")
        if equals and (
            key in KEYS or not (last == "extra" and _continues(piece, values["extra"][-1]))
        ):
            if key not in KEYS:
                near = did_you_mean(key, KEYS)
                raise UsageError(
                    "slurm-settings",
                    f"`{key[:40]}` is not a Slurm setting",
                    hint=(f"{near} " if near else "")
                    + f"known are {', '.join(KEYS)}; other options go into `extra=--option=value`",
                )
            last = key
            if key == "extra":
                values.setdefault("extra", []).append(value)
            else:
                values[key] = value
        elif last is not None and piece.strip():
            _extend(values, last, piece.strip())
        elif piece.strip():
            raise UsageError(
                "slurm-settings",
                f"`{piece.strip()[:40]}` is not of the form key=value",
                hint="for example `--slurm partition=short,ntasks=4,time=01:00:00`",
            )
    return from_mapping(values, source="--slurm")


def _continues(piece: str, option: str) -> bool:
    """Whether a piece with `=` still belongs to an option's value, or is an option of its own."""
    return piece.strip().startswith("-") or "=" in option


def _extend(values: dict[str, Any], last: str, piece: str) -> None:
    if last != "extra":
        values[last] += f",{piece}"
    elif piece.startswith("-"):
        values["extra"].append(piece)
    else:
        values["extra"][-1] += f",{piece}"


def from_mapping(data: object, *, source: str) -> SlurmSettings:
    """Validate plain data; `source` names the file or option in errors."""
    reader = Reader(data if isinstance(data, dict) else {}, source, ("launcher", "slurm"))
    if not isinstance(data, dict):
        reader.fail("must be a mapping of keys to values")
    settings = recipe_parse.slurm(reader)
    return replace(settings, extra=options.read(settings.extra, source))


def to_mapping(settings: SlurmSettings) -> dict[str, Any]:
    """The settings that are set, as they stand in launcher.json."""
    data = {**asdict(settings), "extra": list(settings.extra)}
    return {key: value for key, value in data.items() if value not in (None, [])}


def merge(*layers: SlurmSettings) -> SlurmSettings:
    """Later layers win; their extra options are added, a repeated option replaces the earlier one.

    Memory is one setting for Slurm: a layer that says it in any form replaces all of it in earlier ones.
    """
    result = SlurmSettings()
    for layer in layers:
        set_ = {k: v for k, v in asdict(layer).items() if v is not None and k != "extra"}
        if layer.mem or _memory_options(layer):
            kept = tuple(o for o in result.extra if o not in _memory_options(result))
            result = replace(result, mem=None, extra=kept)
        named = {options.name_of(option): option for option in (*result.extra, *layer.extra)}
        result = replace(result, **set_, extra=tuple(named.values()))
    return result


def _memory_options(layer: SlurmSettings) -> list[str]:
    return [option for option in layer.extra if options.name_of(option) in options.MEMORY]


def effective(
    own: SlurmSettings, site: SlurmConfig, *, environ: Mapping[str, str] = os.environ
) -> SlurmSettings:
    """What is submitted: the site's and the session's defaults, the kernel's own, the session's; within the limits.

    Raises UserError `invalid-recipe`, `slurm-option-refused` or `slurm-limit`.
    """
    first = from_mapping(dict(site.defaults), source="slurm.defaults of the site")
    own = replace(own, extra=options.read(own.extra, "the kernel's settings"))
    asked = merge(_of(environ, DEFAULTS), own, _of(environ, OVERRIDES))
    settings = merge(limits.within_partitions(first, site), asked)
    settings = limits.bounded(settings, site)
    limits.check(settings, site)
    return settings


def _of(environ: Mapping[str, str], name: str) -> SlurmSettings:
    """The settings in a variable of the session; empty where it is not set."""
    text = environ.get(name)
    return from_mapping(_json(text), source=name) if text else SlurmSettings()


def of_kernel(generation: Path) -> SlurmSettings:
    """The kernel's own settings: launcher.json beside its generations; empty where there is none."""
    path = generation.parent / "launcher.json"
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except FileNotFoundError:
        return SlurmSettings()
    except (OSError, ValueError) as error:
        raise UserError(
            "slurm-settings-unreadable",
            f"`{path}` cannot be read: {error}",
            hint="write it anew with `kernelwright edit NAME --slurm ...`",
        ) from error
    found = data.get("slurm") if isinstance(data, dict) else None
    return from_mapping(found or {}, source=str(path))


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def idle_limit(site: SlurmConfig) -> float | None:
    """Seconds without a running cell after which a kernel ends; None where the site sets no limit."""
    value = site.limits.get("idle")
    try:
        minutes = float(value) if value is not None else 0.0
    except (TypeError, ValueError):
        return None
    return minutes * 60 if minutes > 0 else None
