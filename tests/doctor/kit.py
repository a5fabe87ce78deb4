"""Hand-made kernelspecs for the tests of doctor."""

from __future__ import annotations

import json
import sys
from pathlib import Path

F = "{connection_file}"


def put(home: Path, name: str, argv: list[str] | None = None, **keys: object) -> Path:
    """Write kernel.json of `name` into this home; its folder."""
    folder = home / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True)
    spec = {
        "argv": argv or [sys.executable, "-m", "ipykernel_launcher", "-f", F],
        "display_name": name,
        "language": "python",
        **keys,
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    return folder
