"""One check of the self-test: what it looks at, and what it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config.model import SiteConfig

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One line of the table."""

    name: str
    state: State
    message: str
    hint: str | None = None

    def as_json(self) -> dict[str, Any]:
        """One element of `checks` in `site selftest --json`."""
        return asdict(self)


@dataclass(frozen=True)
class Surroundings:
    """What the checks look at."""

    home: Path
    environ: Mapping[str, str]
    site: SiteConfig
    runtime: Path
    slurm_timeout: float = 120.0
