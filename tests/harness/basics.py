"""What every test of a gateway's processes needs: free ports, waiting for something, settings, signing in."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
from perijove.hub.settings import Settings


def _candidates() -> Iterator[int]:
    """Ports away from clients' and sessions' ports, from somewhere on; each of several processes has a thousand."""
    ports = range(10240, 18240)
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        own = int(worker.removeprefix("gw")) % 8
        ports = ports[1000 * own : 1000 * (own + 1)]
    begin = time.time_ns() // 1000 % len(ports)
    return cycle([*ports[begin:], *ports[:begin]])


#: No port is given twice in a row: whoever was given the last one may not listen yet.
_CANDIDATES = _candidates()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses."""
    found: list[int] = []
    while len(found) < count:
        candidate = next(_CANDIDATES)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            found.append(candidate)
    return found


async def eventually(question: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """The first answer to `question` that is true; connection failures count as "not yet"."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = await question()
        except httpx.TransportError as error:
            last = error
        else:
            if last:
                return last
        await asyncio.sleep(0.05)
    raise AssertionError(f"not true after {seconds} s; the last answer was {last!r}")


def settings_in(state: Path, **changes: Any) -> Settings:
    """Settings of a gateway of its own on free ports, with everything below `state`; `changes` replace keys."""
    proxy, api, hub, broker = free_ports(4)
    settings = Settings.for_demo(
        state, bind_url=f"http://127.0.0.1:{proxy}", proxy_api_port=api, hub_port=hub, broker_port=broker, **changes
    )
    settings.directory()
    return settings


async def sign_in(client: httpx.AsyncClient, name: str, password: str) -> None:
    """Through the hub's own form, as a browser would."""
    page = await client.get("/hub/login")
    xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
    assert xsrf, page.text
    fields = {"username": name, "password": password, "_xsrf": xsrf[1]}
    answer = await client.post("/hub/login", data=fields, follow_redirects=False)
    assert answer.status_code == 302, answer.text


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """As `eventually`, for tests that do not await: what `condition` gives once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found
