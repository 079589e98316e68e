"""The node's own addresses, and whose a local connection is."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path


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
