"""The plain values that the parts of this kind hand to each other; nothing here needs rattler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One package of a solution: its record as the channel gives it, addresses without secrets."""

    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The package's name."""
        return str(self.record["name"])

    @property
    def version(self) -> str:
        """The package's version."""
        return str(self.record["version"])

    @property
    def build(self) -> str:
        """The build string."""
        return str(self.record["build"])

    @property
    def url(self) -> str:
        """Where the archive lies."""
        return str(self.record["url"])

    @property
    def size(self) -> int:
        """Bytes of the archive; 0 where the channel does not say."""
        return int(self.record.get("size") or 0)

    @property
    def folder(self) -> str:
        """The name of its folder in the package cache."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def depends(self) -> tuple[str, ...]:
        """What it needs, as match specs."""
        return tuple(self.record.get("depends") or ())


@dataclass(frozen=True)
class Settings:
    """How channels are reached: the outcome of site config, .condarc and environment variables.

    `credentials` are rattler's (`{"host": {"CondaToken": ...}}`); they are handed over in memory and
    stand in no lock, log or file of ours.
    """

    channels: tuple[str, ...]
    cache: Path
    priority: str = "strict"
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    credentials: Mapping[str, Any] = field(default_factory=dict)
    auth_file: str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)
    verify_tls: bool = True
    ca_file: str | None = None
    timeout: int = 180  # seconds for one answer of a channel, the list of packages included
    stall: float = 60.0  # seconds without a byte after which a download is given up
    retries: int = 3
    link_scripts: bool = True
    copy: bool = (
        False  # never link from the cache: who changes a file's group would change it there
    )
    sources: Mapping[str, str] = field(default_factory=dict)  # which file each setting came from


class EngineError(Exception):
    """What the engine says when it fails; `explain` turns it into a UserError."""

    def __init__(self, step: str, text: str, *, panic: bool = False) -> None:
        super().__init__(text)
        self.step = step
        self.text = text
        self.panic = panic
