"""`site check --start`: really start each central kernel, as Jupyter would."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..catalog import Central, central, resolve
from ..errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..config.model import SiteConfig


@dataclass(frozen=True)
class Started:
    """How one central kernel started here; `problem` is None when it answered."""

    name: str
    seconds: float
    problem: Problem | None

    def as_json(self) -> dict[str, Any]:
        """One element of `started` in `site check --json`."""
        return {
            "name": self.name,
            "ok": self.problem is None,
            "seconds": round(self.seconds, 2),
            "problem": self.problem.as_json() if self.problem else None,
        }


def start_all(site: SiteConfig, *, environ: Mapping[str, str], timeout: float) -> Iterator[Started]:
    """Start every central kernel once, one after the other; aliases start as what they open."""
    for kernel in central(site, environ=environ):
        if not kernel.alias:
            yield start(kernel, environ=environ, timeout=timeout)


def start(kernel: Central, *, environ: Mapping[str, str], timeout: float) -> Started:
    """Start one central kernel; kernel_info and one cell must be answered within `timeout` seconds."""
    from ..launch.starttest import start_test

    found = resolve(kernel)
    if found.problem:
        return Started(kernel.name, 0.0, found.problem)
    with tempfile.TemporaryDirectory(prefix="kernelwright-start-") as folder:
        result = start_test(
            [
                str(word).replace("{resource_dir}", str(kernel.folder))
                for word in found.spec["argv"]
            ],
            env=_environment(found.spec, environ),
            cwd=folder,
            timeout=timeout,
            interrupt_mode="message" if found.spec.get("interrupt_mode") == "message" else "signal",
            log=Path(folder) / "log",
            language=kernel.language.lower(),
        )
    if result.ok:
        return Started(kernel.name, result.seconds, None)
    problem = result.problem or Problem(
        "start-test-failed", "error", "it did not answer", evidence=result.output[-500:] or None
    )
    return Started(kernel.name, result.seconds, problem)


def _environment(spec: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment that Jupyter gives a kernel: $NAME and ${NAME} in `env` are filled in."""
    said = spec.get("env") if isinstance(spec.get("env"), dict) else {}
    made = dict(environ)
    for name, value in (said or {}).items():
        made[str(name)] = re.sub(
            r"\$(\w+)|\$\{(\w+)\}", lambda m: environ.get(m[1] or m[2], m[0]), str(value)
        )
    return made
