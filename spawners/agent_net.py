"""The node's own addresses, the agent's port on them, and whose a local connection is."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from perijove.spawners.ports import ports


def addresses() -> tuple[str, ...]:
    """Where an agent listens: what the node's own name resolves to, as the login node finds it by that name.

    Where the name resolves to the loopback only (Debian's 127.0.1.1), the address of the interface that leads out is
    added: connecting a datagram socket sends nothing and tells which it is.
    """
    found: dict[str, None] = {}
    try:
        for *_, address in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM):
            found[str(address[0])] = None
    except OSError:
        found = {}
    usable = [a for a in found if "%" not in a and not ipaddress.ip_address(a).is_link_local]
    outer = [a for a in usable if not ipaddress.ip_address(a).is_loopback]
    if not outer:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect(("192.0.2.1", 9))
                outer.append(probe.getsockname()[0])
        except OSError:
            outer = []
    return tuple(dict.fromkeys([*outer, "127.0.0.1"]))


def bind(session: str, among: tuple[int, int], hosts: Sequence[str] = ()) -> list[socket.socket]:
    """Listening sockets on the first port of the session's sequence that is free on all `hosts` (default: `addresses`).

    Raises:
        OSError: none of the sequence is.
    """
    hosts = hosts or addresses()
    for port in ports(session, *among):
        with ExitStack() as taken:
            try:
                sockets = [taken.enter_context(_listening(host, port)) for host in hosts]
            except OSError:
                continue
            taken.pop_all()
            return sockets
    raise OSError(f"no port of {among[0]}-{among[1]} is free on {', '.join(hosts)}")


def _listening(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=64)


def _hexadecimal(host: str, port: int) -> str:
    """An IPv4 address and port as /proc/net/tcp writes them (little endian words)."""
    return f"{int.from_bytes(socket.inet_aton(host), 'little'):08X}:{port:04X}"


def owner_of(host: str, port: int, to: int) -> int | None:
    """The uid of the local process whose socket is `host`:`port`, connected to port `to`; None if there is none.

    IPv4 sockets of programs that use IPv6 sockets stand in /proc/net/tcp6.
    """
    short = _hexadecimal(host, port)
    mapped = "0000000000000000FFFF0000" + short
    for table, wanted in (("/proc/net/tcp", short), ("/proc/net/tcp6", mapped)):
        try:
            lines = Path(table).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if wanted in line:
                fields = line.split()
                if fields[1] == wanted and fields[2].endswith(f":{to:04X}"):
                    return int(fields[7])
    return None
