"""What the testbed is made of: three centres, their nodes, and the people who have accounts there.

Data only. The centres differ where real ones do: account names and uids, batch system, site policy, address range,
and whose account a person's jobs run under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from perijove.spawners.centre import Identity, System

#: Every centre has these nodes: where people log in, where the batch system's controller runs, two to compute on.
ROLES = ("ctl", "login", "c1", "c2")
#: Last byte of a node's address.
_ADDRESS = {"ctl": 1, "login": 10, "c1": 21, "c2": 22}
#: The gateway's own account, and the account that people share where identity is "community".
GATEWAY, COMMUNITY = "perijove", "community"


@dataclass(frozen=True, slots=True)
class Account:
    """An account at one centre. `person` is who it belongs to, "" for the accounts of the gateway."""

    name: str
    uid: int
    person: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """A queue of a centre; `time` in minutes, `nodes` as roles."""

    name: str
    time: int
    nodes: tuple[str, ...] = ("c1", "c2")
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class CentrePlan:
    """One centre as it is built. `port` is where the gateway reaches its sshd on 127.0.0.1, if that is free."""

    name: str
    english: str
    chinese: str
    system: System
    identity: Identity
    subnet: str
    port: int
    accounts: tuple[Account, ...]
    partitions: tuple[Partition, ...]
    #: Renamed commands, by their usual name; the usual ones are then hidden.
    commands: Mapping[str, str] = field(default_factory=dict)
    #: What a compute node claims to have (cores, MiB), whatever this machine has.
    cores: int = 8
    memory: int = 16000

    def host(self, role: str) -> str:
        """The host name of a node."""
        return f"{self.name}-{role}"

    def address(self, role: str) -> str:
        """The address of a node, on the centre's own bridge."""
        return f"{self.subnet}.{_ADDRESS[role]}"

    def account(self, person: str) -> Account:
        """The account of a person, or the account with that name.

        Raises:
            KeyError: there is none.
        """
        for account in self.accounts:
            if person in (account.person, account.name):
                return account
        raise KeyError(f"nobody called {person!r} has an account at {self.name}")

    def role(self, node: str) -> str:
        """The role of a node, from its role or its host name.

        Raises:
            KeyError: there is no such node.
        """
        role = node.removeprefix(f"{self.name}-")
        if role not in ROLES:
            raise KeyError(f"{self.name} has no node {node!r}; it has {', '.join(ROLES)}")
        return role


def _accounts(alice: tuple[str, int], bob: tuple[str, int], first: int) -> tuple[Account, ...]:
    return (
        Account(*alice, person="alice"),
        Account(*bob, person="bob"),
        Account(GATEWAY, first),
        Account(COMMUNITY, first + 1),
    )


_YH = ("batch", "queue", "cancel", "control", "info", "acct", "alloc", "run", "diag", "stat", "prio", "attach")

CENTRES: dict[str, CentrePlan] = {
    plan.name: plan
    for plan in (
        CentrePlan(
            name="alpha",
            english="Alpha Supercomputing Centre",
            chinese="甲超级计算中心",
            system="slurm",
            identity="key",
            subnet="10.71.1",
            port=22071,
            accounts=_accounts(("al1001", 31001), ("bo1002", 31002), 30001),
            partitions=(
                Partition("normal", 24 * 60),
                Partition("long", 7 * 24 * 60, ("c1",)),
                Partition("gpu", 720, ("c2",), 2),
            ),
        ),
        CentrePlan(
            name="beta",
            english="Beta National Laboratory",
            chinese="乙国家实验室",
            system="slurm",
            identity="community",
            subnet="10.71.2",
            port=22072,
            accounts=_accounts(("awang", 42017), ("bli", 42018), 40001),
            partitions=(Partition("work", 8 * 60), Partition("debug", 30, ("c2",))),
            commands={f"s{name}": f"yh{name}" for name in _YH},
        ),
        CentrePlan(
            name="gamma",
            english="Gamma University Computing Service",
            chinese="丙大学计算服务",
            system="gridengine",
            identity="sudo",
            subnet="10.71.3",
            port=22073,
            accounts=_accounts(("u0731", 50731), ("u0732", 50732), 50001),
            partitions=(Partition("all.q", 24 * 60), Partition("short.q", 30)),
        ),
    )
}
