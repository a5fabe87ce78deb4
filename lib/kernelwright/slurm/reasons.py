"""Slurm's states and reasons in plain words, with what to do about them.

Source of the names: squeue(1), JOB REASON CODES and JOB STATE CODES; the long sentences are what
squeue really prints instead of a code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OVER = frozenset(
    [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "LAUNCH_FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "RECONFIG_FAIL",
        "REVOKED",
        "TIMEOUT",
    ]
)
ALIVE = frozenset(["RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"])

_WAITING = {
    "": "waiting for the scheduler to look at it",
    "None": "waiting for the scheduler to look at it",
    "Priority": "other jobs go first",
    "Resources": "waiting for resources to become free",
    "BeginTime": "it may not begin yet",
    "Prolog": "the node is being prepared",
    "Dependency": "it waits for another job",
    "Licenses": "waiting for a licence",
    "PartitionDown": "the partition is closed at the moment",
    "PartitionInactive": "the partition is closed at the moment",
    "NodeDown": "a node that it needs is down",
    "JobHeldUser": "the job is held; `scontrol release` lets it go on",
    "JobHeldAdmin": "the job is held by an administrator",
    "Reservation": "waiting for its reservation to begin",
    "ReqNodeNotAvail": "a node that it needs is not available, perhaps because of maintenance",
    "MaxCpuPerAccount": "your account has reached its number of cores",
    "AssocGrpCpuLimit": "your account has reached its number of cores",
    "AssocGrpBillingMinutes": "your account has used up its hours",
    "AssocGrpCPUMinutesLimit": "your account has used up its hours",
    "AssocMaxJobsLimit": "you have reached your number of running jobs",
    "QOSMaxJobsPerUserLimit": "you have reached your number of running jobs",
    "QOSMaxCpuPerUserLimit": "you have reached your number of cores",
    "QOSMaxGRESPerUser": "you have reached your number of GPUs",
    "QOSGrpCpuLimit": "this quality of service has reached its number of cores",
    "QOSGrpGRES": "this quality of service has reached its number of GPUs",
    "RequeueHold": "the job is held after it was requeued",
    "launch failed requeued held": "the job could not be launched and is held",
}
_SENTENCES = {
    "Nodes required for job are DOWN, DRAINED or reserved": (
        "the nodes that it needs are down, drained or reserved, perhaps for maintenance"
    ),
    "Reserved for maintenance": (
        "it is longer than the time until maintenance; choose a shorter time limit"
    ),
    "ReqNodeNotAvail": "a node that it needs is not available, perhaps because of maintenance",
}
_NEVER = {
    "PartitionTimeLimit": (
        "its time limit is longer than the partition allows",
        "a shorter `time`",
    ),
    "PartitionNodeLimit": ("it asks for more nodes than the partition allows", "fewer `nodes`"),
    "PartitionConfig": ("the partition does not allow what it asks for", "another `partition`"),
    "BadConstraints": ("no node has what it asks for", "another `constraint`, `mem` or `gres`"),
    "InvalidAccount": ("its account is not valid", "another `account`"),
    "InvalidQOS": ("its quality of service is not valid", "another `qos`"),
    "AccountNotAllowed": ("its account may not use this partition", "another `account`"),
    "QOSNotAllowed": ("its quality of service may not use this partition", "another `qos`"),
    "QOSMaxWallDurationPerJobLimit": ("its time limit is longer than allowed", "a shorter `time`"),
    "AssocMaxWallDurationPerJobLimit": (
        "its time limit is longer than allowed",
        "a shorter `time`",
    ),
    "QOSMaxCpuPerJobLimit": ("it asks for more cores than allowed", "fewer `ntasks`"),
    "QOSMaxMemoryPerJob": ("it asks for more memory than allowed", "less `mem`"),
    "QOSMinGRES": ("this quality of service is for jobs with GPUs", "another `qos`"),
    "ReservationDeleted": ("its reservation is gone", "another `reservation`"),
    "DependencyNeverSatisfied": ("the job that it waits for has failed", "no dependency"),
}


def why_waiting(reason: str) -> str:
    """The reason of a pending job for people: `Resources` is "waiting for resources ..."."""
    if reason in _NEVER:
        cause, remedy = _NEVER[reason]
        return f"it will not start: {cause}; choose {remedy} and restart the kernel"
    if reason in _WAITING:
        return _WAITING[reason]
    for beginning, text in _SENTENCES.items():
        if reason.startswith(beginning):
            return text
    if reason.startswith("QOS"):
        return f"a limit of its quality of service is reached ({reason[:60]})"
    if reason.startswith(("Assoc", "MaxSubmit")):
        return f"a limit of your account is reached ({reason[:60]})"
    return f"Slurm says: {reason[:80]}"


def starts_never(reason: str) -> bool:
    """Whether Slurm accepted the job but will not start it before something is changed."""
    return reason in _NEVER


@dataclass(frozen=True)
class End:
    """How a job ended, in words: what happened, and what the person can do."""

    state: str
    cause: str
    remedy: str


_RESTART = "Kernel > Restart submits a new job"
_ENDS = {
    "TIMEOUT": (
        "it reached its time limit",
        f"{_RESTART}; ask for a longer `time` with `kernelwright edit`",
    ),
    "OUT_OF_MEMORY": (
        "it used more memory than it had asked for",
        f"{_RESTART}; ask for more `mem` with `kernelwright edit`",
    ),
    "CANCELLED": ("it was cancelled", _RESTART),
    "PREEMPTED": ("a job with a higher priority took its place", _RESTART),
    "NODE_FAIL": ("its node failed", f"{_RESTART}, on another node"),
    "BOOT_FAIL": ("its node did not boot", f"{_RESTART}, on another node"),
    "DEADLINE": ("it could not end before its deadline", _RESTART),
    "FAILED": ("it failed", f"the log below says more; {_RESTART}"),
    "COMPLETED": ("it ended", _RESTART),
    "COMPLETING": ("Slurm has ended it, and its node still tidies up", _RESTART),
    "REQUEUED": ("it was put back into the queue, and its kernel is gone", _RESTART),
    "GONE": ("Slurm does not know it any more", _RESTART),
}
# a job that Slurm kills for its memory by its own polling is FAILED like any other; the log says why
_MEMORY = re.compile(
    r"^slurmstepd\S*: error: .*exceeded (?:job )?memory limit", re.IGNORECASE | re.MULTILINE
)
CANNOT_DIAL = 75  # the agent's exit status when it cannot reach the broker (EX_TEMPFAIL)
CANNOT_START = 76  # the agent's exit status when the kernel ends again and again before it answers
LEASE_OVER = 77  # the agent's exit status when the broker has been silent for longer than the lease
IDLE_OVER = (
    78  # the agent's exit status when it was told that the kernel has been idle for too long
)
_EXITS = {
    CANNOT_DIAL: (
        "the node cannot reach the notebook",
        "tell your support: the ports between nodes are closed, or the address is the wrong one",
    ),
    CANNOT_START: (
        "the kernel ended each time before it answered",
        "the log below says why; mend it, then Kernel > Restart",
    ),
    LEASE_OVER: ("the node lost contact with the notebook for too long", _RESTART),
    IDLE_OVER: ("no cell had run for a long time", _RESTART),
}


def why_ended(state: str, exit_code: str = "0:0", log: str = "") -> End:
    """The end of a job for people, from JobState and ExitCode (`status:signal`) of scontrol, and its log."""
    status, _, signal = exit_code.partition(":")
    if state == "FAILED" and signal == "9" and _MEMORY.search(log):
        return End(state, *_ENDS["OUT_OF_MEMORY"])
    if state == "FAILED" and status.isdigit() and int(status) in _EXITS:
        return End(state, *_EXITS[int(status)])
    cause, remedy = _ENDS.get(state, (f"its state is {state}", _RESTART))
    if state == "FAILED" and signal.isdigit() and int(signal):
        cause = f"its first process was killed by signal {signal}"
    return End(state, cause, remedy)


def duration(seconds: float) -> str:
    """A time span for people: `45 s`, `3 min`, `2 h 05 min`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
