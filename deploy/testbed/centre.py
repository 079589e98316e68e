"""One centre of the testbed: its nodes, its network, its daemons and the way to its login node."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType

from perijove.testbed import files, gridengine, network, people, slurm
from perijove.testbed.node import Node
from perijove.testbed.plan import ROLES, CentrePlan
from perijove.testbed.state import Process, State, run, wait_for, write

_ACCEPTOR = str(Path(__file__).with_name("acceptor.py"))


class TestbedCentre:
    """A centre. Its state is all on disk and in namespaces: objects come and go."""

    __test__ = False

    def __init__(self, state: State, plan: CentrePlan) -> None:
        self.state = state
        self.plan = plan
        self.nodes = {role: Node(state, plan, role) for role in ROLES}
        self.work = state.work(plan.name)
        self.batch: ModuleType = gridengine if plan.system == "gridengine" else slurm
        self.mode_file = self.work / "login.mode"
        self.port_file = self.work / "login.port"

    # -- life ----------------------------------------------------------------------------------------------------
    def up(self) -> None:
        """Start everything, and wait until the batch system has its nodes."""
        self.work.mkdir(mode=0o755, parents=True, exist_ok=True)
        files.write_etc(self.state, self.plan)
        files.write_bin(self.state, self.plan)
        people.make_homes(self.state, self.plan)
        self.batch.write_files(self.state, self.plan)
        for node in self.nodes.values():
            node.start(self.batch.run_owners())
        network.connect(self.nodes)
        self.batch.start_daemons(self.nodes["ctl"])
        if self.plan.system == "gridengine":
            gridengine.configure(self.nodes["ctl"])
        for role in ("login", "c1", "c2"):
            self.batch.start_daemons(self.nodes[role])
        self.accept()
        self.batch.wait_ready(self.nodes)

    def accept(self) -> None:
        """Start the process that accepts the gateway's connections."""
        port = _free_port(self.plan.port)
        write(self.port_file, f"{port}\n")
        self.set_mode("ok")
        record = self.state.record(f"{self.plan.host('login')}.init")
        arguments = [str(port), str(record), str(self.mode_file), str(self.work / "sshd.log")]
        child = self.state.spawn(self.acceptor_name, ["/usr/bin/python3", "-I", _ACCEPTOR, *arguments])
        child.returncode = 0  # It stays: nobody waits for it here.
        wait_for(self.answers, f"{self.plan.name} accepts connections", 10, 0.02)

    def down(self) -> None:
        """End and remove everything; what is not there is no fault."""
        if acceptor := self.acceptor:
            for process in descendants(acceptor.pid):
                process.kill()
            acceptor.kill()
        for node in self.nodes.values():
            node.kill()
        for point in people.mounts_below(self.work):
            run(["umount", "--lazy", point])
        if self.work.exists():
            shutil.rmtree(self.work)

    # -- the way in ------------------------------------------------------------------------------------------------
    @property
    def acceptor_name(self) -> str:
        """The name of the accepting process in the records."""
        return f"{self.plan.name}-acceptor"

    @property
    def acceptor(self) -> Process | None:
        """The accepting process, if it lives."""
        return self.state.process(self.acceptor_name)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 that leads to the login node."""
        try:
            return int(self.port_file.read_text())
        except FileNotFoundError:
            return self.plan.port

    @property
    def mode(self) -> str:
        """What happens to connections: "ok", "refuse" or "hang"."""
        return self.mode_file.read_text().strip() if self.mode_file.exists() else "ok"

    def set_mode(self, mode: str) -> None:
        """Change what happens to connections; returns when it is so."""
        write(self.mode_file, mode + "\n")
        if acceptor := self.acceptor:
            acceptor.send(signal.SIGHUP)
            wait_for(lambda: self.answers() == (mode != "refuse"), f"{self.plan.name} is in mode {mode}", 10, 0.02)
        for process in self.connections():
            process.send(signal.SIGSTOP if mode == "hang" else signal.SIGCONT)

    def answers(self) -> bool:
        """Whether something listens on the port (a table of the kernel is read, no connection is made)."""
        wanted = f"0100007F:{self.port:04X}"
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return any(row[1] == wanted and row[3] == "0A" for row in rows)

    def connections(self) -> list[Process]:
        """The sshd processes of all connections there are now."""
        if (acceptor := self.acceptor) is None:
            return []
        return [process for process in descendants(acceptor.pid) if _program(process.pid) == "/usr/sbin/sshd"]


def _program(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def descendants(pid: int) -> list[Process]:
    """All processes below `pid`, whatever namespace they are in."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue  # It ended meanwhile.
            children.setdefault(parent, []).append(int(path.name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return [process for each in found if (process := Process.of(each))]


def _free_port(wanted: int) -> int:
    """`wanted` if it is free on 127.0.0.1, else one that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                print(f"port {port} is taken, another one is used", file=sys.stderr)
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("no free port on 127.0.0.1")
