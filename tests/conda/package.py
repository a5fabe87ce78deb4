"""Writes one conda package: a `.conda` (zip of zstd tars) or an old `.tar.bz2`."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PLACEHOLDER = ("/opt/placeholder_" + "placehold_" * 24)[:200]
STAMP = 1_700_000_000  # one fixed time, so that a package is the same whenever it is built


@dataclass(frozen=True)
class Content:
    """The bytes of one packaged file; `prefix` says that they hold PLACEHOLDER as text."""

    data: bytes
    mode: int = 0o644
    prefix: bool = False


def write_package(
    out: Path,
    name: str,
    version: str,
    files: Mapping[str, Content],
    *,
    links: Mapping[str, str] = {},
    build: str | None = None,
    build_number: int = 0,
    subdir: str = "noarch",
    noarch: str | None = None,
    depends: Iterable[str] = (),
    entry_points: Iterable[str] = (),
    extra: Mapping[str, Any] = {},
    conda: bool = True,
) -> Path:
    """Write the package below `out/subdir` and return its path."""
    kind = noarch or ("generic" if subdir == "noarch" else None)
    stem_build = build or ("pyh_0" if kind == "python" else "0")
    index = {
        "name": name,
        "version": version,
        "build": stem_build,
        "build_number": build_number,
        "depends": list(depends),
        "subdir": subdir,
        "license": "MIT",
        "timestamp": STAMP * 1000,
        **({"noarch": kind} if kind else {}),
        **extra,
    }
    info = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": _paths(files, links),
        "info/files": "\n".join([*files, *links]).encode(),
        "info/about.json": b"{}",
    }
    if kind == "python":
        link = {
            "noarch": {"type": "python", "entry_points": list(entry_points)},
            "package_metadata_version": 1,
        }
        info["info/link.json"] = json.dumps(link).encode()
    folder = out / subdir
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{version}-{stem_build}"
    parts = {path: Content(data) for path, data in info.items()}
    if not conda:
        target = folder / f"{stem}.tar.bz2"
        target.write_bytes(bz2.compress(_tar({**parts, **files}, links)))
        return target
    target = folder / f"{stem}.conda"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"info-{stem}.tar.zst", _zstd(_tar(parts, {})))
        archive.writestr(f"pkg-{stem}.tar.zst", _zstd(_tar(files, links)))
    return target


def _zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=3).compress(data)


def _tar(files: Mapping[str, Content], links: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(content.data), content.mode, STAMP
            archive.addfile(entry, io.BytesIO(content.data))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname, entry.mtime = tarfile.SYMTYPE, target, STAMP
            archive.addfile(entry)
    return buffer.getvalue()


def _paths(files: Mapping[str, Content], links: Mapping[str, str]) -> bytes:
    rows: list[dict[str, Any]] = []
    for path, content in files.items():
        row: dict[str, Any] = {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(content.data).hexdigest(),
            "size_in_bytes": len(content.data),
        }
        if content.prefix:
            row |= {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
        rows.append(row)
    empty = hashlib.sha256(b"").hexdigest()
    rows += [
        {"_path": p, "path_type": "softlink", "sha256": empty, "size_in_bytes": 0} for p in links
    ]
    return json.dumps({"paths": rows, "paths_version": 1}).encode()
