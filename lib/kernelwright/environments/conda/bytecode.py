"""Compiling Python's files, which rattler leaves out: 4 of the 6 to 8 seconds that conda takes.

It happens behind everybody's back at the lowest priority: a kernel that starts before it ends compiles
what it imports by itself, as Python always does, and both write whole files.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from .. import layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WHEN = "KERNELWRIGHT_COMPILE"  # background (default), now, never
SCRIPT = 'nice -n 19 "$@" </dev/null >/dev/null 2>&1 &'
NOW = 'exec "$@" </dev/null >/dev/null 2>&1'


def compile_files(prefix: Path, environ: Mapping[str, str]) -> None:
    """Compile the packages of a prefix, in the background unless KERNELWRIGHT_COMPILE says otherwise.

    The shell that starts the compiler ends at once; the compiler has no parent left that would have to
    wait for it, and a build that ends or is killed does not end it.
    """
    when = environ.get(WHEN, "background")
    python = layout.interpreter(prefix)
    sites = [str(folder) for folder in layout.site_packages(prefix)]
    if python is None or not sites or when == "never":
        return
    words = [str(python), "-I", "-m", "compileall", "-q", "-j", "1", *sites]
    subprocess.run(
        ["/bin/sh", "-c", NOW if when == "now" else SCRIPT, "sh", *words],
        check=False,
        timeout=600,
        start_new_session=True,
        cwd="/",
        env={"PATH": environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
    )
