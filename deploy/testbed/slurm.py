"""Slurm at a centre of the testbed: its configuration, its daemons, and when it is ready.

Two site policies: `alpha` lets people see each other's jobs and starts lost jobs again; a centre with renamed
commands (`beta`) refuses what can never run, shows people only their own jobs, and never starts a job again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping

from perijove.testbed.node import Node, uid_of_host
from perijove.testbed.plan import CentrePlan
from perijove.testbed.state import State, wait_for, write

CONTROLLER_PID = "/run/slurm/slurmctld.pid"
_CONFIG = """ClusterName={name}
SlurmctldHost={controller}
SlurmUser=slurm
AuthType=auth/munge
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
ReturnToService=2
SlurmctldPidFile={pid}
SlurmdPidFile=/run/slurm/slurmd.pid
SlurmdSpoolDir=/var/spool/slurmd
StateSaveLocation=/var/spool/slurmctld
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1024
SchedulerParameters=batch_sched_delay=0,bf_interval=3
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5
JobAcctGatherParams=OverMemoryKill
JobCompType=jobcomp/filetxt
JobCompLoc=/var/lib/slurm/jobcomp.txt
SlurmctldTimeout=30
SlurmdTimeout=15
KillWait=5
MinJobAge=300
MailProg=/bin/true
GresTypes=gpu
JobRequeue={requeue}
{policy}
"""
_GPUS = ("/dev/null", "/dev/zero")
_STRICT = "EnforcePartLimits=ALL\nPrivateData=jobs"


def _limit(minutes: int) -> str:
    return f"{minutes // 1440}-{minutes % 1440 // 60:02}:{minutes % 60:02}:00"


def config(plan: CentrePlan) -> str:
    """slurm.conf of a centre."""
    strict = bool(plan.commands)
    lines = [
        _CONFIG.format(
            name=plan.name,
            controller=plan.host("ctl"),
            pid=CONTROLLER_PID,
            requeue=0 if strict else 1,
            policy=_STRICT if strict else "EnforcePartLimits=NO",
        )
    ]
    for role in ("c1", "c2"):
        gpus = max((part.gpus for part in plan.partitions if role in part.nodes and part.gpus), default=0)
        gres = f" Gres=gpu:{gpus}" if gpus else ""
        lines.append(f"NodeName={plan.host(role)} CPUs={plan.cores} RealMemory={plan.memory}{gres} State=UNKNOWN")
    for number, part in enumerate(plan.partitions):
        nodes = ",".join(plan.host(role) for role in part.nodes)
        default = "YES" if number == 0 else "NO"
        lines.append(f"PartitionName={part.name} Nodes={nodes} Default={default} MaxTime={_limit(part.time)} State=UP")
    return "\n".join(lines) + "\n"


def gres(plan: CentrePlan) -> str:
    """gres.conf: make-believe GPUs, which are device files that every machine has (a mere count is not believed)."""
    nodes = [(role, part.gpus) for part in plan.partitions if part.gpus for role in part.nodes]
    lines = [f"NodeName={plan.host(role)} Name=gpu File={file}\n" for role, count in nodes for file in _GPUS[:count]]
    return "".join(lines)


def write_files(state: State, plan: CentrePlan) -> None:
    """The configuration, munge's key, and folders that belong to Slurm's account."""
    slurm, munge = uid_of_host("slurm"), uid_of_host("munge")
    work = state.work(plan.name)
    write(work / "etc/slurm/slurm.conf", config(plan), 0o644)
    write(work / "etc/slurm/gres.conf", gres(plan), 0o644)
    (work / "etc/slurm").chmod(0o755)
    write(work / "etc/munge/munge.key", secrets.token_hex(64), 0o400)
    (work / "etc/munge").chmod(0o700)
    for path in (work / "etc/munge", work / "etc/munge/munge.key"):
        os.chown(path, munge, munge)
    # How jobs ended: squeue and scontrol tell people for MinJobAge seconds, this file tells root (`sacct -c`) for ever.
    # There is no slurmdbd, as at many small sites: `sacct` fails for ordinary people.
    (work / "slurm").mkdir(mode=0o755)
    write(work / "slurm/jobcomp.txt", "", 0o644)
    for path in (work / "slurm", work / "slurm/jobcomp.txt"):
        os.chown(path, slurm, slurm)


def run_owners() -> dict[str, int]:
    """Folders in /run and their owners."""
    return {"munge": uid_of_host("munge"), "slurm": uid_of_host("slurm")}


def start_daemons(node: Node) -> None:
    """The daemons of one node."""
    slurm, munge = uid_of_host("slurm"), uid_of_host("munge")
    for name, owner in (("log/slurm", slurm), ("log/munge", munge), ("spool/slurmctld", slurm), ("spool/slurmd", 0)):
        path = node.directory / name
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        os.chown(path, owner, owner)
    identity = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
    files = ["--seed-file=/run/munge/seed", "--log-file=/var/log/munge/munged.log", "--num-threads=1"]
    node.daemon([*identity, "/usr/sbin/munged", *files])
    if node.role == "ctl":
        start_controller(node)
    elif node.role != "login":
        node.daemon(["/usr/sbin/slurmd"])


def start_controller(node: Node) -> None:
    """slurmctld, which goes on where it was."""
    node.daemon(["/usr/sbin/slurmctld"])


def command(plan: CentrePlan, name: str) -> str:
    """What the centre calls a command of Slurm."""
    return plan.commands.get(name, name)


def node_states(nodes: Mapping[str, Node]) -> dict[str, str]:
    """What Slurm says of each compute node, e.g. "idle", "down*"; nothing if it does not answer."""
    plan = nodes["ctl"].plan
    done = nodes["ctl"].exec([command(plan, "sinfo"), "-h", "-N", "-o", "%N %T"], timeout=30)
    return dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)


def wait_ready(nodes: Mapping[str, Node]) -> None:
    """Wait until all compute nodes can take jobs."""

    def ready() -> bool:
        states = node_states(nodes)
        return len(states) == 2 and all(state in ("idle", "mixed", "allocated") for state in states.values())

    wait_for(ready, f"Slurm of {nodes['ctl'].plan.name} has its nodes", 40, 0.1)
