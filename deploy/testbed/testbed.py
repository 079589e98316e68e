"""The testbed as a whole: up, down, what it looks like, and what others need to use it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from perijove.spawners.centre import Centre, Identity
from perijove.testbed import description, environment, faults, install, people
from perijove.testbed.centre import TestbedCentre
from perijove.testbed.plan import CENTRES, ROLES
from perijove.testbed.state import State, TestbedError, default_directory, run, write, write_json


class Testbed:
    """Three centres on this machine. Any number of these objects, in any process, speak of the same one."""

    __test__ = False

    def __init__(self, directory: Path | None = None, only: Sequence[str] = ()) -> None:
        """`directory`: its state, if not the usual place (`default_directory`); `only`: not all of the centres."""
        self.state = State(directory or default_directory())
        self.centres = {name: TestbedCentre(self.state, CENTRES[name]) for name in only or CENTRES}

    def centre(self, name: str) -> TestbedCentre:
        """One centre.

        Raises:
            TestbedError: there is no such one.
        """
        if name not in self.centres:
            raise TestbedError(f"there is no centre {name!r}; there are {', '.join(self.centres)}")
        return self.centres[name]

    # -- up and down -----------------------------------------------------------------------------------------------
    def up(self) -> dict[str, Any]:
        """Install what is missing, start the centres (afresh, unless all is well as it is), write their descriptions.

        Returns the inventory.

        Raises:
            TestbedError: it cannot be.
        """
        if reason := install.why_not():
            raise TestbedError(reason)
        with self.state.locked():
            install.install()
            environment.build(self.state)
            environment.sync(self.state)
            if not self.healthy():
                self._start()
            return self._write_inventory()

    def _start(self) -> None:
        self._clean()
        with ThreadPoolExecutor() as pool:
            started = [pool.submit(centre.up) for centre in self.centres.values()]
        errors = [error for each in started if (error := each.exception())]
        if errors:
            self._clean()
            raise TestbedError("; ".join(str(error) for error in errors)) from errors[0]

    def down(self) -> None:
        """End everything. Keys, the environment and logs of starting stay for the next time."""
        with self.state.locked():
            self._clean()
            self.state.inventory.unlink(missing_ok=True)

    def _clean(self) -> None:
        for centre in self.centres.values():
            centre.down()
        for process in self.state.recorded().values():
            process.kill()
        shutil.rmtree(self.state.processes)
        for point in people.mounts_below(self.state.directory):
            run(["umount", "--lazy", point])
        self.state.faults.unlink(missing_ok=True)
        self.state.make()

    def healthy(self) -> bool:
        """Whether every process is there, and nothing is broken on purpose."""
        nodes = [node for centre in self.centres.values() for node in centre.nodes.values()]
        whole = all(node.process for node in nodes) and all(centre.acceptor for centre in self.centres.values())
        return whole and not faults.active(self.state)

    def sync(self) -> int:
        """Bring the code at the centres up to date; returns how many files changed."""
        with self.state.locked():
            environment.build(self.state)
            return environment.sync(self.state)

    # -- what others need --------------------------------------------------------------------------------------------
    def centre_toml(self, name: str, identity: Identity | None = None) -> str:
        """The description of a centre, with the identity of its plan or another one."""
        centre = self.centre(name)
        return description.toml(self.state, centre.plan, centre.port, identity)

    def centre_description(self, name: str, identity: Identity | None = None) -> Centre:
        """The same, read."""
        centre = self.centre(name)
        return description.centre(self.state, centre.plan, centre.port, identity)

    def centre_file(self, name: str, identity: Identity | None = None) -> Path:
        """A file with the description; for another identity a file of its own, outside the usual folder."""
        path = self.state.centres / f"{name}.toml"
        if identity:
            path = self.state.directory / "variants" / identity / f"{name}.toml"
        write(path, self.centre_toml(name, identity))
        return path

    def key_file(self, name: str, person: str) -> Path:
        """The gateway's private key for a person's account (or for `perijove`, `community`) at a centre."""
        return people.key_file(self.state, name, self.account(name, person))

    def account(self, name: str, person: str) -> str:
        """The account of a person at a centre."""
        return self.centre(name).plan.account(person).name

    def install_key(self, name: str, person: str, public_key: str) -> None:
        """Add a public key to a person's account, as people do who register with the gateway."""
        words = ["tee", "-a", f"/home/{self.account(name, person)}/.ssh/authorized_keys"]
        self.exec(name, "login", words, person, stdin=public_key.strip() + "\n").check_returncode()

    def ssh(self, name: str, person: str) -> list[str]:
        """A command that reaches the login node as a person: OpenSSH, this machine's own settings left out."""
        centre = self.centre(name)
        known = self.state.directory / "known_hosts" / name
        write(known, f"[127.0.0.1]:{centre.port} {people.host_key(self.state, centre.plan)}\n")
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}"]
        words = ["ssh", "-F", "/dev/null", "-p", str(centre.port), "-i", str(self.key_file(name, person))]
        for option in options:
            words += ["-o", option]
        return [*words, f"{self.account(name, person)}@127.0.0.1"]

    def _write_inventory(self) -> dict[str, Any]:
        inventory: dict[str, Any] = {"directory": str(self.state.directory), "centres": {}}
        for name, centre in self.centres.items():
            self.centre_file(name)
            inventory["centres"][name] = {
                "system": centre.plan.system,
                "identity": centre.plan.identity,
                "host": "127.0.0.1",
                "port": centre.port,
                "host_key": people.host_key(self.state, centre.plan),
                "file": str(self.state.centres / f"{name}.toml"),
                "nodes": {role: centre.plan.host(role) for role in ROLES},
                "accounts": description.accounts(self.state, centre.plan),
            }
        write_json(self.state.inventory, inventory)
        write(self.state.identities, description.identities([each.plan for each in self.centres.values()]))
        return inventory

    def status(self) -> dict[str, Any]:
        """What is up and what is broken. Safe without root and without a testbed."""
        if os.geteuid() != 0:
            raise TestbedError("the state of the testbed is root's")
        answer: dict[str, Any] = {"up": self.healthy(), "directory": str(self.state.directory), "centres": {}}
        for name, centre in self.centres.items():
            nodes = {role: "up" if node.process else "down" for role, node in centre.nodes.items()}
            answer["centres"][name] = {
                "system": centre.plan.system,
                "port": centre.port,
                "login": (centre.mode if centre.acceptor else "down"),
                "nodes": nodes,
            }
        answer["faults"] = faults.active(self.state)
        return answer

    # -- commands and faults -------------------------------------------------------------------------------------------
    def exec(
        self, name: str, node: str, argv: Sequence[str], user: str | None = None, stdin: str = "", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a node, as root or as a person (or account); does not raise for an exit status."""
        centre = self.centre(name)
        try:
            account = None if user in (None, "root") else centre.plan.account(str(user)).name
            return centre.nodes[centre.plan.role(node)].exec(argv, account, stdin, timeout)
        except KeyError as error:
            raise TestbedError(str(error.args[0])) from None

    def fault(self, name: str, kind: str, target: str = "", *, undo: bool = False, seconds: float = 0) -> None:
        """Do a fault, or undo it; with `seconds`, do it for that long.

        Raises:
            TestbedError: there is no such fault or target, or it did not work.
        """
        with self.state.locked():
            faults.inject(self.centre(name), kind, target, undo)
        if seconds and not undo:
            try:
                time.sleep(seconds)
            finally:
                self.fault(name, kind, target, undo=True)

    def mend(self) -> None:
        """Undo all faults, and wait until the batch systems have their nodes again."""
        with self.state.locked():
            for centre in self.centres.values():
                faults.undo_all(centre)
        for centre in self.centres.values():
            centre.batch.wait_ready(centre.nodes)
