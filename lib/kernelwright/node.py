"""Facts of this node that decide whether a build of another node runs here."""

from __future__ import annotations

import os
import platform
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# x86-64 micro-architecture levels by the CPU flags that they need (x86-64 psABI, section 3.1.1)
LEVELS = (
    (4, {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    (3, {"avx2", "bmi1", "bmi2", "fma", "movbe"}),
    (2, {"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
)


def facts(environ: Mapping[str, str]) -> dict[str, Any]:
    """Architecture, glibc, CPU level, host and cluster, as they are recorded with each generation."""
    return {
        "arch": platform.machine(),
        "glibc": glibc(),
        "cpu_level": cpu_level(),
        "host": os.uname().nodename,
        "cluster": environ.get("SLURM_CLUSTER_NAME"),
        "partition": environ.get("SLURM_JOB_PARTITION"),
        "built": time.time(),
    }


def glibc() -> str | None:
    """The version as X.Y, or None on systems without glibc."""
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None
    return name.split()[-1] if name else None


def cpu_level() -> int | None:
    """The x86-64 level (1 to 4) of this CPU; None on other architectures."""
    if platform.machine() != "x86_64":
        return None
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as stream:
            found = re.search(r"^flags\s*: (.*)$", stream.read(65536), re.MULTILINE)
    except OSError:
        return None
    flags = set(found[1].split()) if found else set()
    return next((level for level, needed in LEVELS if needed <= flags), 1)


def mismatch(recorded: Mapping[str, Any]) -> str | None:
    """Why a build with these facts cannot run on this node, in words; None when it can."""
    here = platform.machine()
    if recorded.get("arch") not in {None, here}:
        return f"it was built for {recorded['arch']}, this node is {here}"
    built, have = recorded.get("cpu_level"), cpu_level()
    if isinstance(built, int) and have is not None and built > have and built > 2:
        return f"it was built on a CPU of level x86-64-v{built}, this node has v{have}"
    built_libc, libc = recorded.get("glibc"), glibc()
    if built_libc and libc and _version(str(built_libc)) > _version(libc):
        return f"it was built with glibc {built_libc}, this node has {libc}"
    return None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text)[:3])
