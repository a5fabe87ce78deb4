"""What the site lets people make. Guidance and not a boundary: whoever has a shell can run any program."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from ..errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..model import CondaSpec, ContainerSpec, Recipe, SlurmSettings
    from .model import SiteConfig

ALIAS = "https://conda.anaconda.org"  # where a channel that is a plain name lies, for every conda
DEFAULTS = re.compile(r"https?://repo\.anaconda\.com/pkgs/")
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def check_recipe(recipe: Recipe, site: SiteConfig) -> list[Problem]:
    """Why this site does not let people make `recipe`; empty when it does. Pure; called by every build."""
    found: list[Problem] = []
    if recipe.kind not in site.policy.kinds:
        kinds = ", ".join(site.policy.kinds) or "none"
        found.append(
            _refusal(
                "policy-kind",
                f"{site.site.name} does not let people make {recipe.kind} kernels",
                f"kinds that can be made here: {kinds}",
                site,
            )
        )
    environment = recipe.environment
    if environment.kind == "conda":
        found += _channels(environment, site)  # type: ignore[arg-type] # kind says which it is
    if environment.kind == "container":
        found += _image(environment, site)  # type: ignore[arg-type] # kind says which it is
    if recipe.slurm is not None:
        found += check_slurm(recipe.slurm, site)
    return found


def check_slurm(settings: SlurmSettings, site: SiteConfig) -> list[Problem]:
    """Why this site does not let a Slurm kernel have these settings."""
    if site.slurm.submit == "none":
        return [
            _refusal(
                "policy-slurm",
                f"{site.site.name} does not let kernels submit Slurm jobs",
                "leave the Slurm settings out",
                site,
            )
        ]
    found = []
    limits = site.slurm.limits
    if limits.get("ntasks") and (settings.ntasks or 1) > limits["ntasks"]:
        found.append(
            _refusal(
                "policy-limit",
                f"{settings.ntasks} tasks are more than the {limits['ntasks']} of {site.site.name}",
                f"ask for at most {limits['ntasks']} tasks",
                site,
            )
        )
    longest, asked = minutes(limits.get("time")), minutes(settings.time)
    # 0 and UNLIMITED are no limit for Slurm
    if longest and settings.time and (not asked or asked > longest):
        found.append(
            _refusal(
                "policy-limit",
                f"the walltime {settings.time} is longer than the {limits['time']} of {site.site.name}",
                f"ask for at most {limits['time']}",
                site,
            )
        )
    for name in (
        settings.partition.split(",") if settings.partition and site.slurm.partitions else ()
    ):
        if name in site.slurm.partitions:
            continue
        found.append(
            _refusal(
                "policy-partition",
                f"the partition `{name}` is not for kernels here",
                f"choose one of {', '.join(site.slurm.partitions)}",
                site,
            )
        )
    return found


def check_size(size: int, site: SiteConfig) -> Problem | None:
    """Why an environment or image of `size` bytes is too large here; None when it is not."""
    largest = size_in_bytes(site.policy.max_size)
    if largest is None or size <= largest:
        return None
    return _refusal(
        "policy-size",
        f"{size / (1 << 30):.1f} GB are more than the {site.policy.max_size} that one environment may have here",
        "ask for fewer packages, or ask the site for a central kernel",
        site,
    )


def channel_allowed(channel: str, site: SiteConfig, address: str | None = None) -> bool:
    """Whether people may use a conda channel, given as a name or a URL; `address` is what it stands for."""
    names = [*_spellings(channel, site), *(_spellings(address, site) if address else [])]
    if _matches(names, site.conda.deny_channels):
        return False
    return not site.conda.allow_channels or _matches(names, site.conda.allow_channels)


def image_allowed(image: str, site: SiteConfig) -> bool:
    """Whether people may use an image, given as a path or as docker://, oras:// ..."""
    return not site.containers.allow or _matches(_image_spellings(image), site.containers.allow)


def minutes(time: str | None) -> float | None:
    """The minutes of a Slurm time (sbatch(1), --time); None for none, unreadable or UNLIMITED."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time or "")
    if not match:
        return None
    days, *rest = match.groups()
    numbers = [int(part) for part in rest if part is not None]
    if days is not None:
        numbers += [0] * (3 - len(numbers))
        return int(days) * 1440 + numbers[0] * 60 + numbers[1] + numbers[2] / 60
    if len(numbers) == 3:
        return numbers[0] * 60 + numbers[1] + numbers[2] / 60
    return numbers[0] + (numbers[1] / 60 if len(numbers) == 2 else 0)


def size_in_bytes(text: str | None) -> int | None:
    """The bytes of 20G, 500 MiB, 1.5T; None for none and for what is no size."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s?([KMGT]?)i?B?", text or "", re.IGNORECASE)
    return int(float(match[1]) * UNITS[match[2].lower()]) if match else None


def _channels(spec: CondaSpec, site: SiteConfig) -> Iterator[Problem]:
    named = [*spec.channels, *spec.channels_append]
    named += [
        found[1]
        for d in spec.dependencies
        if (found := re.match(r"\s*([^\s\[]+?)(?:/[a-z0-9-]+)?::", d))
    ]
    for channel in dict.fromkeys(named):
        if not channel_allowed(channel, site):
            allowed = (
                ", ".join(site.conda.allow_channels)
                or f"all but {', '.join(site.conda.deny_channels)}"
            )
            yield _refusal(
                "policy-channel",
                f"the channel `{_without_secret(channel)}` is not allowed at {site.site.name}",
                f"allowed: {allowed}",
                site,
            )


def _image(spec: ContainerSpec, site: SiteConfig) -> Iterator[Problem]:
    if not image_allowed(spec.image, site):
        yield _refusal(
            "policy-image",
            f"the image `{_without_secret(spec.image)}` is not allowed at {site.site.name}",
            f"allowed: {', '.join(site.containers.allow)}",
            site,
        )


def _spellings(channel: str, site: SiteConfig) -> list[str]:
    """A name also as its URL and the reverse, without slash and secret: any of them may be meant."""
    plain = _without_secret(channel).rstrip("/")
    found = [plain, plain + "/"]
    alias = (site.conda.channel_alias or ALIAS).rstrip("/")
    if plain.startswith(f"{alias}/"):
        found += [plain.removeprefix(f"{alias}/")]
    elif DEFAULTS.match(plain):
        found += ["defaults"]
    elif "://" not in plain:
        found += [f"{alias}/{plain}", f"{alias}/{plain}/"]
        found += [plain.split("/label/")[0]] if "/label/" in plain else []
    return found


def _image_spellings(image: str) -> list[str]:
    plain = _without_secret(image)
    return [plain, plain.removeprefix("file://")]


def _matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Shell patterns; a path with `..` matches nothing, it could leave an allowed folder."""
    if any(".." in name.split("/") for name in names):
        return False
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _without_secret(url: str) -> str:
    """A URL without user, password and conda token, as it may stand in a message."""
    return re.sub(r"/t/[^/]+/", "/", re.sub(r"://[^/@]*@", "://", url))


def _refusal(code: str, message: str, hint: str, site: SiteConfig) -> Problem:
    support = f"; questions: {site.site.support}" if site.site.support else ""
    return Problem(code, "error", message, hint + support)
