"""Slurm's notation for times and memory, read into numbers."""

from __future__ import annotations

import re

_TIME = re.compile(r"(?:([0-9]+)-)?([0-9]+)(?::([0-9]+))?(?::([0-9]+))?")
_MEMORY = re.compile(r"([0-9]+)([KMGT]?)B?", re.IGNORECASE)
_UNITS = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}
UNLIMITED = float("inf")


def seconds(text: str) -> float | None:
    """A walltime as sbatch takes it, in seconds; None when it is none.

    Zero is no limit for Slurm and UNLIMITED here. `30` is minutes, `30:00` minutes and seconds, `1-12` days and hours, `1-12:30:00` all of them.
    """
    if text.upper() in {"UNLIMITED", "INFINITE"}:
        return UNLIMITED
    found = _TIME.fullmatch(text)
    if not found:
        return None
    return _sum(found) or UNLIMITED


def _sum(found: re.Match[str]) -> int:
    days, *rest = found.groups()
    parts = [int(part) for part in rest if part is not None]
    if days is not None:
        hours, minutes, secs = (*parts, 0, 0)[:3]
        return ((int(days) * 24 + hours) * 60 + minutes) * 60 + secs
    if len(parts) == 1:
        return parts[0] * 60
    if len(parts) == 2:
        return parts[0] * 60 + parts[1]
    return (parts[0] * 60 + parts[1]) * 60 + parts[2]


def mebibytes(text: str) -> float | None:
    """A memory size as sbatch takes it (`4G`, `500M`, `2048`), in MiB; None when it is none.

    Zero is all that a node has for Slurm and UNLIMITED here.
    """
    found = _MEMORY.fullmatch(text)
    return int(found[1]) * _UNITS[found[2].upper()] or UNLIMITED if found else None


def most(text: str) -> float | None:
    """The upper end of a number (`4`) or of a range (`1-2`); None when it is neither."""
    last = text.rpartition("-")[2]
    return float(last) if re.fullmatch(r"([0-9]+-)?[0-9]+", text) else None
