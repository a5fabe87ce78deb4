"""What this site wants done where a node cannot fetch what a build needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.model import SiteConfig


def way_out(site: SiteConfig, create: str, otherwise: str) -> str:
    """The site's build partition, or `create` in a shell where there is one, else `otherwise`."""
    ways = []
    if site.build.partition:
        ways.append(
            "tick `Make it, do not start a notebook`: "
            f"it then runs in the partition {site.build.partition}"
        )
    if site.command:
        ways.append(f"run `{site.command} {create} ...` in a shell on a node that has network")
    return "; or ".join(ways) or f"ask {site.site.support or 'the site'} {otherwise}"
