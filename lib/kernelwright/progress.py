"""What a long job says while it runs; who listens decides how it looks."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told by every kind and engine; shown by the terminal, a log, JSON lines or the session card."""

    def phase(self, name: str, text: str) -> None:
        """A new step begins: `name` is one of PHASES, `text` is for people ("downloading")."""

    def advance(self, done: float, total: float | None, unit: str = "") -> None:
        """The step goes on: `unit` is "bytes", "files", "packages" or "" (plain counts)."""

    def note(self, text: str) -> None:
        """A line that should stay on the screen, such as a warning or a choice that was made."""


PHASES = ("solve", "download", "link", "pip", "pull", "probe", "launch", "test", "publish")


class Silent:
    """A Progress that nobody watches."""

    def phase(self, name: str, text: str) -> None:
        """Say nothing."""

    def advance(self, done: float, total: float | None, unit: str = "") -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
