"""What every verb is given: streams, home, environment, and the site's settings when asked for."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from .. import paths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..config.model import SiteConfig

COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


@dataclass(frozen=True)
class Context:
    """The surroundings of one call; tests make their own."""

    home: Path
    environ: Mapping[str, str]
    stdout: TextIO
    stderr: TextIO

    @classmethod
    def from_process(cls) -> Context:
        """The real surroundings; streams never fail on characters that the locale cannot write."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return cls(paths.home_folder(), dict(os.environ), sys.stdout, sys.stderr)

    @cached_property
    def site(self) -> SiteConfig:
        """The site's effective settings; never raises: a broken file leaves the last good ones."""
        from ..config import load_effective

        return load_effective(self.environ)

    @property
    def runtime(self) -> Path:
        """The folder of our runtime."""
        return paths.runtime_folder(self.environ)

    def out(self, text: str) -> None:
        """Write data: stdout."""
        print(printable(text), file=self.stdout)

    def say(self, text: str) -> None:
        """Write a message for people: stderr."""
        print(printable(text), file=self.stderr, flush=True)

    def paint(self, colour: str, text: str, stream: TextIO | None = None) -> str:
        """`text` in a colour where the stream is a terminal and NO_COLOR is not set."""
        if self.environ.get("NO_COLOR") or not (stream or self.stderr).isatty():
            return text
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def printable(text: str) -> str:
    """`text` without control characters other than tab, newline and our own colours.

    Display names and paths come from other people: an escape sequence in them must not reach the terminal.
    """
    import re

    safe = re.sub(r"\x1b(?!\[[0-9;]{1,4}m)", "\ufffd", text)
    return re.sub(
        r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]",
        "\ufffd",
        safe,
    )
