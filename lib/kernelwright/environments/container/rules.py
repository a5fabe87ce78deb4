"""What the site and the disk allow, before an image is pulled or used."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ... import process
from ...config.policy import check_size, image_allowed
from ...errors import UserError
from ...store.atomic import make_folder
from ..offline import way_out
from ..quota import limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...config.model import SiteConfig
    from ..base import Place
    from .images import Image, ImageStore
    from .reference import Reference
    from .runtimes import Runtime

ROOM = 2.0  # a pull needs at least its download twice: the cached layers and the image
VERIFY_TIMEOUT = 600.0  # seconds; the whole file is read


def check_place(reference: Reference, site: SiteConfig) -> None:
    """Hold a file against the site's patterns by its real path: a link may point anywhere."""
    real = os.path.realpath(reference.file)
    if reference.file and not image_allowed(real, site):
        raise UserError(
            "policy-image",
            f"the image `{real}` is not allowed at {site.site.name}",
            hint=f"allowed: {', '.join(site.containers.allow)}",
        )


def check_room(size: int | None, store: ImageStore, place: Place) -> None:
    """Raise UserError when `size` bytes are more than site, disk or quota allow; None is unknown."""
    if size is None:
        return
    problem = check_size(size, place.site)
    if problem is not None:
        raise UserError(problem.code, problem.message, hint=problem.hint)
    folder = make_folder(store.root, store.mode)
    for left in limits(folder, place.environ):
        if left.bytes is not None and left.bytes < size * ROOM:
            raise UserError(
                "disk-full",
                f"the image needs about {size * ROOM / 1e9:.1f} GB, {left.what} leaves {left.bytes / 1e9:.1f} GB",
                hint="free some space, or see `kernelwright storage`",
            )


def no_network(image: str, site: SiteConfig) -> UserError:
    """This node cannot pull: what the site wants done instead."""
    return UserError(
        "no-network",
        f"this node has no internet, and `{image}` was not pulled before",
        hint=way_out(site, "create container", "how to bring images here"),
    )


def check_signature(
    image: Image, reference: Reference, runtime: Runtime, environ: Mapping[str, str]
) -> None:
    """Raise UserError `image-unsigned` unless the runtime vouches for the signature of a .sif."""
    own_file = reference.form == "file" and os.path.isfile(image.file)
    if not own_file and reference.scheme not in {"oras", "library"}:
        raise UserError(
            "image-unsigned",
            f"this site starts signed images only, and `{reference.text}` cannot carry a signature",
            hint="use a signed .sif file",
        )
    words = runtime.verify(image.file)
    result = process.run(words, timeout=VERIFY_TIMEOUT, env=runtime.environment(environ))
    if not result.ok:
        raise UserError(
            "image-unsigned",
            f"the signature of `{image.file}` cannot be verified",
            context={f"{runtime.name} says": result.tail(5)},
            hint="ask who made the image to sign it, and import the key with `key import`",
        )
