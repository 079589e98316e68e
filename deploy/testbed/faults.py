"""What can go wrong at a real centre, on demand: each fault can be undone, and doing it twice is the same as once.

What is broken now is kept in the state directory, so that `status` shows it and another process can mend it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perijove.testbed import gridengine, network, people, slurm
from perijove.testbed.centre import TestbedCentre
from perijove.testbed.state import State, TestbedError, read_json, wait_for, write_json

Action = Callable[[TestbedCentre, str], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault. `target`: what it needs to know, "" for nothing; `undo` None: it is over at once."""

    help: str
    do: Action
    undo: Action | None = None
    target: str = ""


# -- nodes -------------------------------------------------------------------------------------------------------
def _kill_node(centre: TestbedCentre, node: str) -> None:
    centre.nodes[centre.plan.role(node)].kill()


def _revive_node(centre: TestbedCentre, node: str) -> None:
    role = centre.plan.role(node)
    if centre.nodes[role].process:
        return
    centre.nodes[role].kill()
    centre.nodes[role].start(centre.batch.run_owners())
    network.rejoin(centre.nodes, role)
    centre.batch.start_daemons(centre.nodes[role])


def _link_down(centre: TestbedCentre, node: str) -> None:
    network.set_link(centre.nodes, centre.plan.role(node), False)


def _link_up(centre: TestbedCentre, node: str) -> None:
    network.set_link(centre.nodes, centre.plan.role(node), True)


def _scontrol(centre: TestbedCentre, *arguments: str) -> None:
    centre.nodes["ctl"].run([slurm.command(centre.plan, "scontrol"), *arguments])


def _drain(centre: TestbedCentre, node: str) -> None:
    host = centre.plan.host(centre.plan.role(node))
    if centre.plan.system == "slurm":
        _scontrol(centre, "update", f"NodeName={host}", "State=DRAIN", "Reason=testbed")
    else:
        centre.nodes["ctl"].run(["qmod", "-d", f"*@{host}"])


def _resume(centre: TestbedCentre, node: str) -> None:
    host = centre.plan.host(centre.plan.role(node))
    if centre.plan.system == "gridengine":
        centre.nodes["ctl"].run(["qmod", "-e", f"*@{host}"])
    elif "drain" in slurm.node_states(centre.nodes).get(host, ""):
        _scontrol(centre, "update", f"NodeName={host}", "State=RESUME")


# -- the login node ------------------------------------------------------------------------------------------------
def _mode(mode: str) -> Action:
    return lambda centre, _: centre.set_mode(mode)


def _drop(centre: TestbedCentre, _: str) -> None:
    for process in centre.connections():
        process.kill()


# -- the batch system's controller -----------------------------------------------------------------------------------
def _controller_pid_file(centre: TestbedCentre) -> str:
    return gridengine.CONTROLLER_PID if centre.plan.system == "gridengine" else slurm.CONTROLLER_PID


def _signal_controller(number: signal.Signals) -> Action:
    def act(centre: TestbedCentre, _: str) -> None:
        if process := centre.nodes["ctl"].pid_in(_controller_pid_file(centre)):
            process.send(number)

    return act


def _kill_controller(centre: TestbedCentre, _: str) -> None:
    if process := centre.nodes["ctl"].pid_in(_controller_pid_file(centre)):
        process.kill()


def _start_controller(centre: TestbedCentre, _: str) -> None:
    node = centre.nodes["ctl"]
    if node.pid_in(_controller_pid_file(centre)) is None:
        centre.batch.start_controller(node)
        wait_for(lambda: bool(centre.batch.node_states(centre.nodes)), "the controller answers", 30, 0.1)


def _restart_controller(centre: TestbedCentre, _: str) -> None:
    if process := centre.nodes["ctl"].pid_in(_controller_pid_file(centre)):
        process.send(signal.SIGCONT)
        process.send(signal.SIGTERM)
        wait_for(lambda: not process.alive, "the controller ends", 30)
    _start_controller(centre, "")


