"""The one module that imports rattler: solve and install, with its traps handled.

* A panic of the Rust side arrives as a BaseException: it becomes an EngineError.
* `Client(timeout=...)` is a limit for a whole answer, which a large package on a slow line exceeds:
  package downloads have no such limit, a watchdog ends them when no byte comes for a while.
* Truncated lists of packages are not retried by rattler itself, as packages and 5xx answers are: they are here.
* Tokens go in through a file in memory, so that no URL, lock or conda-meta file holds one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import time
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import rattler
from rattler.package import BuildString

from .reporter import Reporter
from .settings import as_toml
from .values import EngineError, Package, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

    from ...progress import Progress

T = TypeVar("T")
# lists that were cut or garbled and may be whole a moment later; 5xx answers are retried by rattler
PASSING = re.compile(
    r"end of file|error decoding|failed to (?:parse|decode|deserialize|decompress)|missing field|Data corruption|unexpected eof|connection reset"
    r"|hash mismatch|connection closed|invalid (?:type|value|length)|unpack|buffer is too small|404[^\n]*/shards/",
    re.IGNORECASE,
)
PAUSES = (0.5, 1.5)  # seconds before the second and the third attempt


class Engine:
    """Solves and installs with one set of settings; use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._credentials: int | None = None

    def __enter__(self) -> Engine:  # noqa: PYI034 - nobody derives from it
        return self

    def __exit__(self, *_: object) -> None:
        if self._credentials is not None:
            os.close(self._credentials)
            self._credentials = None

    def virtual_packages(self, overrides: Mapping[str, str | None] = {}) -> dict[str, str]:
        """The virtual packages of this node (`__glibc`: "2.36"), with the site's own on top."""
        found: dict[str, str] = {}
        for package in rattler.VirtualPackage.detect(rattler.VirtualPackageOverrides.from_env()):
            name, version, build = str(package.into_generic()).split("=")
            found[name] = version if build == "0" else f"{version}={build}"
        for name, wanted in overrides.items():
            found.pop(name, None)
            if wanted:
                found[name] = str(wanted)
        return found

    def solve(
        self, specs: Sequence[str], virtual: Mapping[str, str], *, offline: bool = False
    ) -> list[Package]:
        """The packages that `specs` need; `offline` uses only what an earlier call has fetched."""

        async def work() -> list[Package]:
            records = await rattler.solve(
                [rattler.Channel(url) for url in self.settings.channels],
                [rattler.MatchSpec(spec) for spec in specs],
                gateway=self._gateway(offline=offline),
                virtual_packages=[_virtual(name, value) for name, value in virtual.items()],
                channel_priority=_priority(self.settings.priority),
            )
            return [Package(_public(json.loads(record.to_json()))) for record in records]

        return self._attempt("solve", work)

    def query(self, names: Sequence[str], channels: Sequence[str]) -> list[Package]:
        """Every package with one of these names that the channels with these addresses have."""

        async def work() -> list[Package]:
            found = await self._gateway().query(
                [rattler.Channel(url) for url in channels],
                [rattler.Subdir.current(), "noarch"],
                list(names),
                recursive=False,
            )
            return [Package(_public(json.loads(r.to_json()))) for channel in found for r in channel]

        return self._attempt("solve", work)

    def names(self) -> list[str]:
        """The names of all packages in the channels; [] when they cannot be had."""

        async def work() -> list[str]:
            found = await self._gateway().names(
                [rattler.Channel(url) for url in self.settings.channels],
                [rattler.Subdir.current(), "noarch"],
            )
            return [name.source for name in found]

        with contextlib.suppress(EngineError):
            return self._attempt("solve", work, pauses=())
        return []

    def install(
        self, packages: Sequence[Package], prefix: Path, specs: Sequence[str], progress: Progress
    ) -> None:
        """Download what the cache lacks and link everything into `prefix`; completes a half-made one."""
        missing = [
            p for p in packages if not (self.settings.cache / "pkgs" / p.folder / "info").is_dir()
        ]

        async def work() -> None:
            reporter = Reporter(
                progress, total=sum(p.size for p in missing), packages=len(packages)
            )
            await _watched(
                rattler.install(
                    [_record(package) for package in packages],
                    prefix,
                    cache_dir=self.settings.cache / "pkgs",
                    client=self._client(timeout=None),
                    execute_link_scripts=self.settings.link_scripts,
                    requested_specs=[rattler.MatchSpec(spec)._match_spec for spec in specs],  # noqa: SLF001 - install() takes the inner object
                    reporter=reporter,
                    config=rattler.Config.from_toml("allow-hard-links = false\n")
                    if self.settings.copy
                    else None,
                ),
                reporter,
                self.settings.stall,
            )

        self._attempt("install", work)

    def _attempt(
        self,
        step: str,
        work: Callable[[], Coroutine[Any, Any, T]],
        pauses: Sequence[float] = PAUSES,
    ) -> T:
        """Run `work` to its end, again after a pause when what came was garbled; rattler tries the rest again itself."""
        for pause in (*pauses, None):
            try:
                with _trusting(self.settings.ca_file), warnings.catch_warnings():
                    warnings.simplefilter(
                        "ignore"
                    )  # rattler's GatewayWarning is for its own developers
                    return asyncio.run(work())
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # a Rust panic is no Exception
                panic = not isinstance(error, Exception)
                text = self._redact(str(error) or type(error).__name__)
                if pause is None or panic or not PASSING.search(text):
                    raise EngineError(step, text, panic=panic) from error
                if step == "solve":  # a garbled list would be taken from the cache again
                    shutil.rmtree(self.settings.cache / "repodata", ignore_errors=True)
                time.sleep(pause)
        raise AssertionError  # the last round returns or raises

    def _redact(self, text: str) -> str:
        for secret in _secrets(self.settings.credentials):
            text = text.replace(secret, "***")
        return text

    def _gateway(self, *, offline: bool = False) -> Any:
        from rattler.repo_data.gateway import SourceConfig

        return rattler.Gateway(
            cache_dir=self.settings.cache / "repodata",
            client=self._client(timeout=self.settings.timeout),
            default_config=SourceConfig(
                cache_action="force-cache-only" if offline else "cache-or-fetch"
            ),
        )

    def _client(self, *, timeout: int | None) -> Any:
        config = rattler.Config.from_toml(as_toml(self.settings, self._auth_path()))
        return rattler.Client.from_config(
            config, max_retries=self.settings.retries, timeout=timeout
        )

    def _auth_path(self) -> str | None:
        """The credentials as a file in memory; the site's own file as it is when there is nothing to add."""
        if not self.settings.credentials:
            return self.settings.auth_file
        if self._credentials is None:
            merged = dict(self.settings.credentials)
            if self.settings.auth_file:
                with (
                    contextlib.suppress(OSError, ValueError),
                    open(self.settings.auth_file, "rb") as stream,
                ):
                    merged = json.load(stream) | merged
            self._credentials = os.memfd_create("credentials")
            os.write(self._credentials, json.dumps(merged).encode())
        return f"/proc/self/fd/{self._credentials}"


