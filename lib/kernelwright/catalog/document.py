"""catalog.json: the whole effective configuration for those who only read JSON (catalog.schema.json)."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import date
from typing import TYPE_CHECKING, Any

from .. import paths
from ..config.decode import encode
from ..config.effective import VERSION
from ..errors import UserError
from ..recipe import from_mapping, recipe_hash
from ..store import kernelspec
from .central import central, entry_folder
from .templates import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.model import SiteConfig

KERNEL_DEFAULTS: dict[str, Any] = {
    "label": None,
    "language": None,
    "gpu": "none",
    "partitions": [],
    "clusters": [],
    "description": None,
    "deprecated": None,
    "successor": None,
    "hidden": False,
    "default": False,
    "path": None,
    "recipe": None,
}


def document(site: SiteConfig, *, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The catalog of these settings as this machine sees it. Runs the commands of templates, nothing else."""
    kernels = [kernel(entry, site, environ) for entry in site.kernels]
    default = next((one for one in central(site, environ=environ) if one.default), None)
    made: dict[str, Any] = {
        "version": VERSION,
        "runtime": site.runtime or _own_runtime(environ),
        "command": site.command,
        "site": {
            "name": site.site.name,
            "support": site.site.support,
            "message": site.site.message,
        },
        "kernels": kernels,
        "templates": _distinct(
            [describe(entry, site, environ=environ) for entry in site.templates]
        ),
        "form": form(site, f"site:{default.target}" if default else None),
        "config": encode(site),
    }
    made["sha"] = sha(made)
    return made


def _own_runtime(environ: Mapping[str, str]) -> str | None:
    """The runtime that compiles, when it is an installed one: for admins who did not name it."""
    folder = paths.runtime_folder(environ)
    return str(folder) if (folder / "bin/kernelwright").exists() else None


def sha(made: Mapping[str, Any]) -> str:
    """Identifies what a catalog says: the form sends it along, and the node compares it with its own copy."""
    plain = {key: value for key, value in made.items() if key != "sha"}
    return hashlib.sha256(
        json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    ).hexdigest()


def kernel(
    entry: Mapping[str, Any], site: SiteConfig, environ: Mapping[str, str]
) -> dict[str, Any]:
    """One central kernel with what the form shows of it, and its state as this machine sees it."""
    found = {**KERNEL_DEFAULTS, **{key: value for key, value in entry.items() if value is not None}}
    folder = entry_folder(entry, site, environ)
    spec = kernelspec.read(folder) if folder else None
    alias = bool(found["successor"]) and (folder is None or _is_over(found["deprecated"]))
    state, problem, hint = ("ok", None, None) if alias else _state(found, spec, str(folder))
    recipe = found["recipe"] if isinstance(found["recipe"], dict) else {}
    return found | {
        "value": f"site:{entry['name']}",
        "label": found["label"]
        or recipe.get("display_name")
        or _text(spec, "display_name")
        or entry["name"],
        "language": found["language"]
        or recipe.get("language")
        or _text(spec, "language")
        or "python",
        "group": "Central",
        "alias": alias,
        "folder": str(folder) if folder else None,
        "state": state,
        "problem": problem,
        "hint": hint,
    }


def _is_over(day: str | None) -> bool:
    return day is not None and day <= date.today().isoformat()  # noqa: DTZ011 - the cluster's own day


def _text(spec: Mapping[str, Any] | None, key: str) -> str | None:
    value = (spec or {}).get(key)
    if not isinstance(value, str):
        return None
    return "".join(c for c in value if c.isprintable()).strip()[:120] or None


def _state(
    entry: Mapping[str, Any], spec: Mapping[str, Any] | None, folder: str
) -> tuple[str, str | None, str | None]:
    name = entry["name"]
    if not entry["path"] and not entry["recipe"]:
        return "ok", None, None
    if spec is None and entry["recipe"]:
        return "unavailable", "it was not made yet", f"`kernelwright site build {name}` makes it"
    if spec is None:
        return (
            "unavailable",
            "its files are not there",
            f"`{folder}` must hold a kernel.json that everybody can read",
        )
    if not isinstance(spec.get("argv"), list) or not spec["argv"]:
        return (
            "broken",
            "its kernel.json does not say how it is started",
            f"look at `{folder}/kernel.json`",
        )
    program = str(spec["argv"][0])
    if program.startswith("/") and not os.access(program, os.X_OK):
        return (
            "broken",
            "the program that it starts is not there",
            f"`{program}`, named in `{folder}/kernel.json`, cannot be run",
        )
    if entry["recipe"] and not _current(entry, spec):
        return (
            "warning",
            "its recipe was changed after it was made",
            f"`kernelwright site build {name}` makes it anew",
        )
    return "ok", None, None


def _current(entry: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether a built kernel is what the recipe asks for now; contents of named files count too."""
    mine = kernelspec.ours(dict(spec))
    try:
        recipe = from_mapping({**entry["recipe"], "name": entry["name"]}, source=str(entry["name"]))
    except UserError:
        return False
    contents = []
    for path in (getattr(recipe.environment, key, None) for key in ("file", "lock")):
        if path and os.path.isfile(path):
            with open(path, "rb") as stream:
                contents.append(stream.read())
    return mine is not None and mine.get("recipe_hash") == recipe_hash(
        recipe, files=tuple(contents)
    )


def _distinct(templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hide a template whose form fields would have the ids of another's."""
    taken: dict[str, str] = {}
    for template in templates:
        ids = [parameter["id"] for parameter in template["parameters"]]
        clash = next((taken[id_] for id_ in ids if id_ in taken), None)
        if clash:
            template |= {
                "hidden": True,
                "reason": f"its name is too close to `{clash}`: give it another one",
            }
        else:
            taken |= dict.fromkeys(ids, template["name"])
    return templates


def form(site: SiteConfig, default: str | None) -> dict[str, Any]:
    """What the form needs, worked out once so that no page has to."""
    said = site.form
    return {
        "default": default,
        "kinds": list(site.policy.kinds),
        "packages": said.packages
        if said.packages in site.policy.kinds
        else next((k for k in ("conda", "venv") if k in site.policy.kinds), said.packages),
        "interfaces": list(site.jupyter.interfaces),
        "clusters": list(site.clusters),
        "accounts": list(said.accounts),
        "partitions": [
            {
                "name": p["name"],
                "label": p.get("label") or p["name"],
                "gpus": p.get("gpus") or 0,
                "max_hours": p.get("max_hours"),
            }
            for p in said.partitions
        ],
        "hours": {"default": said.hours, "min": 1, "max": said.max_hours},
        "cores": {"default": said.cores, "min": 1, "max": said.max_cores},
        "memory_gb": {"default": said.memory_gb, "min": 0, "max": said.max_memory_gb},
        "gpus": {"default": 0, "min": 0, "max": said.max_gpus},
        "slurm_options": said.slurm_options,
        "slurm_kernels": site.slurm.submit != "none",
        "file_picker": said.file_picker,
        "build": {
            "partition": site.build.partition,
            "time": site.build.time,
            "cores": site.build.cores,
        },
    }
