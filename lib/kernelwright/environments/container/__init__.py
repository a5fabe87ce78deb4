"""The container kind: a kernel from any image, with or without ipykernel in it.

`make` brings the image here, looks into it and prepares what it lacks; `command` says how the kernel
starts in it; `check` looks at the files from outside.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import Problem, UserError
from ...model import Command, ContainerSpec, Made
from ..base import Choice
from . import binds, images, inject, on_node, probe, registry, rules, runtimes, sif, variables
from .languages import Start, start_of
from .pull import Puller
from .reference import parse
from .variables import PASSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...config.model import SiteConfig
    from ...model import Recipe
    from ...progress import Progress
    from ..base import Place
    from .images import Image
    from .probe import Findings
    from .runtimes import Runtime


def make(recipe: Recipe, place: Place, progress: Progress) -> Made:
    """Find or pull the image, probe it, and bring the kernel package where the image has none."""
    spec = _spec(recipe)
    binds.checked((*place.site.containers.binds, *spec.bind))
    reference = parse(spec.image, place.home)
    rules.check_place(reference, place.site)
    runtime = runtimes.find(spec.runtime, place.site, place.environ)
    image = Puller(runtime, place, progress).obtain(reference)
    if place.site.containers.signed:
        rules.check_signature(image, reference, runtime, place.environ)
    progress.phase("probe", "looking into the image")
    findings = probe.probe(runtime, image.file, recipe.language, place.environ)
    start = start_of(recipe, findings, image.text)
    wanted = start.inject is not None
    wheels = inject.wheels_for(findings, recipe.language) if wanted else None
    compiler = partial(
        runtime.compile, image.file, findings.python or "", unsquash=findings.unsquash
    )
    folder = inject.prepare(wheels, place, progress, compiler) if wheels else None
    return Made(
        kind="container",
        language=recipe.language,
        facts=_facts(place, runtime, image, findings, start.with_injected(folder)),
    )


def imagined(recipe: Recipe, place: Place) -> dict[str, Any]:
    """The facts that are known before the image is there, for `--dry-run`; what is not allowed raises."""
    spec = _spec(recipe)
    binds.checked((*place.site.containers.binds, *spec.bind))
    try:
        rules.check_place(parse(spec.image, place.home), place.site)
    except UserError as error:
        if error.code != "image-not-found":  # it may lie where only compute nodes see it
            raise
    return {
        "runtime": runtimes.expected(spec.runtime, place.site, place.environ),
        **_of_site(place.site),
    }


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
        argv=recipe.command
        or tuple(start.get("argv") or ("python3", *Start.LAUNCHER, *Start.FILE)),
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
        problem = sif.examine(file, name=recipe.name)
        found += [problem] if problem else _changed(file, facts, recipe.name)
    folder = (facts.get("start") or {}).get("inject")
    if folder and not recipe.command and not os.path.exists(os.path.join(folder, "complete")):
        found.append(
            Problem(
                "inject-missing",
                "error",
                f"the kernel package that was brought to the image is gone: `{folder}`",
                f"`kernelwright repair {recipe.name}` brings it again",
            )
        )
    runtime = facts.get("runtime") or {}
    if (
        runtime.get("path")
        and not runtime.get("module")
        and runtimes.here(runtime["name"], runtime["path"], os.environ) is None
    ):
        found.append(
            Problem(
                "runtime-missing",
                "warning",
                f"{runtime['name']} is not on this node",
                "the kernel starts on nodes that have it",
            )
        )
    return found


def solve_only(recipe: Recipe, place: Place) -> dict[str, Choice]:
    """The image that an update would bring, without bringing it; `update --dry-run` compares it."""
    reference = parse(_spec(recipe).image, place.home)
    if reference.form == "file":
        found = images.file_image(reference)
        return {"image": Choice(found.digest or found.id or "")}
    digest = registry.newest(reference)
    if digest is None:
        raise UserError(
            "cannot-plan",
            f"nobody but the runtime can ask for `{reference.text}` here",
            hint=f"`kernelwright update {recipe.name}` pulls it; the old image stays for `rollback`",
        )
    return {"image": Choice(digest)}


def here(recipe: Recipe, made: Made, environ: Mapping[str, str], site: SiteConfig) -> list[str]:
    """What the kernel would find on this node; `show` prints it."""
    return on_node.lines(_spec(recipe), made, environ, site)


def _spec(recipe: Recipe) -> ContainerSpec:
    spec = recipe.environment
    assert isinstance(spec, ContainerSpec)  # noqa: S101 - the kind was chosen by the spec
    return spec


def _facts(
    place: Place, runtime: Runtime, image: Image, findings: Findings, start: Start
) -> dict[str, Any]:
    return {
        "image": image.text,
        "digest": image.digest,
        "file": image.file,
        "id": image.id,
        "size": image.size,
        "pulled": time.strftime("%Y-%m-%d %H:%M", time.localtime(image.pulled))
        if image.pulled
        else None,
        "origin": image.origin,
        "versions": versions(image, findings),
        "runtime": runtime.facts(),
        "probe": findings.facts(),
        "start": start.facts(),
        **_of_site(place.site),
    }


def _of_site(site: SiteConfig) -> dict[str, Any]:
    return {
        "site_binds": binds.plain(site.containers.binds),
        "passed": list(site.containers.environment),
    }


def _changed(file: str, facts: Mapping[str, Any], name: str) -> list[Problem]:
    """An image that is used where it lies may be replaced by another under the kernel."""
    if not facts.get("id") or os.path.isdir(file):
        return []
    header = sif.read(file)
    if header is None or header.id == facts["id"]:
        return []
    return [
        Problem(
            "image-changed",
            "warning",
            f"the image `{file}` is another than the one this kernel was made from",
            f"`kernelwright update {name}` looks into the new one",
        )
    ]


def versions(image: Image, findings: Findings) -> dict[str, str]:
    """What `update` compares: a moved tag shows as another image with other versions in it."""
    found = {"image": image.digest or image.id or "", "R": findings.r_version or ""}
    if findings.python:
        found["python"] = ".".join(map(str, findings.version))
    return {name: value for name, value in (found | dict(findings.packages)).items() if value}
