"""What processes listen on, from /proc: the system's word, not theirs."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path


def session(leader: int) -> list[int]:
    """The processes of the session that `leader` leads, itself among them."""
    return [pid for pid in _processes() if _session_of(pid) == leader]


def listening(pid: int) -> list[tuple[str, int]]:
    """The TCP addresses and ports on which a process listens."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, _, port = fields[1].rpartition(":")
                found.append((_address(address), int(port, 16)))
    return sorted(found)


def _address(text: str) -> str:
    """proc(5): words of 32 bits, each in the machine's byte order, which is little endian on all that we test on."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _session_of(pid: int) -> int | None:
    try:
        # The name in brackets may have spaces; the fields after it are state, parent, group, session.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])
    except OSError:
        return None
