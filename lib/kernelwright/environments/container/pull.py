"""Bring an image to this node: look it up, check what can be checked, pull it once, store it whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ... import process
from ...errors import UserError
from ...store.atomic import explained, make_folder
from . import images, registry, rules, sif
from .failures import explained_failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...progress import Progress
    from ..base import Place
    from .images import Image, ImageStore
    from .reference import Reference
    from .runtimes import Runtime

TIMEOUT = 2 * 3600.0  # seconds: 20 GB over a slow line, and the conversion


@dataclass(frozen=True)
class Puller:
    """One pull's surroundings."""

    runtime: Runtime
    place: Place
    progress: Progress

    def obtain(self, reference: Reference, store: ImageStore | None = None) -> Image:
        """The image of `reference`, pulled where it is not here yet. Raises UserError.

        `store` is where it goes: the user's own store by default, the site's for `site prefetch`.
        """
        if reference.form == "file":
            return _examined(images.file_image(reference))
        target = store or images.own_store(self.place.site, self.place.home, self.place.environ)
        if reference.form == "archive":
            return self._from_archive(reference, target)
        return self._from_registry(reference, target)

    # --- registries ------------------------------------------------------------------------------

    def _from_registry(self, reference: Reference, store: ImageStore) -> Image:
        listing = self._listing(reference, store)
        if isinstance(listing, images.Image):
            return listing
        digest = reference.digest or (listing.digest if listing else None)
        if digest and (found := self._stored(digest, reference.text, store)):
            return found
        rules.check_room(listing.size if listing else None, store, self.place)
        key = (
            images.key_of(digest)
            if digest
            else "sif-" + hashlib.sha256(reference.text.encode()).hexdigest()[:32]
        )
        with store.locked(key, self._waiting):
            if digest and (found := store.find(key, reference.text)):
                return self._noted(found, store)
            part = store.part(key)
            try:
                self._pull(reference, digest, part, store, listing.size if listing else None)
                image = _examined(images.Image(str(part / "image.sif"), reference.text))
                if digest is None:
                    header = sif.read(image.file)
                    key = f"sif-{header.id}" if header else key
                return self._noted(store.add(key, part, reference.text, digest), store)
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def _listing(self, reference: Reference, store: ImageStore) -> registry.Listing | Image | None:
        """The registry's answer; the stored image where there is no network; None where only the runtime may ask."""
        known = store.remembered(reference.text)
        site = self.place.site
        offline = not site.network.compute_nodes and "SLURM_JOB_ID" in self.place.environ
        if offline:
            shared = images.shared_store(site, self.place.home, self.place.environ)
            known = known or (shared.remembered(reference.text) if shared else None)
            if known is None:
                raise rules.no_network(reference.text, site)
            return known
        if reference.scheme != "docker":
            return None
        machine = sif.OCI_NAMES.get(platform.machine(), platform.machine())
        try:
            listing = registry.look_up(reference, machine)
        except registry.UnknownTagError as error:
            raise UserError(
                "image-unknown",
                f"the registry {reference.host} has no image `{reference.text}`",
                hint="look at the image's page in the registry, and check name and tag",
            ) from error
        except registry.RefusedError:
            return None
        except registry.UnreachableError as error:
            if known is None:
                return None
            self.progress.note(
                f"the registry cannot be reached ({error}): using the image that was pulled on {time.strftime('%Y-%m-%d', time.localtime(known.pulled))}"
            )
            return known
        if listing.platforms and machine not in listing.platforms:
            raise UserError(
                "image-wrong-architecture",
                f"`{reference.text}` is made for {', '.join(listing.platforms)}, this node is {machine}",
                hint="look for a tag that is made for this processor",
            )
        return listing

    def _stored(self, digest: str, text: str, store: ImageStore) -> Image | None:
        key = images.key_of(digest)
        shared = images.shared_store(self.place.site, self.place.home, self.place.environ)
        owners = self.place.site.groups.trusted_owners
        theirs = shared and images.trusted(shared.root / key, owners) and shared.find(key, text)
        if theirs:
            return theirs
        found = store.find(key, text)
        return self._noted(found, store) if found else None

    def _noted(self, image: Image, store: ImageStore) -> Image:
        if image.digest:
            store.remember(image.text, image.digest)
        return image

    # --- archives --------------------------------------------------------------------------------

    def _from_archive(self, reference: Reference, store: ImageStore) -> Image:
        self.progress.phase("pull", "reading the archive")
        key = f"archive-{_sha256(reference.file, reference.tag)}"
        if found := store.find(key, reference.text):
            return found
        rules.check_room(os.path.getsize(reference.file), store, self.place)
        with store.locked(key, self._waiting):
            if found := store.find(key, reference.text):
                return found
            part = store.part(key)
            try:
                with self._surroundings(part, store) as environ:
                    self._run(
                        self.runtime.convert(reference.text, str(part / "image.sif")),
                        environ,
                        archive=True,
                    )
                _examined(images.Image(str(part / "image.sif"), reference.text))
                return store.add(key, part, reference.text, None)
            finally:
                shutil.rmtree(part, ignore_errors=True)

    # --- what both do ----------------------------------------------------------------------------

    def _pull(
        self,
        reference: Reference,
        digest: str | None,
        part: Path,
        store: ImageStore,
        size: int | None,
    ) -> None:
        self.progress.phase("pull", f"pulling {reference.text}")
        argv = self.runtime.pull(
            reference.pinned(digest), str(part / "image.sif"), insecure=reference.insecure
        )
        with self._surroundings(part, store) as environ, self._watched([part, store.cache], size):
            self._run(argv, environ)

    @contextlib.contextmanager
    def _surroundings(self, part: Path, store: ImageStore) -> Iterator[dict[str, str]]:
        """The runtime's environment with cache and temporary files beside the store, never in HOME or /tmp."""
        environ = self.place.environ
        cache = environ.get(f"{self.runtime.flavour.prefix}_CACHEDIR") or str(
            make_folder(store.cache)
        )
        temporary = make_folder(part / "tmp")
        settings = self.runtime.environment(environ, cache=cache, temporary=str(temporary))
        if self.place.site.network.proxy:
            settings.setdefault("HTTPS_PROXY", self.place.site.network.proxy)
        try:
            yield settings
        finally:
            _remove(temporary)

    def _run(
        self, argv: tuple[str, ...], environ: dict[str, str], *, archive: bool = False
    ) -> None:
        result = process.run(argv, timeout=TIMEOUT, env=environ, cwd="/", on_line=self._tell)
        with (
            contextlib.suppress(OSError),
            open(self.place.keep / "pull.log", "a", encoding="utf-8") as log,
        ):
            log.write(f"$ {' '.join(argv)}\n{result.stderr}\n")
        if not result.ok:
            raise explained_failure(result, self.runtime.name, archive=archive)

    def _tell(self, line: str) -> None:
        if found := re.search(
            r"INFO:\s+(Converting|Extracting|Creating SIF|Using cached)(.*)", line
        ):
            self.progress.phase("pull", f"{found[1].lower()}{found[2]}".strip())

    def _waiting(self, who: str) -> None:
        self.progress.note(f"waiting for {who}, who pulls this image now")

    @contextlib.contextmanager
    def _watched(self, folders: list[Path], size: int | None) -> Iterator[None]:
        """Report how much has arrived, once a second, while the runtime says nothing about it."""
        stop = threading.Event()
        before = sum(map(_weight, folders))

        def watch() -> None:
            while not stop.wait(1.0):
                arrived = max(0, sum(map(_weight, folders)) - before)
                self.progress.advance(min(arrived, size) if size else arrived, size, "bytes")

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


def _examined(image: Image) -> Image:
    problem = sif.examine(image.file)
    if problem is not None:
        raise UserError(problem.code, problem.message, hint=problem.hint)
    return image


def _sha256(file: str, tag: str) -> str:
    digest = hashlib.sha256(tag.encode() + b"\0")
    with explained(Path(file)), open(file, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:40]


def _weight(folder: Path) -> int:
    """Bytes of the files below `folder`; what vanishes meanwhile counts nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def _remove(folder: Path) -> None:
    """Remove an unpacked image: folders without write permission are usual in them."""
    for where, names, _ in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                os.chmod(os.path.join(where, name), 0o700)
    shutil.rmtree(folder, ignore_errors=True)
