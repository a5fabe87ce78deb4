"""The site's limits and partitions: upper bounds of what is submitted, also where nothing was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import UserError, did_you_mean
from . import options, quantities

if TYPE_CHECKING:
    from ..config.model import SlurmConfig
    from ..model import SlurmSettings
    from .scheduler import Job

_FEWEST = "--use-min-nodes"
_READ = {
    "ntasks": quantities.most,
    "nodes": quantities.most,
    "cpus_per_task": quantities.most,
    "time": quantities.seconds,
    "mem": quantities.mebibytes,
}


def within_partitions(defaults: SlurmSettings, site: SlurmConfig) -> SlurmSettings:
    """The site's defaults with a partition that kernels may use: Slurm's own default may be none of them."""
    allowed = site.partitions
    named = defaults.partition.split(",") if defaults.partition else []
    if not allowed or (named and all(name in allowed for name in named)):
        return defaults
    return replace(defaults, partition=allowed[0])


def bounded(settings: SlurmSettings, site: SlurmConfig) -> SlurmSettings:
    """The settings with a value wherever Slurm's own choice could be more than the site's limit.

    Not so the time: a partition may allow less than the site, and the job would never start. It is
    looked at once the job runs (`too_long`).
    """
    found = settings
    if found.mem is None and _bound(site, "mem") is not None:
        found = replace(found, mem=str(site.limits["mem"]))
    if found.ntasks is None and _bound(site, "ntasks") is not None:
        # Slurm's own choice is a task a node, but more where GPUs or a list of nodes count them
        found = replace(found, ntasks=int(quantities.most(str(found.nodes or 1)) or 1))
    nodes = _bound(site, "nodes")
    if found.nodes is None and nodes is not None:
        found = replace(found, nodes=f"1-{int(nodes)}")
        # of a range Slurm would take as many as it can
        if _FEWEST not in found.extra:
            found = replace(found, extra=(*found.extra, _FEWEST))
    return found


def too_long(job: Job, site: SlurmConfig) -> float | None:
    """The site's longest walltime in seconds, where a running job has more; else None.

    A kernel that names no time gets the default of its partition.
    """
    bound = _bound(site, "time")
    if bound is None or job.state != "RUNNING" or job.starts is None:
        return None
    has = quantities.UNLIMITED if job.ends is None else job.ends - job.starts
    return bound if has > bound + 60 else None


def check(settings: SlurmSettings, site: SlurmConfig) -> None:
    """Compare with the site's limits and partitions; UserError `slurm-limit` names the first excess."""
    if site.partitions and settings.partition:
        for name in settings.partition.split(","):
            if name not in site.partitions:
                near = did_you_mean(name, site.partitions)
                raise UserError(
                    "slurm-limit",
                    f"kernels may not run in partition `{name}` here",
                    hint=(f"{near} " if near else "") + f"allowed are {', '.join(site.partitions)}",
                )
    for key, read in _READ.items():
        bound = _bound(site, key)
        if bound is None:
            continue
        limit = f"{key}={site.limits[key]}"
        if option := options.around(settings.extra, key):
            raise UserError(
                "slurm-limit",
                f"`{option[:80]}` could give more than kernels may have here",
                context={"limit": limit},
                hint=f"leave it out and use `{key}=...`, at most `{limit}`",
            )
        value = getattr(settings, key)
        # what cannot be read may be more: Slurm knows forms that we do not
        asked = read(str(value)) if value is not None else 0.0
        if asked is None or asked > bound:
            raise UserError(
                "slurm-limit",
                f"`{key}={value}` is more than kernels may have here",
                context={"limit": limit},
                hint=f"choose `{limit}` or less"
                + (" (0 is no limit)" if asked == quantities.UNLIMITED else ""),
            )


def _bound(site: SlurmConfig, key: str) -> float | None:
    """The site's limit as a number (seconds, MiB or a count); None where there is none."""
    value = site.limits.get(key)
    bound = _READ[key](str(value)) if value is not None else None
    return None if bound == quantities.UNLIMITED else bound
