"""The container kind: a kernel from any image, with or without ipykernel in it.

`make` brings the image here, looks into it and prepares what it lacks; `command` says how the kernel
starts in it; `check` looks at the files from outside.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.policy import image_allowed
from ...errors import Problem, UserError
from ...model import Command, ContainerSpec, Made
from . import binds, inject, probe, runtimes, sif, variables
from .languages import Start, start_of
from .pull import Puller, verified
from .reference import parse
from .variables import PASSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...model import Recipe
    from ...progress import Progress
    from ..base import Place
    from .images import Image
    from .probe import Findings
    from .reference import Reference
    from .runtimes import Runtime

def make(recipe: Recipe, place: Place, progress: Progress) -> Made:
    """Find or pull the image, probe it, and bring the kernel package where the image has none."""
    spec = _spec(recipe)
    binds.checked((*place.site.containers.binds, *spec.bind))
    reference = parse(spec.image, place.home)
    _check_place(reference, place)
    runtime = runtimes.find(spec.runtime, place.site, place.environ)
    puller = Puller(runtime, place, progress)
    image = puller.obtain(reference)
    if place.site.containers.signed:
        verified(image, reference, puller)
    progress.phase("probe", "looking into the image")
    findings = probe.probe(runtime, image.file, recipe.language, place.environ)
    start = start_of(recipe, findings, image.text)
    folder = inject.prepare(findings, recipe.language, place, progress) if start.inject is not None else None
    return Made(
        kind="container",
        language=recipe.language,
        facts=_facts(place, runtime, image, findings, start.with_injected(folder)),
    )


def command(recipe: Recipe, made: Made) -> Command:
    """The kernel's own command inside; everything around it is the template's."""
    spec, facts = _spec(recipe), made.facts
    start: Mapping[str, Any] = {} if recipe.command else facts.get("start") or {}
    runtime: Mapping[str, Any] = facts.get("runtime") or {}
    values = {
        "image": facts.get("file") or spec.image,
        "runtime_path": runtime.get("path"),
        "runtime_module": runtime.get("module"),
        "runtime_names": tuple(runtimes.FLAVOURS),
        "gpu": spec.gpu,
        "devices": "/dev",
        "binds": [*(facts.get("site_binds") or []), *binds.plain(spec.bind)],
        "passed": [*PASSED, *(facts.get("passed") or []), *variables.isolation(recipe.isolation)],
        "given": variables.given(recipe.env),
        "paths": variables.paths(recipe.env),
        "inject": start.get("inject"),
        "unsquash": bool((facts.get("probe") or {}).get("unsquash")),
    }
    return Command(
        argv=recipe.command or tuple(start.get("argv") or ("python3", *Start.LAUNCHER, *Start.FILE)),
        template="container",
        values=values,
        interrupt_mode="message" if start.get("interrupt_mode") == "message" else "signal",
    )


def check(recipe: Recipe, made: Made) -> list[Problem]:
    """Whether image, injected folder and runtime are on this node; a missing runtime is no defect."""
    facts = made.facts
    found: list[Problem] = []
    file = facts.get("file")
    if isinstance(file, str):
        problem = sif.examine(file)
        found += [problem] if problem else _changed(file, facts)
    folder = (facts.get("start") or {}).get("inject")
    if folder and not recipe.command and not os.path.exists(os.path.join(folder, "complete")):
        found.append(Problem("inject-missing", "error", f"the kernel package that was brought to the image is gone: `{folder}`", f"`kernelwright repair {recipe.name}` brings it again"))
    runtime = facts.get("runtime") or {}
    if runtime.get("path") and not runtime.get("module") and runtimes.here(runtime["name"], runtime["path"], os.environ) is None:
        found.append(Problem("runtime-missing", "warning", f"{runtime['name']} is not on this node", "the kernel starts on nodes that have it"))
    return found


def _spec(recipe: Recipe) -> ContainerSpec:
    spec = recipe.environment
    assert isinstance(spec, ContainerSpec)  # noqa: S101 - the kind was chosen by the spec
    return spec


def _check_place(reference: Reference, place: Place) -> None:
    """The site's rules by the real path: a link in an allowed folder may point anywhere."""
    if reference.file and not image_allowed(os.path.realpath(reference.file), place.site):
        raise UserError(
            "policy-image",
            f"the image `{os.path.realpath(reference.file)}` is not allowed at {place.site.site.name}",
            hint=f"allowed: {', '.join(place.site.containers.allow)}",
        )


def _facts(place: Place, runtime: Runtime, image: Image, findings: Findings, start: Start) -> dict[str, Any]:
    return {
        "image": image.text,
        "digest": image.digest,
        "file": image.file,
        "id": image.id,
        "size": image.size,
        "pulled": image.pulled,
        "origin": image.origin,
        "runtime": runtime.facts(),
        "probe": findings.facts(),
        "start": start.facts(),
        "site_binds": binds.plain(place.site.containers.binds),
        "passed": list(place.site.containers.environment),
    }


def _changed(file: str, facts: Mapping[str, Any]) -> list[Problem]:
    """An image that is used where it lies may be replaced by another under the kernel."""
    if not facts.get("id") or os.path.isdir(file):
        return []
    header = sif.read(file)
    if header is None or header.id == facts["id"]:
        return []
    return [Problem("image-changed", "warning", f"the image `{file}` is another than the one this kernel was made from", "`kernelwright update` looks into the new one")]


def injected_folder(made: Made) -> Path | None:
    """The folder of wheels that this kernel binds, for `storage --clean`."""
    folder = (made.facts.get("start") or {}).get("inject")
    return Path(folder) if folder else None
