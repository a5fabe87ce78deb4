"""From recipe, .condarc and site config to the channels that are really asked, and how.

The recipe's channels win over the user's .condarc, and that over the site's; the site says which
channels are allowed. Secrets in channel addresses go into `credentials` and stay out of the addresses.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config.policy import ALIAS, channel_allowed
from ...errors import UserError
from ...store.expand import expand
from .. import caches
from . import condarc
from .values import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...config.model import SiteConfig
    from ..base import Place

LINK_MODE = "KERNELWRIGHT_LINK_MODE"  # "copy": no hard links from the package cache
SUBDIR = re.compile(
    r"/(?:noarch|(?:linux|osx|win)-(?:32|64|aarch64|arm64|ppc64le|s390x|armv7l|riscv64))/?$"
)


class Channels:
    """Turns what people write for a channel into addresses without secrets."""

    def __init__(
        self, site: SiteConfig, user: condarc.Condarc, environ: Mapping[str, str], home: Path
    ) -> None:
        self._site = site
        self._user = user
        self._environ = environ
        self._home = home
        self.alias = (user.alias or site.conda.channel_alias or ALIAS).rstrip("/")
        self.credentials: dict[str, Any] = {}

    def addresses(self, names: Iterable[str], origin: str) -> tuple[str, ...]:
        """The addresses of `names`, in order, once each; raises `channel-not-allowed`."""
        found: list[str] = []
        for name in names:
            found += [a for a in self._of_one(name.strip(), origin) if a not in found]
        return tuple(found)

    def _of_one(self, name: str, origin: str) -> list[str]:
        if name in {"", "nodefaults"}:
            return []
        if name == "defaults" or name in self._user.multi:
            members = self._user.multi.get(name) or self._user.default_channels
            return [self._allowed(self.address(member), name, origin) for member in members]
        return [self._allowed(self.address(name), name, origin)]

    def address(self, name: str) -> str:
        """One channel's address: by URL, by path, by the user's own names, else below the alias."""
        text = self._with_variables(name)
        if text.startswith(("/", "~", "./", "../")):
            path = Path(str(self._home) + text[1:] if text.startswith("~/") else text)
            text = path.absolute().as_uri()
        elif "://" not in text:
            first = text.split("/")[0]
            base = self._user.custom.get(text) or self._user.custom.get(first) or self.alias
            text = f"{base.rstrip('/')}/{text}"
        return SUBDIR.sub("", self._without_secrets(text)).rstrip("/")

    def _with_variables(self, name: str) -> str:
        def value(match: re.Match[str]) -> str:
            variable = match[1] or match[2]
            if variable not in self._environ:
                raise UserError(
                    "channel-variable-unset",
                    f"the channel `{visible(name)}` needs the variable {variable}, which is not set",
                    hint=f"set it first: `export {variable}=...`; it is used for this build and never stored",
                )
            return self._environ[variable]

        return re.sub(r"\$\{(\w+)\}|\$(\w+)", value, name)

    def _without_secrets(self, url: str) -> str:
        """Move `/t/TOKEN/` and `user:password@` out of an address."""
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        path = parts.path
        if token := re.match(r"/t/([^/]+)(/.*)$", path):
            self.credentials[host] = {"CondaToken": token[1]}
            path = token[2]
        if parts.password is not None:
            login = {
                "username": urllib.parse.unquote(parts.username or ""),
                "password": urllib.parse.unquote(parts.password),
            }
            self.credentials[host] = {"BasicHTTP": login}
        netloc = parts.netloc.rpartition("@")[2]
        return urllib.parse.urlunsplit((parts.scheme, netloc, path, "", ""))

    def _allowed(self, address: str, name: str, origin: str) -> str:
        conda = self._site.conda
        if not channel_allowed(name, self._site, address):
            allowed = ", ".join(conda.allow_channels) or ", ".join(conda.channels)
            raise UserError(
                "channel-not-allowed",
                f"{self._site.site.name} does not allow the channel `{visible(name)}`",
                context={"it comes from": origin, "allowed": allowed},
                hint="take the packages from an allowed channel" + _ask(self._site),
            )
        return address


def settings(
    channels: tuple[str, ...], append: tuple[str, ...], place: Place, note: Callable[[str], None]
) -> tuple[Settings, Channels]:
    """Everything the engine needs to know, and the resolver for further names (`channel::package`)."""
    site, environ = place.site, place.environ
    user = condarc.read(place.home, environ, note)
    resolver = Channels(site, user, environ, place.home)
    origin, names = next(
        (o, n)
        for o, n in (
            ("the recipe", channels),
            (user.sources.get("channels", ".condarc"), user.channels),
            ("the site", site.conda.channels),
            ("the default", ("conda-forge",)),
        )
        if n
    )
    addresses = resolver.addresses([*names, *append], origin)
    mirrors = {
        resolver.address(k): tuple(resolver.address(m) for m in v)
        for k, v in site.conda.mirrors.items()
    }
    return Settings(
        channels=addresses,
        cache=caches.folder(place, "conda"),
        priority=user.priority or site.conda.channel_priority,
        mirrors=mirrors,
        credentials=resolver.credentials,
        auth_file=_auth_file(place),
        proxies=_proxies(user, place),
        verify_tls=user.verify_tls,
        ca_file=user.ca_file,
        timeout=int(max(1.0, user.timeout or 180)),
        stall=user.timeout or 60.0,
        retries=user.retries or 3,
        copy=environ.get(LINK_MODE) == "copy",
        sources={
            "channels": origin,
            **({"alias": user.sources["channel_alias"]} if user.alias else {}),
        },
    ), resolver


def as_toml(found: Settings, auth: str | None) -> str:
    """rattler's own configuration in its own words; it reads no file of the user's by itself."""
    lines = [] if found.verify_tls else ["tls-no-verify = true"]
    if auth:
        lines.append(f"authentication-override-file = {json.dumps(auth)}")
    if found.mirrors:
        lines.append("[mirrors]")
        lines += [f"{json.dumps(k)} = {json.dumps(list(v))}" for k, v in found.mirrors.items()]
    if found.proxies:
        lines.append("[proxy-config]")
        lines += [f"{kind} = {json.dumps(address)}" for kind, address in found.proxies.items()]
    return "\n".join(lines) + "\n"


def _auth_file(place: Place) -> str | None:
    named = place.site.conda.auth_file or place.environ.get("RATTLER_AUTH_FILE")
    if named:
        return str(expand(named, place.home, place.environ))
    own = place.home / ".rattler/credentials.json"
    return str(own) if own.is_file() else None


def _proxies(user: condarc.Condarc, place: Place) -> dict[str, str]:
    """Proxy variables are followed by the engine itself and win; then .condarc, then the site."""
    if any(
        place.environ.get(n) or place.environ.get(n.lower())
        for n in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
    ):
        return {}
    if user.proxies:
        return dict(user.proxies)
    proxy = place.site.network.proxy
    return {"http": proxy, "https": proxy} if proxy else {}


def visible(name: str) -> str:
    """A channel as it may be shown: without token and password."""
    text = re.sub(r"/t/[^/]+/", "/t/***/", name)
    return re.sub(r"//[^/@]*@", "//***@", text)


def _ask(site: SiteConfig) -> str:
    return f", or ask {site.site.support}" if site.site.support else ""
