"""Grid Engine 8.1.9 at a centre of the testbed: a fresh cell, its daemons, queues, and when it is ready.

Times are short: a job starts within about two seconds, a lost node is noticed within half a minute.
Memory is a consumable per slot, `memory`, as sites with a memory limit define one (qsub -l memory=2G).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from perijove.testbed.node import Node, uid_of_host
from perijove.testbed.plan import CentrePlan
from perijove.testbed.state import State, TestbedError, wait_for, write

CONTROLLER_PID = "/var/spool/gridengine/qmaster/qmaster.pid"
_ROOT = "/var/lib/gridengine"
_ENV = ("env", f"SGE_ROOT={_ROOT}", "SGE_CELL=default")
_BOOTSTRAP = """admin_user              sgeadmin
default_domain          none
ignore_fqdn             false
spooling_method         berkeleydb
spooling_lib            libspoolb
spooling_params         /var/spool/gridengine/spooldb
binary_path             /usr/sbin
qmaster_spool_dir       /var/spool/gridengine/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
"""
_EXEC_HOST = """hostname {host}
load_scaling NONE
complex_values slots={cores},memory={memory}M
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""
_PE = """pe_name smp
slots 9999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""
_GLOBAL = {
    "load_report_time": "00:00:05",
    "max_unheard": "00:00:20",
    "mailer": "/bin/true",
    "reporting_params": "accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 "
    "joblog=false sharelog=00:00:00",
}
_SCHEDULER = {"schedule_interval": "0:0:2", "flush_submit_sec": "1", "flush_finish_sec": "1"}


def write_files(state: State, plan: CentrePlan) -> None:
    """A fresh cell, shared by the nodes of the centre."""
    admin = uid_of_host("sgeadmin")
    root = state.work(plan.name) / "gridengine"
    shutil.copytree(_ROOT, root, symlinks=True, ignore=shutil.ignore_patterns("default"))
    common = root / "default/common"
    common.mkdir(parents=True)
    write(common / "bootstrap", _BOOTSTRAP, 0o644)
    write(common / "act_qmaster", plan.host("ctl") + "\n", 0o644)
    for path in (root, common.parent, common, *common.iterdir()):
        os.chown(path, admin, admin)
        if path.is_dir():
            path.chmod(0o755)


def run_owners() -> dict[str, int]:
    """Folders in /run and their owners."""
    return {"gridengine": uid_of_host("sgeadmin")}


def start_daemons(node: Node) -> None:
    """The daemons of one node; execution daemons come with `configure`, once the controller knows their hosts."""
    admin = uid_of_host("sgeadmin")
    for name in ("", "/qmaster", "/qmaster/job_scripts", "/spooldb", "/execd"):
        path = Path(f"{node.directory}/spool/gridengine{name}")
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, admin, admin)
    if node.role == "ctl":
        if not (node.directory / "spool/gridengine/spooldb/sge").exists():
            script = "/usr/share/gridengine/scripts/init_cluster"
            identity = ["setpriv", "--reuid=sgeadmin", "--regid=sgeadmin", "--clear-groups"]
            node.run([*identity, script, _ROOT, "default", "/var/spool/gridengine/spooldb", "sgeadmin"])
        start_controller(node)
    elif node.role != "login":
        node.daemon([*_ENV, "/usr/sbin/sge_execd"])


def start_controller(node: Node) -> None:
    """sge_qmaster, which goes on where it was."""
    node.daemon([*_ENV, "/usr/sbin/sge_qmaster"])


def _changed(text: str, values: Mapping[str, str]) -> str:
    """A configuration as qconf shows it, with some values replaced (a value may go on after a backslash)."""
    text = re.sub(r"\\\n\s*", "", text)
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{re.escape(key)}\s.*$", f"{key} {value}", text)
        if count != 1:
            raise TestbedError(f"Grid Engine has no setting {key!r}")
    return text


def configure(controller: Node) -> None:
    """Hosts, the parallel environment, queues and fast scheduling, in a fresh cell."""
    plan = controller.plan
    wait_for(lambda: controller.exec(["qconf", "-sconf"]).returncode == 0, "qmaster answers", 20, 0.1)
    controller.run(["qconf", "-as", plan.host("login")])

    def load(option: str, name: str, text: str) -> None:
        controller.run(["tee", f"/run/gridengine/{name}"], stdin=text)
        controller.run(["qconf", option, f"/run/gridengine/{name}"])

    load("-Mconf", "global", _changed(controller.run(["qconf", "-sconf"]), _GLOBAL))
    load("-Msconf", "scheduler", _changed(controller.run(["qconf", "-ssconf"]), _SCHEDULER))
    load("-Mc", "complexes", controller.run(["qconf", "-sc"]) + "memory memory MEMORY <= YES YES 1G 0\n")
    for role in ("c1", "c2"):
        host = plan.host(role)
        controller.run(["qconf", "-ah", host])
        load("-Ae", host, _EXEC_HOST.format(host=host, cores=plan.cores, memory=plan.memory))
    load("-Ap", "smp", _PE)
    template = controller.run(["qconf", "-sq"])
    for part in plan.partitions:
        values = {
            "qname": part.name,
            "hostlist": " ".join(plan.host(role) for role in part.nodes),
            "load_thresholds": "NONE",
            "pe_list": "smp",
            "slots": str(plan.cores),
            "shell": "/bin/bash",
            "shell_start_mode": "unix_behavior",
            "h_rt": f"{part.time // 60}:{part.time % 60:02}:00",
        }
        load("-Aq", part.name, _changed(template, values))


def node_states(nodes: Mapping[str, Node]) -> dict[str, str]:
    """The state of each compute node: "idle" if Grid Engine hears from it, else "unheard" or its queue states."""
    done = nodes["ctl"].exec(["qstat", "-f"], timeout=30)
    states: dict[str, str] = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if words and "@" in words[0]:
            host = words[0].split("@")[1]
            letters = words[5] if len(words) > 5 else ""
            heard = "-NA-" not in line and "u" not in letters
            states[host] = ("draining" if "d" in letters else "idle") if heard else "unheard"
    return states


def wait_ready(nodes: Mapping[str, Node]) -> None:
    """Wait until all compute nodes can take jobs."""
    wait_for(
        lambda: sorted(node_states(nodes).values()) == ["idle", "idle"],
        f"Grid Engine of {nodes['ctl'].plan.name} has its nodes",
        40,
        0.2,
    )
