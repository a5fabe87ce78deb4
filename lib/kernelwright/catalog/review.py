"""What `site check` finds beyond the files: hidden templates, and catalogs that say something else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.effective import read_catalog
from ..config.reader import Finding, Spot
from .compile import targets
from .document import document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..config.loaded import Loaded


def review(loaded: Loaded, *, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Compile in memory and compare; runs the commands of templates. Only notes for what may be meant."""
    made = document(loaded.site, environ=environ)
    found = list(_hidden(loaded, made["templates"]))
    if not loaded.errors:
        found += _stale(loaded, made["sha"], environ)
    return found


def _hidden(loaded: Loaded, templates: list[dict[str, str]]) -> Iterator[Finding]:
    wrong = {".".join(finding.key.split(".")[:2]) for finding in loaded.errors}
    for template in templates:
        key = f"templates.{template['name']}"
        if not template["reason"] or key in wrong:
            continue
        expected = template["code"] == "template-check"  # a check is there to fail somewhere
        yield Finding(
            "note" if expected else "warning",
            "site-template-hidden",
            f"the template `{template['name']}` is hidden: {template['reason']}",
            loaded.spot(("templates", template["name"])),
            key,
        )


def _stale(loaded: Loaded, sha: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    for target in targets(loaded, environ):
        there = read_catalog(str(target))
        if there is not None and there.get("sha") != sha:
            yield Finding(
                "note",
                "site-not-compiled",
                "this catalog says something else than the files",
                Spot(str(target)),
                hint="`kernelwright site compile` writes it anew",
            )
        elif there is None and Path(target).exists():
            yield Finding(
                "warning",
                "site-not-compiled",
                "this catalog cannot be read",
                Spot(str(target)),
                hint="`kernelwright site compile` writes it anew",
            )
