"""One node of a centre: namespaces of its own, with one recorded process that holds them."""

from __future__ import annotations

import pwd
import select
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from perijove.testbed.plan import CentrePlan
from perijove.testbed.state import Process, State, TestbedError, write_json

_INIT = str(Path(__file__).with_name("init.py"))
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class Node:
    """A node. Its state is all in the namespaces and the state directory: objects come and go."""

    def __init__(self, state: State, plan: CentrePlan, role: str) -> None:
        self.state = state
        self.plan = plan
        self.role = role
        self.host = plan.host(role)
        self.directory = state.work(plan.name) / "nodes" / role

    @property
    def process(self) -> Process | None:
        """Its process 1, as the machine sees it; None if the node is down."""
        return self.state.process(f"{self.host}.init")

    @property
    def pid(self) -> int:
        """The pid of its process 1, as the machine sees it.

        Raises:
            TestbedError: the node is down.
        """
        if (process := self.process) is None:
            raise TestbedError(f"{self.host} is down")
        return process.pid

    # -- life ----------------------------------------------------------------------------------------------------
    def start(self, owners: Mapping[str, int]) -> None:
        """Start it, without a network and without daemons. `owners`: folders in its /run and who owns them."""
        if self.process:
            return
        for name in ("log", "spool"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        spec = self.directory / "spec.json"
        write_json(spec, self._spec(owners))
        namespaces = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child=SIGKILL"]
        argv = ["unshare", *namespaces, "/usr/bin/python3", "-I", _INIT, str(spec)]
        child = self.state.spawn(self.host, argv, stdout=subprocess.PIPE)
        if child.stdout is None:
            raise TestbedError(f"{self.host}: no pipe")
        with child.stdout as pipe:
            ready = select.select([pipe], [], [], 20.0)[0] and pipe.readline() == b"ready\n"
        if not ready:
            log = (self.state.processes / f"{self.host}.log").read_text()[-1000:]
            raise TestbedError(f"{self.host} did not start: {log}")
        child.returncode = 0  # It stays: nobody waits for it here.

    def _spec(self, owners: Mapping[str, int]) -> dict[str, object]:
        work = self.state.work(self.plan.name)
        binds = {
            "/home": work / "home",
            "/var/log": self.directory / "log",
            "/var/spool": self.directory / "spool",
            **{str(target): work / source for target, source in self.shared().items()},
        }
        return {
            "record": str(self.state.record(f"{self.host}.init")),
            "host": self.host,
            "overlays": {"/etc": [str(work / "etc")], "/usr/bin": [str(work / "bin")]},
            "binds": {target: str(source) for target, source in binds.items()},
            "read_only": {"/opt": str(self.state.software)},
            "hidden": [str(self.state.directory)],
            "run": {"sshd": 0, "lock": 0, **owners},
        }

    def shared(self) -> dict[str, str]:
        """Folders that the nodes share besides /home: where they see it, and its name in the work folder."""
        if self.plan.system == "gridengine":
            return {"/var/lib/gridengine": "gridengine"}
        return {"/var/lib/slurm": "slurm"}

    def kill(self) -> None:
        """End it at once, with everything that runs in it."""
        for name in (f"{self.host}.init", self.host):
            if process := self.state.process(name):
                process.kill()

    # -- commands ------------------------------------------------------------------------------------------------
    def command(self, argv: Sequence[str], user: str | None = None) -> list[str]:
        """The command of the machine that runs `argv` in the node, as root or as `user` in their home."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--uts", "--ipc", "--pid", "--"]
        if user is None or user == "root":
            return [*inside, "env", "-i", f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", *argv]
        identity = [f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"]
        return [*inside, "setpriv", *identity, "env", f"--chdir=/home/{user}", f"PATH={_PATH}", "LANG=C.UTF-8", *argv]

    def exec(
        self, argv: Sequence[str], user: str | None = None, stdin: str = "", timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the node and wait for it; like subprocess.run, it does not raise for an exit status."""
        command = self.command(argv, user)
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)

    def run(self, argv: Sequence[str], user: str | None = None, stdin: str = "", timeout: float = 60.0) -> str:
        """The output of a command in the node.

        Raises:
            TestbedError: it failed.
        """
        done = self.exec(argv, user, stdin, timeout)
        if done.returncode:
            words = (done.stderr + done.stdout)[-1000:]
            raise TestbedError(f"{self.host}: {' '.join(argv[:8])}: exit {done.returncode}: {words}")
        return done.stdout

    def daemon(self, argv: Sequence[str]) -> None:
        """Start a daemon that puts itself into the background."""
        command = self.command(argv)
        log = self.directory / "log" / "daemons.log"
        with log.open("ab") as out:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                timeout=30,
                check=False,
            )
        if done.returncode:
            raise TestbedError(f"{self.host}: {argv[0]}: exit {done.returncode}: {log.read_text()[-800:]}")

    def pid_in(self, file: str) -> Process | None:
        """The process that a pid file in the node names (there with the node's own pids), as the machine sees it."""
        root = Path(f"/proc/{self.pid}/root")
        try:
            inner = (root / file.lstrip("/")).read_text().split()[0]
        except (FileNotFoundError, IndexError):
            return None
        for pid, own in self.inner_pids():
            if own == inner and (started := Process.of(pid)):
                return started
        return None

    def inner_pids(self) -> list[tuple[int, str]]:
        """All processes in the node: the pid outside, and the pid inside."""
        namespace = Path(f"/proc/{self.pid}/ns/pid").readlink()
        found = []
        for path in Path("/proc").iterdir():
            try:
                if path.name.isdecimal() and (path / "ns/pid").readlink() == namespace:
                    lines = (path / "status").read_text().splitlines()
                    inner = next(line for line in lines if line.startswith("NSpid:")).split()[-1]
                    found.append((int(path.name), inner))
            except OSError:
                continue  # It ended meanwhile.
        return found


def uid_of_host(name: str) -> int:
    """The uid of a system account of this machine (slurm, munge, sgeadmin).

    Raises:
        TestbedError: its package is not installed.
    """
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise TestbedError(f"no account {name!r}: run `perijove testbed up` as root on Debian to install it") from None
