"""The testbed's centres as a gateway's operator would describe them, one TOML file each; and who has which account."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from typing import Any

from perijove.spawners.batch.slurm import Slurm
from perijove.spawners.centre import Centre, Identity, parse
from perijove.testbed import files, people
from perijove.testbed.plan import COMMUNITY, GATEWAY, CentrePlan
from perijove.testbed.state import State


def _value(value: object) -> str:
    """A value of TOML; a JSON string is one, too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _table(name: str, values: dict[str, Any]) -> str:
    return f"\n{name}\n" + "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def login(state: State, plan: CentrePlan, port: int, identity: Identity) -> dict[str, Any]:
    """The `[login]` table."""
    account = COMMUNITY if identity == "community" else GATEWAY
    table: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "host_keys": [people.host_key(state, plan)],
        "identity": identity,
        "account": account,
        "key_file": str(people.key_file(state, plan.name, account)),
    }
    if identity == "sudo":
        table["launcher"] = files.LAUNCHER
    return table


def toml(state: State, plan: CentrePlan, port: int, identity: Identity | None = None) -> str:
    """The description of a centre; `identity`: another one than the plan has."""
    scheduler: dict[str, Any] = {"system": plan.system}
    if plan.commands:
        # A strict site: people see their own jobs only. A description names the commands that the gateway uses.
        used = {name: renamed for name, renamed in plan.commands.items() if name in Slurm.programs}
        scheduler |= {"commands": used, "sees_all": False}
    if plan.system == "gridengine":
        scheduler |= {"parallel_environment": "smp", "memory_resource": "memory"}
    parts = [
        f"id = {_value(plan.name)}\nname = {_value({'en': plan.english, 'zh': plan.chinese})}\n",
        _table("[scheduler]", scheduler),
        _table("[login]", login(state, plan, port, identity or plan.identity)),
        _table("[environment]", {"python": files.PYTHON, "software": ["JupyterLab 4.6"]}),
        _table("[ports]", {"first": 20000, "last": 29999}),
    ]
    for part in plan.partitions:
        queue: dict[str, Any] = {"name": part.name.replace(".", "-")}
        if queue["name"] != part.name:
            queue["at_centre"] = part.name
        queue |= {"nodes": len(part.nodes), "cores": plan.cores, "memory": plan.memory, "gpus": part.gpus}
        queue |= {"max_time": f"{part.time}m", "default_time": f"{min(part.time, 60)}m"}
        queue["price"] = {"core_hour": "0.05", "gpu_hour": "1.2" if part.gpus else "0", "memory_hour": "0.01"}
        parts.append(_table("[[queues]]", queue))
    return "".join(parts)


def centre(state: State, plan: CentrePlan, port: int, identity: Identity | None = None) -> Centre:
    """The same, read."""
    return parse(tomllib.loads(toml(state, plan, port, identity)))


def accounts(state: State, plan: CentrePlan) -> dict[str, Any]:
    """Each person's account at a centre, with the gateway's key for it; also by the gateway's own accounts."""
    return {
        account.person or account.name: {
            "account": account.name,
            "uid": account.uid,
            "key_file": str(people.key_file(state, plan.name, account.name)),
        }
        for account in plan.accounts
    }


def identities(plans: Iterable[CentrePlan]) -> str:
    """Who has which account, as the gateway's `identities_file` says it (TOML)."""
    tables = [_table(f"[{plan.name}]", {a.person: a.name for a in plan.accounts if a.person}) for plan in plans]
    return "".join(tables).lstrip()
