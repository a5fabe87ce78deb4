"""What a registry says of an image before anything is pulled: digest, size, processors.

Asked without credentials, as anybody may; where that is refused, the runtime pulls with its own.
Source: the OCI distribution specification, "Pulling manifests", and docker's token protocol.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reference import Reference

TIMEOUT = 15.0  # seconds a request
LIMIT = 4 << 20  # bytes of an answer; the specification's own bound of a manifest
HUB_API = "registry-1.docker.io"
_KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join(_KINDS)


@dataclass(frozen=True)
class Listing:
    """The registry's answer: `digest` names the manifest or index, `size` is what will be downloaded.

    `size` is None where it could not be learnt; `platforms` is empty for an image of one processor.
    """

    digest: str
    size: int | None
    platforms: tuple[str, ...] = ()


class UnknownTagError(Exception):
    """The registry answered that there is no such image or tag."""


class RefusedError(Exception):
    """The registry wants credentials, which only the runtime has."""


class UnreachableError(Exception):
    """No answer: no network, no such host, or not a registry. The text says which."""


def look_up(reference: Reference, architecture: str) -> Listing:
    """Ask for the manifest of `reference`; `architecture` is OCI's name, such as amd64."""
    client = _Client(reference)
    what = reference.digest or reference.tag
    digest, manifest = client.manifest(what)
    entries = manifest.get("manifests")
    if not isinstance(entries, list):
        return Listing(digest, _size(manifest))
    platforms: dict[str, str] = {}
    for entry in entries:
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if isinstance(platform, dict) and platform.get("os") == "linux":
            platforms.setdefault(str(platform.get("architecture")), str(entry.get("digest")))
    size = None
    if architecture in platforms:
        size = _size(client.manifest(platforms[architecture])[1])
    return Listing(digest, size, tuple(sorted(platforms)))


def newest(reference: Reference) -> str | None:
    """The digest that a tag has now; None where the registry does not say so to everybody."""
    if reference.scheme != "docker":
        return None
    try:
        return look_up(reference, "").digest
    except (UnknownTagError, RefusedError, UnreachableError):
        return None


def _size(manifest: dict[str, Any]) -> int | None:
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        return None
    sizes = [layer.get("size") for layer in layers if isinstance(layer, dict)]
    return sum(s for s in sizes if isinstance(s, int) and s > 0)


class _Client:
    """One conversation with one registry about one repository."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        host = HUB_API if reference.host == "docker.io" else reference.host
        self.base = f"{'http' if reference.insecure else 'https'}://{host}/v2/{reference.path}"
        self.token: str | None = None

    def manifest(self, what: str) -> tuple[str, dict[str, Any]]:
        """The digest and the content of one manifest, by tag or digest."""
        url = f"{self.base}/manifests/{urllib.parse.quote(what, safe=':')}"
        try:
            headers, body = self._get(url)
        except urllib.error.HTTPError as error:
            challenge = error.headers.get("WWW-Authenticate", "")
            if error.code != 401 or self.token is not None or not self._fetch_token(challenge):
                raise _explained(error) from error
            try:
                headers, body = self._get(url)
            except urllib.error.HTTPError as second:
                raise _explained(second) from second
        try:
            value = json.loads(body)
        except ValueError as error:
            raise UnreachableError("the answer is not a registry's") from error
        digest = str(headers.get("Docker-Content-Digest", ""))
        if not isinstance(value, dict) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise UnreachableError("the answer is not a registry's")
        return digest, value

    def _fetch_token(self, challenge: str) -> bool:
        """An anonymous token, where the registry gives them out: docker.io, ghcr.io, quay.io, nvcr.io."""
        scheme, _, rest = challenge.partition(" ")
        words = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if scheme.lower() != "bearer" or not words.get("realm", "").startswith(
            ("https://", "http://127.")
        ):
            return False
        query = {k: words[k] for k in ("service", "scope") if k in words}
        query.setdefault("scope", f"repository:{self.reference.path}:pull")
        try:
            _, body = self._get(f"{words['realm']}?{urllib.parse.urlencode(query)}")
            answer = json.loads(body)
        except (urllib.error.HTTPError, ValueError):
            return False
        token = (
            answer.get("token") or answer.get("access_token") if isinstance(answer, dict) else None
        )
        self.token = token if isinstance(token, str) else None
        return self.token is not None

    def _get(self, url: str) -> tuple[Any, bytes]:
        request = urllib.request.Request(url, headers={"Accept": ACCEPT})  # noqa: S310 - http or https, made above
        if self.token and url.startswith(self.base):
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - as above
                return answer.headers, answer.read(LIMIT)
        except urllib.error.HTTPError:
            raise
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise UnreachableError(str(reason)) from error


def _explained(error: urllib.error.HTTPError) -> Exception:
    if error.code == 404:
        return UnknownTagError(str(error.code))
    if error.code in {401, 403}:
        return RefusedError(str(error.code))
    return UnreachableError(f"the registry answers {error.code}")
