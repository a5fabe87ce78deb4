"""What the container runtimes print when a pull or a conversion fails, told apart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import UserError

if TYPE_CHECKING:
    from ...process import Result

# by regular expression: (code, message, hint); first match wins
FAILURES = (
    (r"no space left on device|disk quota exceeded", "disk-full", "the disk or the quota is full", "free some space, or see `kernelwright storage`"),
    (r"permission denied|read-only file system", "not-writable", "the image store or the runtime's cache cannot be written", "look at the owner and the permissions of the folders named below"),
    (r"manifest unknown|name unknown|not found in registry|tag .* not found|404 Not Found", "image-unknown", "the registry has no such image or tag", "look at the image's page in the registry, and check name and tag"),
    (r"connection refused|no such host|i/o timeout|network is unreachable|no route to host|TLS handshake timeout|connection reset|unexpected EOF|\bEOF\b", "registry-unreachable", "the registry cannot be reached from this node, or the transfer broke off", "try again: what was fetched is kept; nodes without internet need a build elsewhere"),
    (r"unauthorized|authentication required|access.* is denied|requested access|\b401\b|403 Forbidden", "registry-denied", "the registry refuses this image without a login, or there is no such image", "log in once with `{runtime} registry login docker://REGISTRY`; kernelwright never sees the password"),
    (r"no image satisfies|no child with platform|architecture", "image-wrong-architecture", "the image is not made for this processor", "look for a tag that is made for it"),
    (r"toomanyrequests|rate limit|\b429\b", "registry-busy", "the registry asks to wait: too many pulls from here", "try again later, or log in with the runtime's `registry login`"),
    (r"gzip: invalid|checksum mismatch|digest did not match|digest mismatch", "image-damaged", "what the registry sends is damaged", "try again, or tell whoever made the image"),
)  # fmt: skip
DAMAGED = (
    (
        r".",
        "image-damaged",
        "the archive is damaged, or is none of its kind",
        "export it again with `skopeo copy`, `podman save` or `docker save`",
    ),
)


def explained_failure(result: Result, runtime: str, *, archive: bool) -> UserError:
    """The error for a failed pull, or with `archive` for a failed conversion of a local archive."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stderr)
    lines = [line for line in text.splitlines() if "FATAL" in line or "ERROR" in line]
    context = {f"{runtime} says": "\n".join(lines)[-1000:] or result.tail(5)}
    for pattern, code, message, hint in FAILURES[:1] + DAMAGED if archive else FAILURES:
        if re.search(pattern, text, re.IGNORECASE):
            return UserError(code, message, context=context, hint=hint.format(runtime=runtime))
    return UserError(
        "image-pull-failed",
        "the image could not be fetched or converted",
        context=context,
        hint=f"try `{runtime} pull` by hand on this node",
    )
