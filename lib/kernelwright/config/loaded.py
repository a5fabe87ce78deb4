"""What the site's files say, with the place of every value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .decode import decode
from .reader import Finding, Spot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import SiteConfig

KeyPath = tuple[str, ...]


@dataclass(frozen=True)
class Loaded:
    """What the files say: only the keys that stand there, and where. `where` is the folder or file."""

    where: str
    files: tuple[str, ...]
    values: Mapping[str, Any]
    spots: Mapping[KeyPath, Spot]
    findings: tuple[Finding, ...]

    @cached_property
    def site(self) -> SiteConfig:
        """The effective settings: wrong values leave their defaults."""
        return decode(self.values)

    @property
    def errors(self) -> list[Finding]:
        """The findings that keep a catalog from being compiled."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def spot(self, path: KeyPath) -> Spot:
        """Where `path`, or else the nearest thing around it, stands."""
        while path and path not in self.spots:
            path = path[:-1]
        return self.spots.get(path, Spot(self.where))
