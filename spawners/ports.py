"""Where an agent listens: a sequence of ports that both ends derive from the session's id.

The agent takes the first of them that is free on its node, the gateway tries them in the same order: nobody has to
report a port, so there is no call-back, no file to watch and no race. A port that somebody else holds is no harm:
the gateway accepts the session's own host key only, and goes on to the next one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

#: How many ports are tried before an agent gives up; a node would need this many sessions on the very same ports.
CANDIDATES = 32


def ports(session: str, first: int, last: int) -> Iterator[int]:
    """The candidates of `session` within first..last (both included), without repeats, in the order to try.

    Raises:
        ValueError: if the range is empty or no range of TCP ports.
    """
    if not 0 < first <= last < 65536:
        raise ValueError(f"not a range of ports: {first}-{last}")
    count = last - first + 1
    seen: set[int] = set()
    for number in range(CANDIDATES * 64):
        digest = hashlib.sha256(f"{session}:{number}".encode()).digest()
        port = first + int.from_bytes(digest[:8], "big") % count
        if port not in seen:
            seen.add(port)
            yield port
        if len(seen) == min(CANDIDATES, count):
            return
