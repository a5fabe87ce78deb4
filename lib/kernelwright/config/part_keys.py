"""The keys of the small mappings that stand within sections: binds, allocations, limits, partitions."""

from __future__ import annotations

from typing import Any

from ..recipe.parse import parse_bind
from .table import choice, flag, integer, text

KINDS = ("conda", "venv", "container", "script", "prefix")
BIND = {
    "source": text("folder of the node", required=True),
    "target": text("folder in the container; null: the same"),
    "mode": choice("ro or rw", "rw", "ro", "rw"),
    "required": flag("false: left out where the node has no such folder", True),
}
ALLOCATION = {
    "partition": text("partition", rule="slurm-word"),
    "ntasks": integer("tasks (MPI ranks)", low=1),
    "cpus_per_task": integer("cores a task", low=1),
    "nodes": integer("nodes", low=1),
    "time": text("walltime", rule="time"),
    "gres": text("generic resources such as gpu:1", rule="slurm-word"),
    "account": text("account", rule="slurm-word"),
    "qos": text("quality of service", rule="slurm-word"),
    "reservation": text("reservation", rule="slurm-word"),
    "constraint": text("node features", rule="slurm-features"),
    "mem": text("memory a node, such as 4G", rule="slurm-word"),
}
LIMITS = {
    "ntasks": integer("most tasks of one Slurm kernel", low=1),
    "nodes": integer("most nodes of one Slurm kernel", low=1),
    "cpus_per_task": integer("most cores a task", low=1),
    "time": text("longest walltime of a Slurm kernel", rule="time"),
    "mem": text(
        "most memory a node, such as 8G, and that of a kernel that asks for none", rule="memory"
    ),
    "idle": integer(
        "minutes without a running cell after which a kernel ends, Slurm or not; its notebook is warned",
        low=1,
    ),
}
PARTITION = {
    "name": text("name as Slurm knows it", required=True, rule="slurm-word"),
    "label": text("what people read; null: the name"),
    "gpus": integer("most GPUs that one session may ask for", 0),
    "max_hours": integer("longest session there; null: the form's", low=1),
}


def bind_of(short: str) -> dict[str, Any]:
    """The mapping that the short form of a bind stands for; ValueError for a wrong one."""
    bind = parse_bind(short)
    return {
        "source": bind.source,
        "target": bind.target,
        "mode": bind.mode,
        "required": bind.required,
    }
