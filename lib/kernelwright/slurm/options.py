"""The further options of sbatch in `extra`: how they are written, and which of them are refused.

Each is read into its long form, so that `-xn1` and `--exclude=n1` are one option and nothing
hides behind a bundle such as `-On4`, which sbatch reads as `-O -n 4`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from ..errors import UserError
from ..model import SlurmSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

# short options of sbatch with a value, and without one
_VALUED = {
    "a": "array", "A": "account", "b": "begin", "B": "extra-node-info", "c": "cpus-per-task", "C": "constraint",
    "d": "dependency", "D": "chdir", "e": "error", "F": "nodefile", "G": "gpus", "i": "input", "J": "job-name",
    "L": "licenses", "m": "distribution", "M": "clusters", "n": "ntasks", "N": "nodes", "o": "output",
    "p": "partition", "q": "qos", "S": "core-spec", "t": "time", "w": "nodelist", "x": "exclude",
}  # fmt: skip
_BARE = {
    "h": "help", "H": "hold", "k": "no-kill", "O": "overcommit", "Q": "quiet", "s": "oversubscribe", "u": "usage",
    "v": "verbose", "V": "version", "W": "wait",
}  # fmt: skip
# options that the broker sets itself or that would start something else
_OURS = (
    "array", "chdir", "comment", "dependency", "error", "export", "export-file", "get-user-env", "help", "hold",
    "ignore-pbs", "input", "job-name", "no-requeue", "open-mode", "output", "parsable", "quiet", "requeue", "signal",
    "test-only", "usage", "version", "wait", "wrap",
)  # fmt: skip
# the job would live where our squeue and scancel do not look
_ELSEWHERE = ("clusters", "cluster-constraint")
# options that have a key of their own, on which the site's limits look
_KEYED = {
    f.name.replace("_", "-"): f.name
    for f in fields(SlurmSettings)
    if f.name not in {"extra", "constraint"}
}
MEMORY = ("mem-per-cpu", "mem-per-gpu")  # sbatch takes one of these and `mem`
_WHOLE = ("exclusive", "core-spec", "thread-spec")  # all cores of a node
_TASKS = (
    "ntasks-per-node", "tasks-per-node", "ntasks-per-core", "ntasks-per-socket", "ntasks-per-gpu",
    "ntasks-per-tres",
)  # fmt: skip
# options by which a job gets more than the limit says
_AROUND = {
    "ntasks": (*_TASKS, *_WHOLE),
    "cpus_per_task": ("cpus-per-gpu", "mincpus", "tres-per-task", *_TASKS, *_WHOLE),
    "nodes": ("spread-job",),
    "mem": MEMORY,
}


def name_of(option: str) -> str:
    """The long name without dashes, as in `nodelist` of `--nodelist=n1`; shortened names stay short."""
    return option.removeprefix("--").partition("=")[0]


def long_form(option: str, source: str) -> str:
    """`-wn[1-2]` as `--nodelist=n[1-2]`; a long option stays as it is.

    Raises UserError `slurm-option-refused` for bundles and unknown letters; `source` names the file or option.
    """
    if option.startswith("--"):
        return option
    letter, value = option[1:2], option[2:]
    if letter in _VALUED:
        return f"--{_VALUED[letter]}={value}" if value else f"--{_VALUED[letter]}"
    if letter in _BARE and not value:
        return f"--{_BARE[letter]}"
    if letter in _BARE:
        raise _refused(option, source, "write each short option as one of its own, without a value")
    raise _refused(option, source, "write the long form, as in `extra=--nodelist=n1`")


def read(options: Iterable[str], source: str) -> tuple[str, ...]:
    """The options in their long form.

    Raises UserError `slurm-option-refused` for those that are ours or that have a key of their own.
    """
    found = []
    for option in options:
        long = long_form(option, source)
        name = name_of(long)
        if key := _means(name, _KEYED):
            raise _refused(option, source, f"use `{_KEYED[key]}=...` instead")
        if _means(name, _ELSEWHERE):
            raise _refused(
                option, source, "the job of a kernel runs in the cluster of its notebook"
            )
        if _means(name, _OURS):
            raise _refused(option, source, "the kernel's job needs it for itself")
        found.append(long)
    return tuple(found)


def around(options: Iterable[str], limit: str) -> str | None:
    """The first option by which a job would get more than a limit on `limit` says; None without one."""
    named = _AROUND.get(limit, ())
    return next((option for option in options if _means(name_of(option), named)), None)


def _means(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that sbatch may read in `name`: it takes shortened names such as `--outp`."""
    return next((one for one in names if one.startswith(name)), None)


def _refused(option: str, source: str, hint: str) -> UserError:
    return UserError(
        "slurm-option-refused",
        f"`{option[:80]}` cannot be given as an extra Slurm option",
        context={"in": source},
        hint=hint,
    )
