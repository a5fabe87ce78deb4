"""rattler's callbacks, told as one line of progress: bytes while downloading, packages while linking."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...progress import Progress

PAUSE = 0.1  # seconds between two lines


class Reporter:
    """Called from rattler's own threads; keeps count and says something at most ten times a second.

    rattler asks for every `on_*` method; those that return a number give a token that comes back.
    """

    def __init__(self, progress: Progress, *, total: int, packages: int) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._total = total
        self._packages = packages
        self._bytes: dict[int, int] = {}
        self._open: set[int] = set()
        self._token = 0
        self._linked = 0
        self._phase = ""
        self._said = 0.0
        self._seen = time.monotonic()

    def stalled(self, seconds: float) -> bool:
        """Whether downloads are open and nothing has come for so long."""
        with self._lock:
            return bool(self._open) and time.monotonic() - self._seen > seconds

    def _next(self) -> int:
        with self._lock:
            self._token += 1
            self._seen = time.monotonic()
            return self._token

    def _say(self, phase: str, text: str, done: float, total: float | None, unit: str) -> None:
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._said = phase, 0.0
            self._progress.phase(phase, text)
        if now - self._said >= PAUSE or done == total:
            self._said = now
            self._progress.advance(done, total, unit)

    def on_transaction_start(self, total_operations: int) -> None:
        """Installing begins."""
        with self._lock:
            self._packages = total_operations

    def on_transaction_operation_start(self, operation: int) -> None:
        """One package is taken up."""

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        """A package is looked for in the cache."""
        return self._next()

    def on_validate_start(self, cache_entry: int) -> int:
        """A cached package is looked through."""
        return self._next()

    def on_validate_complete(self, validate_idx: int) -> None:
        """A cached package is sound."""

    def on_download_start(self, cache_entry: int) -> int:
        """A package is not in the cache and is fetched."""
        token = self._next()
        with self._lock:
            self._open.add(token)
            self._bytes[token] = 0
        return token

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        """Bytes have come."""
        with self._lock:
            if self._bytes.get(download_idx) != progress:
                self._seen = time.monotonic()
            self._bytes[download_idx] = progress
            done = sum(self._bytes.values())
            self._total = max(self._total, done)
            self._say("download", "downloading packages", done, self._total, "bytes")

    def on_download_completed(self, download_idx: int) -> None:
        """One package has come."""
        with self._lock:
            self._open.discard(download_idx)
            self._seen = time.monotonic()

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        """A package lies in the cache."""

    def on_unlink_start(self, operation: int, package_name: str) -> int:
        """A package is taken out (completing a half-made environment)."""
        return self._next()

    def on_unlink_complete(self, index: int) -> None:
        """A package is out."""

    def on_link_start(self, operation: int, package_name: str) -> int:
        """A package is linked into the environment."""
        return self._next()

    def on_link_complete(self, index: int) -> None:
        """A package is linked."""
        with self._lock:
            self._linked += 1
            if not self._open:
                self._say(
                    "link", "putting packages in place", self._linked, self._packages, "packages"
                )

    def on_transaction_operation_complete(self, operation: int) -> None:
        """One package is done."""

    def on_transaction_complete(self) -> None:
        """Everything is in place."""

    def on_post_link_start(self, package_name: str, script_path: str) -> int:
        """A package's own script runs."""
        return self._next()

    def on_post_link_complete(self, index: int, success: bool) -> None:
        """A package's own script has ended."""
        if not success:
            self._progress.note("a package's own set-up script failed; the package may not work")

    def on_pre_unlink_start(self, package_name: str, script_path: str) -> int:
        """A package's removal script runs."""
        return self._next()

    def on_pre_unlink_complete(self, index: int, success: bool) -> None:
        """A package's removal script has ended."""
