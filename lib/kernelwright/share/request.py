"""The request bundle: what a site needs to make a user's kernel a central one (`site add FILE`)."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from typing import TYPE_CHECKING

from ..recipe import dump
from .permissions import contact
from .portable import lock_text, portable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..config.model import SiteConfig
    from ..model import Generation

README = """\
Request for a central kernel: {title}

from:      {contact}, {date}
for:       {reason}
kind:      {kind}, {language}
packages:  {packages}
made on:   {node}

To the site: look at recipe.yml, then

    kernelwright site add {file}

writes the entry into the site's configuration and builds the kernel from the lock beside it.
"""


def write(
    generation: Generation,
    target: Path,
    home: Path,
    site: SiteConfig,
    *,
    reason: str,
    note: Callable[[str], None],
) -> None:
    """Write the bundle of one generation to `target`, a tar file of a few small texts."""
    from ..store.atomic import write_bytes

    recipe = portable(generation, home, note)
    made = generation.made
    facts = {
        **generation.facts,
        "packages": made.facts.get("packages"),
        "files": made.facts.get("files"),
    }
    texts = {
        "recipe.yml": dump(recipe),
        "facts.json": json.dumps(
            {k: v for k, v in facts.items() if v is not None}, indent=1, default=str
        )
        + "\n",
        "README.txt": README.format(
            title=recipe.title,
            contact=contact(),
            date=time.strftime("%Y-%m-%d"),
            reason=reason or "(no reason was given)",
            kind=made.kind,
            language=recipe.language,
            packages=made.facts.get("packages") or "see recipe.yml",
            node=", ".join(
                str(generation.facts[k])
                for k in ("cluster", "arch", "glibc")
                if generation.facts.get(k)
            )
            or os.uname().machine,
            file=target.name,
        ),
    }
    if lock := lock_text(generation):
        texts[lock[0]] = lock[1]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in texts.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"{recipe.name}-request/{name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o644, int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    write_bytes(target, buffer.getvalue(), 0o644)
