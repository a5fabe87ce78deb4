"""Environments that a benchmark makes for what it compares with; they are gone with their folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")


class Missing(Exception):
    """A package cannot be had here; the text says why."""


def environment(folder: Path, *packages: str) -> Path:
    """A new environment with `packages`; its folder of programs."""
    for words in (
        ["venv", "--python", sys.executable, folder],
        # copies: a file that is changed here must not be the one in uv's cache
        ["pip", "install", "--link-mode=copy", "--python", folder / "bin/python", *packages],
    ):
        done = subprocess.run([UV, "-q", *words], capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise Missing(done.stderr.strip().splitlines()[-1])
    return folder / "bin"


def runtime(prefix: Path) -> Path:
    """An installed runtime with this checkout's code."""
    subprocess.run(
        [ROOT / "scripts/install.sh", prefix], check=True, timeout=900, stdout=subprocess.DEVNULL
    )
    return prefix
