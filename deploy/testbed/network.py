"""The network of a centre: one bridge in the controller's namespace, and nothing that leads out of it.

No default route, no forwarding, no link to the machine's own network: nothing outside can reach a compute node.
The way in is the login node's sshd, which `acceptor.py` starts with the gateway's connection as standard input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perijove.testbed.node import Node
from perijove.testbed.state import TestbedError, run


def ip(node: Node, commands: Sequence[str]) -> None:
    """Run commands of `ip` in the network of `node`, with the machine's own pids."""
    lines = "\n".join(commands) + "\n"
    run(["nsenter", f"--target={node.pid}", "--net", "--", "ip", "-batch", "-"], lines)


def make_bridge(controller: Node) -> None:
    """The bridge of a centre."""
    address = controller.plan.address("ctl")
    ip(controller, ["link set lo up", "link add br0 type bridge", f"addr add {address}/24 dev br0", "link set br0 up"])


def attach(controller: Node, node: Node) -> None:
    """Link a node to the bridge of its centre."""
    port = f"v-{node.role}"
    ip(
        controller,
        [
            f"link add {port} type veth peer name eth0 netns {node.pid}",
            f"link set {port} master br0",
            f"link set {port} up",
        ],
    )
    address = node.plan.address(node.role)
    ip(node, ["link set lo up", f"addr add {address}/24 dev eth0", "link set eth0 up"])


def connect(nodes: Mapping[str, Node]) -> None:
    """Make the network of a centre whose nodes have just started."""
    make_bridge(nodes["ctl"])
    for role, node in nodes.items():
        if role != "ctl":
            attach(nodes["ctl"], node)


def set_link(nodes: Mapping[str, Node], role: str, up: bool) -> None:
    """Take the link of a node down, or up again."""
    link = "br0" if role == "ctl" else f"v-{role}"
    ip(nodes["ctl"], [f"link set {link} {'up' if up else 'down'}"])


def rejoin(nodes: Mapping[str, Node], role: str) -> None:
    """Link a node that was started anew; for the controller this means all links of the centre."""
    if role != "ctl":
        attach(nodes["ctl"], nodes[role])
        return
    make_bridge(nodes["ctl"])
    for name, node in nodes.items():
        if name != "ctl" and node.process:
            attach(nodes["ctl"], node)


def machine_interfaces() -> set[str]:
    """The names of the machine's own network interfaces.

    Raises:
        TestbedError: `ip` failed.
    """
    words = run(["ip", "-brief", "link"])
    if not words:
        raise TestbedError("ip says nothing")
    return {line.split()[0].split("@")[0] for line in words.splitlines()}
