"""Two environments side by side."""

from __future__ import annotations

import json
import os
import re


def tree(prefix):
    """Every file and link of an environment but the compiled ones, with what names its place blanked."""
    found = {}
    for path in sorted(prefix.rglob("*")):
        name = str(path.relative_to(prefix))
        if "__pycache__" in name:
            continue
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            data = path.read_bytes().replace(str(prefix).encode(), b"PREFIX")
            found[name] = (
                _record(data) if name.startswith("conda-meta/") and name.endswith(".json") else data
            )
    return found


def _record(data):
    """A conda-meta file without the folder of the package cache and the hashes of patched files."""
    text = re.sub(r'"[^"]*/pkgs/', '"CACHE/', data.decode())
    record = json.loads(text)
    for row in record["paths_data"]["paths"]:
        row.pop("sha256_in_prefix", None)
        if row["_path"].startswith("bin/"):  # scripts made at installation name the prefix
            del row["sha256"], row["size_in_bytes"]
    return record
