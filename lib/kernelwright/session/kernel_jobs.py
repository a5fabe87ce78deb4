"""What the form says of the jobs of Slurm kernels: for this session only, without a build.

Partition, hours, cores, memory, quality of service, reservation and more options of the form are the session's own
job's: a reservation or a debug queue that both jobs had to share would often hold one of them for ever. The
kernel's job has one field of its own, in the words of `kernelwright create --slurm`. The account that a person
typed pays for both, where the kernel names none.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from ..errors import UserError
from ..slurm import limits, settings
from .request import bad

if TYPE_CHECKING:
    from ..config.model import SiteConfig
    from ..model import SlurmSettings
    from .request import Request

FIELD = "kw_job"
ACCOUNT = "bc_account"  # typed; the one of auto_accounts is only the first of a list


def variables(asked: Request, site: SiteConfig) -> dict[str, str]:
    """The variables of the Jupyter server from which the broker takes them. Raises `bad-answer`, `slurm-limit`."""
    if site.slurm.submit == "none":
        return {}
    found = {}
    if text := asked.line(FIELD):
        found[settings.OVERRIDES] = _json(_read(text, site))
    if account := asked.line(ACCOUNT):
        found[settings.DEFAULTS] = _json(_paying(account))
    return found


def _read(text: str, site: SiteConfig) -> SlurmSettings:
    """The settings of the field: pieces are parted by commas or blanks."""
    try:
        chosen = settings.parse_settings(re.sub(r"[\s,]+", ",", text))
    except UserError as error:
        raise bad(FIELD, error.message, error.hint) from error
    if chosen.extra and not site.form.slurm_options:
        raise bad(FIELD, "other Slurm options are not offered here", "leave out `extra=...`")
    limits.check(chosen, site.slurm)
    return chosen


def _paying(account: str) -> SlurmSettings:
    try:
        return settings.from_mapping({"account": account}, source="the form")
    except UserError as error:
        raise bad(ACCOUNT, error.message) from error


def _json(chosen: SlurmSettings) -> str:
    return json.dumps(settings.to_mapping(chosen), sort_keys=True)