# -- jobs and homes --------------------------------------------------------------------------------------------------
def _requeue(centre: TestbedCentre, job: str) -> None:
    if not job.isdecimal():
        raise TestbedError(f"{job!r} is no job id")
    if centre.plan.system == "slurm":
        _scontrol(centre, "requeue", job)
    else:
        centre.nodes["ctl"].run(["qmod", "-rj", job])


def _fill(centre: TestbedCentre, person: str) -> None:
    people.fill_home(centre.state, centre.plan, centre.plan.account(person).name)


def _free(centre: TestbedCentre, person: str) -> None:
    people.free_home(centre.state, centre.plan, centre.plan.account(person).name)


KINDS: dict[str, Kind] = {
    "node-kill": Kind("a node dies at once, with all that runs on it", _kill_node, _revive_node, "node"),
    "link-down": Kind("the network cable of a node is pulled", _link_down, _link_up, "node"),
    "drain": Kind("the operator takes a node out of service; its jobs go on", _drain, _resume, "node"),
    "login-refuse": Kind("the login node refuses connections; those there are stay", _mode("refuse"), _mode("ok")),
    "login-hang": Kind("the login node accepts and says nothing, on old connections, too", _mode("hang"), _mode("ok")),
    "login-drop": Kind("all connections to the login node end now", _drop),
    "controller-pause": Kind(
        "the batch system's controller stops (SIGSTOP)",
        _signal_controller(signal.SIGSTOP),
        _signal_controller(signal.SIGCONT),
    ),
    "controller-kill": Kind("the controller is killed", _kill_controller, _start_controller),
    "controller-restart": Kind("the controller ends and starts again", _restart_controller),
    "requeue": Kind("a running job is put back into the queue", _requeue, target="job"),
    "home-full": Kind("the home of a person has no byte left", _fill, _free, "user"),
}
#: The undoing of a fault, by a name of its own.
UNDOING = {
    "node-revive": "node-kill",
    "link-up": "link-down",
    "resume": "drain",
    "login-ok": "login-refuse",
    "controller-cont": "controller-pause",
    "controller-start": "controller-kill",
    "home-free": "home-full",
}
ALIASES = {"controller-stop": "controller-pause"}


def active(state: State) -> list[dict[str, Any]]:
    """The faults that are there now, the oldest first."""
    found: list[dict[str, Any]] = read_json(state.faults, [])
    return found


def inject(centre: TestbedCentre, kind: str, target: str = "", undo: bool = False) -> None:
    """Do a fault, or undo it.

    Raises:
        TestbedError: there is no such fault or target, or it did not work.
    """
    if kind in UNDOING:
        kind, undo = UNDOING[kind], True
    kind = ALIASES.get(kind, kind)
    if kind not in KINDS:
        raise TestbedError(f"there is no fault {kind!r}; there are {', '.join([*KINDS, *UNDOING])}")
    fault = KINDS[kind]
    if fault.target and not target:
        raise TestbedError(f"{kind} needs a {fault.target}")
    entry = {"centre": centre.plan.name, "kind": kind, "target": target}
    others = [each for each in active(centre.state) if each != entry]
    try:
        if not undo:
            if fault.undo:
                write_json(centre.state.faults, [*others, entry])
            fault.do(centre, target)
        elif fault.undo:
            fault.undo(centre, target)
            write_json(centre.state.faults, others)
    except KeyError as error:
        write_json(centre.state.faults, others)
        raise TestbedError(str(error.args[0])) from None


#: What is mended first: without nodes and a controller that answers the batch system cannot be told anything.
_FIRST = ("node-kill", "link-down", "controller-pause", "controller-kill")


def undo_all(centre: TestbedCentre) -> None:
    """Mend everything that is broken at a centre, in an order in which that can be done."""
    mine = [each for each in active(centre.state) if each["centre"] == centre.plan.name]
    for each in sorted(mine, key=lambda entry: _FIRST.index(entry["kind"]) if entry["kind"] in _FIRST else len(_FIRST)):
        inject(centre, each["kind"], each["target"], undo=True)
