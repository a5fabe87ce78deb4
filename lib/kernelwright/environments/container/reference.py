"""What a person may write as an image, read once: `docker://...`, an archive, a .sif, a sandbox folder.

Nothing here touches the network. A reference never becomes shell text, and none can begin with a dash.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ...errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

Form = Literal["registry", "archive", "file"]

REGISTRIES = ("docker", "oras", "library")
ARCHIVES = ("oci-archive", "docker-archive")
HUB = "docker.io"
HINT = "write `docker://NAME:TAG`, or the path of a .sif file or a sandbox folder"

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"  # the distribution specification's path component
_NAME = re.compile(
    r"(?:(?P<host>[A-Za-z0-9.-]+(?::\d{1,5})?|\[[0-9a-f:]+\](?::\d{1,5})?)/)?"
    rf"(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Reference:
    """One image: `text` is what is recorded and matched against the site's rules.

    `form` says how it is had: from a registry, converted from an archive, or used where it lies.
    `host`, `path`, `tag` and `digest` belong to registries; `file` is the absolute path of the others.
    """

    text: str
    form: Form
    scheme: str = ""
    host: str = ""
    path: str = ""
    tag: str = ""
    digest: str | None = None
    file: str = ""

    @property
    def insecure(self) -> bool:
        """Whether the registry is this very node, where plain HTTP is usual (docker's own rule)."""
        name = self.host.rpartition(":")[0] if re.search(r":\d+$", self.host) else self.host
        try:
            return ipaddress.ip_address(name.strip("[]")).is_loopback
        except ValueError:
            return name == "localhost"

    def pinned(self, digest: str | None) -> str:
        """The address to pull, by digest where it is known, so that what was looked up is what comes."""
        if self.form != "registry" or self.scheme != "docker" or digest is None:
            return (
                f"{self.scheme}://{self.host}/{self.path}:{self.tag}"
                if self.scheme == "docker" and not self.digest
                else self.text
            )
        return f"docker://{self.host}/{self.path}@{digest}"


def parse(image: str, home: Path) -> Reference:
    """Read what stands under `image` in a recipe; raises UserError `image-not-understood`."""
    if not image.strip() or image != image.strip() or not image.isprintable():
        raise _unclear(
            image, "it is empty or holds blanks around it, a newline or a control character"
        )
    if image.startswith("-"):
        raise _unclear(image, "it begins with a dash, which the runtime would take for an option")
    scheme, mark, rest = image.partition("://")
    if mark and scheme in REGISTRIES:
        return _from_registry(image, scheme, rest)
    scheme, mark, rest = image.partition(":")
    if mark and scheme in ARCHIVES:
        return _from_archive(image, scheme, rest.removeprefix("//"), home)
    if "://" in image:
        raise _unclear(
            image, f"`{image.partition('://')[0]}://` is not an address that kernels are made from"
        )
    return _from_file(image, home)


def _from_registry(image: str, scheme: str, rest: str) -> Reference:
    found = _NAME.fullmatch(rest)
    if "@" in rest.partition("@sha256:")[0]:
        raise _unclear(
            "(not shown)",
            "it holds a user name or password; use the runtime's own `registry login`",
        )
    if found is None:
        raise _unclear(
            image, "the name, tag or digest of the image is not one that registries know"
        )
    host, path = found["host"] or "", found["path"]
    if scheme != "docker":
        return Reference(image, "registry", scheme, host, path, found["tag"] or "", found["digest"])
    if host and "." not in host and ":" not in host and host != "localhost":
        host, path = "", f"{host}/{path}"  # docker's rule: `org/name` is a path on the hub
    host = host or HUB
    if host == HUB and "/" not in path:
        path = f"library/{path}"
    tag = found["tag"] or ("" if found["digest"] else "latest")
    text = (
        f"docker://{host}/{path}"
        + (f":{tag}" if tag else "")
        + (f"@{found['digest']}" if found["digest"] else "")
    )
    return Reference(text, "registry", scheme, host, path, tag, found["digest"])


def _from_archive(image: str, scheme: str, rest: str, home: Path) -> Reference:
    path, _, tag = rest.partition(":")
    file = _absolute(path, home)
    if not os.path.isfile(file):
        raise _missing(file)
    if tag and not re.fullmatch(r"[A-Za-z0-9_./-]{1,128}", tag):
        raise _unclear(image, "the name after the archive's path is not one that archives hold")
    return Reference(
        f"{scheme}:{file}" + (f":{tag}" if tag else ""), "archive", scheme, tag=tag, file=file
    )


def _from_file(image: str, home: Path) -> Reference:
    file = _absolute(image, home)
    if not os.path.exists(file):
        if (
            not image.startswith(("/", "~", "."))
            and _NAME.fullmatch(image)
            and not image.endswith((".sif", ".img"))
        ):
            raise UserError(
                "image-not-found",
                f"there is no file `{image}` here",
                hint=f"for an image of a registry write `docker://{image}`",
            )
        raise _missing(file)
    return Reference(file, "file", file=file)


def _absolute(path: str, home: Path) -> str:
    if path == "~" or path.startswith("~/"):
        path = str(home) + path[1:]
    return os.path.abspath(path)


def _missing(file: str) -> UserError:
    """Name the nearest file that does exist: most of these are typing mistakes."""
    folder = os.path.dirname(file)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    try:
        names = [entry.name for entry in os.scandir(folder)]
    except OSError:
        names = []
    wanted = os.path.relpath(file, folder).split(os.sep)[0]
    near = difflib.get_close_matches(wanted, names, n=1)
    return UserError(
        "image-not-found",
        f"there is no image `{file}`",
        context={"exists up to": folder},
        hint=f"did you mean `{os.path.join(folder, near[0])}`?"
        if near
        else "check the path; it must be visible on this node",
    )


def _unclear(image: str, why: str) -> UserError:
    return UserError("image-not-understood", f"`{image[:200]!s}` is not an image: {why}", hint=HINT)
