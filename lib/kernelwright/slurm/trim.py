"""Gives memory back after much output: libc keeps what a hundred megabytes needed on their way."""

from __future__ import annotations

WORTH = 32 << 20  # bytes passed since the last time


class Trim:
    """Asked every second; acts once after each large amount, when it is quiet again."""

    def __init__(self) -> None:
        self._done = 0
        self._last = 0

    def tick(self, moved: int) -> None:
        """`moved`: the bytes passed so far."""
        quiet, self._last = moved - self._last < WORTH // 32, moved
        if not quiet or moved - self._done < WORTH:
            return
        self._done = moved
        import ctypes  # 2 MiB that an agent without much output does not need

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim is not None:
            trim(0)
