"""What every verb is given: streams, home, environment, and the site's settings when asked for."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from .. import paths
from ..errors import UserError, as_called

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ..config.model import SiteConfig


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
        from ..config.effective import unread
        from ..config.model import SiteConfig

        found = load_effective(self.environ)
        if found == SiteConfig() and (why := unread(self.environ)):
            self.say(f"note: {why}")
        return found

    @property
    def runtime(self) -> Path:
        """The folder of our runtime."""
        return paths.runtime_folder(self.environ)

    def out(self, text: str) -> None:
        """Write data: stdout. Raises UserError `output-not-written`."""
        with self._written():
            print(coloured(printable(text)), file=self.stdout)

    def flush(self) -> None:
        """Write out what is still held back. Raises UserError `output-not-written`."""
        with self._written():
            self.stdout.flush()

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            raise UserError(
                "output-not-written", f"the answer could not be written: {error.strerror}"
            ) from error

    def say(self, text: str) -> None:
        """Write a message for people: stderr; our own command as this site calls it."""
        print(coloured(printable(self.called(text))), file=self.stderr, flush=True)

    def called(self, text: str) -> str:
        """`text` with the commands in it as this site calls them; who reads this has a shell."""
        if "`kernelwright " not in text:
            return text
        return as_called(text, self.site.command or "kernelwright") or ""

    def paint(self, colour: str, text: str, stream: TextIO | None = None) -> str:
        """`text` in a colour where the stream (stderr unless named) is a terminal and NO_COLOR is not set."""
        if self.environ.get("NO_COLOR") or not (stream or self.stderr).isatty():
            return text
        return f"{MARK}{COLOURS[colour]}{text}{MARK}0"


COLOURS = {"red": "1", "green": "2", "yellow": "3", "bold": "4", "dim": "5"}
CODES = {"0": "0", "1": "31", "2": "32", "3": "33", "4": "1", "5": "2"}
MARK = "\ue0c0"  # of the private use area: the escape sequence itself is put in after `printable`

# everything that could move the cursor, forge text or end a line elsewhere than where it stands
UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def coloured(text: str) -> str:
    """`text` with the marks of `paint` turned into the terminal's escape sequences."""
    return re.sub(f"{MARK}([0-5])", lambda found: f"\x1b[{CODES[found[1]]}m", text)


def printable(text: str) -> str:
    """`text` without control characters other than tab and newline.

    Display names and paths come from other people: an escape sequence in them must not reach the terminal.
    """
    return UNSAFE.sub("\ufffd", text)