async def _watched(install: Coroutine[Any, Any, None], reporter: Reporter, stall: float) -> None:
    """Await `install`, and give up when downloads are open but no byte has come for `stall` seconds."""
    task = asyncio.ensure_future(install)
    while not task.done():
        await asyncio.wait([task], timeout=min(1.0, stall / 4))
        if not task.done() and reporter.stalled(stall):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
            raise TimeoutError(f"no data came for {stall:g} s (operation timed out)")
    await task


@contextlib.contextmanager
def _trusting(ca_file: str | None) -> Iterator[None]:
    """The TLS library reads its extra certificates from a variable only."""
    if ca_file is None or "SSL_CERT_FILE" in os.environ:
        yield
        return
    os.environ["SSL_CERT_FILE"] = ca_file
    try:
        yield
    finally:
        os.environ.pop("SSL_CERT_FILE", None)


def check_spec(spec: str) -> str | None:
    """Why `spec` is no match spec; None when it is one."""
    try:
        rattler.MatchSpec(spec)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a Rust panic is no Exception
        return str(error).splitlines()[0] if str(error) else "it cannot be read"
    return None


def platform() -> str:
    """The subdir of this node, such as linux-64."""
    return str(rattler.Subdir.current())


def _record(package: Package) -> Any:
    """rattler's own object for a record that came from a lock."""
    data = dict(package.record)
    handle = os.memfd_create("record")
    try:
        os.write(handle, json.dumps(data).encode())
        inner = rattler.PackageRecord.from_index_json(
            f"/proc/self/fd/{handle}", data.get("size"), data.get("sha256"), data.get("md5")
        )
    finally:
        os.close(handle)
    return rattler.RepoDataRecord(inner, data["fn"], data["url"], data["channel"])


def _public(record: dict[str, Any]) -> dict[str, Any]:
    """A record as a lock keeps it: the time of indexing differs between mirrors and is left out."""
    record.pop("indexed_timestamp", None)
    return record


def _virtual(name: str, value: str) -> Any:
    version, _, build = value.partition("=")
    return rattler.GenericVirtualPackage(
        rattler.PackageName(name), rattler.Version(version), BuildString(build or "0")
    )


def _priority(name: str) -> Any:
    strict = name != "disabled"
    return rattler.ChannelPriority.Strict if strict else rattler.ChannelPriority.Disabled


def _secrets(credentials: Mapping[str, Any]) -> list[str]:
    return [
        str(value)
        for entry in credentials.values()
        for kind in entry.values()
        for value in (kind.values() if isinstance(kind, dict) else [kind])
        if len(str(value)) > 3
    ]
