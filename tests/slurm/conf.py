"""The slurm.conf of the throw-away cluster."""

from __future__ import annotations

from pathlib import Path

CONF = """\
ClusterName=mini
SlurmctldHost={host}({address})
SlurmctldPort={ctld_port}
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={dir}/munge/sock,cred_expire=60
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SwitchType=switch/none
ReturnToService=2
StateSaveLocation={dir}/ctld
SlurmctldPidFile={dir}/ctld/slurmctld.pid
SlurmctldLogFile={dir}/ctld/slurmctld.log
SlurmdSpoolDir={dir}/run/%n
SlurmdPidFile={dir}/run/%n.pid
SlurmdLogFile={dir}/log/%n.log
SlurmctldDebug=info
SlurmdDebug=info
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
MinJobAge=300
KillWait=2
WaitTime=0
InactiveLimit=0
SlurmctldTimeout=60
SlurmdTimeout=60
MessageTimeout=30
SlurmdParameters=config_overrides
DefMemPerCPU=64
"""


def text(
    *,
    folder: Path,
    host: str,
    controller: tuple[str, int],
    nodes: dict[str, int],
    net: str | None,
) -> str:
    """Nodes (name to port) have addresses of their own in `net`, else they are this host."""
    address, port = controller
    made = CONF.format(host=host, address=address, dir=folder, ctld_port=port)
    for number, (node, node_port) in enumerate(nodes.items(), 11):
        where = f"NodeAddr={net}.{number}" if net else f"NodeHostname={host} NodeAddr=127.0.0.1"
        made += (
            f"NodeName={node} {where} Port={node_port} CPUs=4 Sockets=1 CoresPerSocket=4"
            " ThreadsPerCore=1 RealMemory=8192 State=UNKNOWN\n"
        )
    names, times = ",".join(list(nodes)[:2]), "MaxTime=60 DefaultTime=10"
    made += f"PartitionName=debug Nodes={names} Default=YES {times} State=UP\n"
    made += f"PartitionName=long Nodes={names} MaxTime=INFINITE DefaultTime=10 State=UP\n"
    made += f"PartitionName=closed Nodes={names} {times} State=DOWN\n"
    if len(nodes) > 2:
        made += f"PartitionName=apart Nodes={list(nodes)[2]} {times} State=UP\n"
    return made


def with_settings(made: str, settings: str) -> str:
    """The same with other settings; lines of partitions and nodes are added."""
    lines = made.splitlines()
    for line in settings.splitlines():
        name = line.split("=", 1)[0]
        if name not in {"PartitionName", "NodeName"}:
            lines = [one for one in lines if not one.startswith(f"{name}=")]
        lines.append(line)
    return "\n".join(lines) + "\n"
