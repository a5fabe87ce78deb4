"""How a Slurm client is called: the environment, ssh where sbatch is barred, a timeout for each.

Nothing of an outer Slurm job may leak into the kernel's job: its geometry would become ours.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from .. import process
from ..errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT = 40.0  # squeue needs 18 s to fail when slurmctld is down (measured)

_OUTER = (
    "SLURM_", "SLURMD_", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SCANCEL_", "SINFO_", "SACCT_",
    "SCONTROL_", "PMI", "OMPI_",
)  # fmt: skip
_PASSED = frozenset(
    [
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "PATH",
        "LANG",
        "LANGUAGE",
        "TZ",
        "MAIL",
        "MODULEPATH",
        "MODULESHOME",
        "MODULERCFILE",
        "LMOD_CMD",
        "LMOD_DIR",
        "LMOD_PKG",
        "LMOD_ROOT",
        "LMOD_SETTARG_CMD",
        "LMOD_SYSTEM_DEFAULT_MODULES",
        "BASH_ENV",
        "ENV",
        "http_proxy",
        "https_proxy",
        "ftp_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "JPY_SESSION_NAME",
        "KRB5CCNAME",
        "KERNELWRIGHT_HOME",
        "KERNELWRIGHT_RUNTIME",
        "KERNELWRIGHT_SITE_CONFIG",
        "SLURM_CONF",
    ]
)


class Unreachable(Exception):  # noqa: N818 - a state of the world, not a fault of the call
    """Slurm did not answer: a job is in the state that it had before, never "gone"."""


def outer_removed(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what an outer job put there; SLURM_CONF stays."""
    return {k: v for k, v in environ.items() if k == "SLURM_CONF" or not k.startswith(_OUTER)}


def job_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The chosen variables that a kernel's job starts with; launch.sh does the rest.

    sbatch hands on its whole environment, so this is also all that sbatch gets. `--export=LIST`
    would do the same but reads the login profile first, which takes seconds on many sites.
    """
    return {k: v for k, v in environ.items() if k in _PASSED or k.startswith("LC_")}


class Clients:
    """Runs sbatch and its siblings, here or on the site's submit host."""

    def __init__(self, *, environ: Mapping[str, str] = os.environ, submit: str = "local") -> None:
        self.environ = outer_removed(environ)
        self.submit = submit

    def call(
        self, *argv: str, stdin: str | None = None, env: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> process.Result:  # fmt: skip
        """Run one client to its end. Raises Unreachable for a timeout, UserError without a client."""
        command, own = self._where(argv, env)
        try:
            return process.run(command, timeout=timeout, env=own, stdin=stdin)
        except UserError as error:
            if error.code == "command-timed-out":
                raise Unreachable(error.message) from error
            raise UserError(
                "slurm-missing",
                f"`{command[0]}` cannot be run on this node",
                context={"reason": error.message},
                hint="ask your support to set `slurm.submit` to a host that may submit jobs",
            ) from error

    def _where(
        self, argv: Sequence[str], env: Mapping[str, str] | None
    ) -> tuple[tuple[str, ...], Mapping[str, str]]:
        if self.submit == "local":
            return tuple(argv), self.environ if env is None else env
        given = {k: v for k, v in (env or {}).items() if k not in {"PATH", "HOME", "SHELL"}}
        words = ["env", *(f"{k}={v}" for k, v in given.items()), *argv]
        options = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-T")
        return ("ssh", *options, self.submit, shlex.join(words)), self.environ
