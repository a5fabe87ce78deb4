"""The surroundings of one session: where it lies, for whom, on which site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .card import Report, write_report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config.model import SiteConfig


@dataclass(frozen=True)
class Session:
    """The surroundings of one session; `root` is OOD's staged root, `private` the folder for secrets."""

    root: Path
    private: Path
    home: Path
    environ: Mapping[str, str]
    site: SiteConfig
    runtime: Path

    def tell(self, report: Report) -> None:
        """Bring the card up to date."""
        write_report(self.root, report, self.site.command)
