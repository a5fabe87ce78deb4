"""The store of pulled images, keyed by digest: whole or absent, several readers, one writer an image.

    <store>/sha256-<hex>/image.sif, image.json     one image; the folder appears by a single rename
    <store>/tags/<hash>.json                       which digest a tag had when it was last asked for
    <store>/<key>.part-<random>/                   a pull that is going on, or was killed
    <store>/cache, locks                           the runtime's own cache; one lock an image

A shared store has the same shape and is only read, and only where its owner is trusted.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ... import paths
from ...store.atomic import explained, make_folder, read_json, write_json
from ...store.expand import expand
from ...store.lock import lock
from . import sif

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ...config.model import SiteConfig
    from .reference import Reference

PULL_WAIT = 2 * 3600.0  # seconds that a second session waits for the pull of the first
READ_BY_ALL = 0o755


@dataclass(frozen=True)
class Image:
    """An image that can be started: `file` is a .sif or a sandbox folder.

    `digest` is the registry's, None where nobody told it; `id` is the SIF's own identity; `pulled` is
    when it was stored, in seconds since the epoch, 0 for images that are used where they lie.
    """

    file: str
    text: str
    digest: str | None = None
    id: str | None = None
    size: int | None = None
    pulled: float = 0.0
    origin: str = "file"  # file | store | shared


@dataclass(frozen=True)
class ImageStore:
    """The images below `root`; `shared` stores are made for everybody to read."""

    root: Path
    shared: bool = False

    @property
    def mode(self) -> int:
        """Of folders in it."""
        return READ_BY_ALL if self.shared else 0o700

    @property
    def cache(self) -> Path:
        """The runtime's cache of blobs, by which an ended pull goes on."""
        return self.root / "cache"

    def find(self, key: str, text: str) -> Image | None:
        """The image stored under `key`, when it is whole and made for this node."""
        folder = self.root / key
        file = folder / "image.sif"
        record = read_json(folder / "image.json")
        if not isinstance(record, dict) or sif.examine(str(file)) is not None:
            return None
        return Image(
            str(file), text, record.get("digest"), record.get("id"), record.get("size"), float(record.get("pulled") or 0),
            "shared" if self.shared else "store",
        )  # fmt: skip

    def add(self, key: str, part: Path, text: str, digest: str | None) -> Image:
        """Give the whole image `part`/image.sif its place; the one that is there already wins."""
        file = part / "image.sif"
        header = sif.read(str(file))
        write_json(
            part / "image.json",
            {
                "version": 1,
                "text": text,
                "digest": digest,
                "id": header.id if header else None,
                "size": file.stat().st_size,
                "pulled": time.time(),
            },
            0o644 if self.shared else 0o600,
        )
        os.chmod(file, self.mode)
        os.chmod(part, self.mode)
        target = self.root / key
        if target.exists() and self.find(key, text) is None:
            shutil.rmtree(
                target, ignore_errors=True
            )  # damaged by somebody: cannot be started anyway
        with explained(target):
            try:
                os.rename(part, target)
            except OSError:
                if self.find(key, text) is None:
                    raise
                shutil.rmtree(part, ignore_errors=True)
        found = self.find(key, text)
        assert found is not None  # noqa: S101 - it was examined before and has just been renamed
        return found

    def part(self, key: str) -> Path:
        """A new folder for a pull of `key`; what killed pulls of it left goes. Call under its lock."""
        make_folder(self.root, self.mode)
        for old in self.root.glob(f"{key}.part-*"):
            shutil.rmtree(old, ignore_errors=True)
        part = self.root / f"{key}.part-{os.urandom(4).hex()}"
        with explained(part):
            part.mkdir(mode=0o700)
        return part

    def locked(
        self, key: str, on_wait: Callable[[str], None]
    ) -> contextlib.AbstractContextManager[None]:
        """Hold the right to store `key`."""
        return lock(
            self.root / "locks" / f"{key}.lock",
            command="kernelwright pull",
            wait=PULL_WAIT,
            on_wait=on_wait,
        )

    def remember(self, text: str, digest: str) -> None:
        """Note which digest a tag has now."""
        folder = make_folder(self.root / "tags", self.mode)
        write_json(
            folder / _tag_file(text),
            {"version": 1, "text": text, "digest": digest, "asked": time.time()},
            0o644 if self.shared else 0o600,
        )

    def remembered(self, text: str) -> Image | None:
        """The image that a tag had when it was last asked for, when it is still here."""
        record = read_json(self.root / "tags" / _tag_file(text))
        digest = record.get("digest") if isinstance(record, dict) else None
        return self.find(key_of(digest), text) if isinstance(digest, str) else None


def key_of(digest: str) -> str:
    """The folder name of a digest: `sha256-<hex>`."""
    return digest.replace(":", "-")


def own_store(site: SiteConfig, home: Path, environ: Mapping[str, str]) -> ImageStore:
    """Where this user's images go: the site's place for them, else below its root, else in HOME.

    Whoever owns the site's store fills it: there every pull of theirs goes there (`site prefetch`).
    """
    if site.storage.images:
        central = expand(site.storage.images, home, environ)
        if _is_mine(central):
            return ImageStore(central, shared=True)
    said = site.storage.image_cache
    if said:
        return ImageStore(expand(said, home, environ))
    root = site.storage.root
    return ImageStore((expand(root, home, environ) if root else paths.data_folder(home)) / "images")


def _is_mine(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK)
    except OSError:
        return False


def shared_store(site: SiteConfig, home: Path, environ: Mapping[str, str]) -> ImageStore | None:
    """The site's store, when it has one whose owner is trusted: a .sif cannot be checked against a digest."""
    if not site.storage.images:
        return None
    store = ImageStore(expand(site.storage.images, home, environ), shared=True)
    return store if trusted(store.root, site.groups.trusted_owners) else None


def trusted(folder: Path, owners: Iterable[str]) -> bool:
    """Whether only a trusted owner (or this user) can have put something into `folder`."""
    try:
        found = folder.stat()
        owner = pwd.getpwuid(found.st_uid).pw_name
    except (OSError, KeyError):
        return False
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return False
    return owner in {*owners, "root"} or found.st_uid == os.getuid()


def file_image(reference: Reference) -> Image:
    """An image that is used where it lies, with its identity for a later comparison."""
    if os.path.isdir(reference.file):
        return Image(reference.file, reference.text)
    header = sif.read(reference.file)
    return Image(
        reference.file,
        reference.text,
        id=header.id if header else None,
        size=os.path.getsize(reference.file),
    )


def _tag_file(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32] + ".json"
