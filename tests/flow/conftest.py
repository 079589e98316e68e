"""The real thing without root: proxy, broker and hub as processes, jobs on an embedded centre, a person with a browser.

One gateway for the module; each test uses server names of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets
from perijove.hub import demo
from perijove.hub.children import Child
from perijove.hub.demo.centres import root_of
from perijove.hub.people import passwords
from perijove.hub.serve import Gateway, running
from perijove.hub.settings import Settings


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses, away from clients' and sessions' ports."""
    found: list[int] = []
    candidate = 10240 + os.getpid() * 7 % 8000
    while len(found) < count:
        candidate += 1
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
        await asyncio.sleep(0.1)
    raise AssertionError(f"not true after {seconds} s; the last answer was {last!r}")


@dataclass
class Flow:
    """A gateway and what a person or an operator does with it."""

    gateway: Gateway
    settings: Settings
    stack: AsyncExitStack

    async def person(self, name: str) -> httpx.AsyncClient:
        """A signed-in browser, as it were."""
        client = httpx.AsyncClient(base_url=self.settings.url, follow_redirects=True, trust_env=False, timeout=60)
        await self.stack.enter_async_context(client)
        page = await client.get("/hub/login")
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        assert xsrf, page.text
        password = passwords(self.settings.state_dir)[name]
        fields = {"username": name, "password": password, "_xsrf": xsrf[1]}
        answer = await client.post("/hub/login", data=fields, follow_redirects=False)
        assert answer.status_code == 302, answer.text
        return client

    async def call(self, method: str, address: str, token: str = "", **more: Any) -> httpx.Response:
        """A call with the gateway's own token (or another)."""
        headers = {"Authorization": f"token {token or self.settings.secret('broker.token')}"}
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return await client.request(method, address, headers=headers, **more)

    async def hub(self, method: str, path: str, token: str = "", **more: Any) -> httpx.Response:
        """A call to the hub's API."""
        return await self.call(method, self.settings.hub_api_url + path, token, **more)

    async def broker(self, method: str, path: str, token: str = "", **more: Any) -> httpx.Response:
        """A call to the broker's API."""
        return await self.call(method, self.settings.broker_api_url + path, token, **more)

    async def session(self, owner: str, server: str) -> dict[str, Any]:
        """The latest session of (owner, server); {} if there is none."""
        answer = await self.broker("GET", f"/sessions/by-name/{owner}/{server}")
        return answer.json() if answer.status_code == 200 else {}

    async def reach(self, owner: str, server: str, stage: str, seconds: float = 90.0) -> dict[str, Any]:
        """The session once it is in `stage`; fails at once if it ends instead."""

        async def there() -> Any:
            session = await self.session(owner, server)
            assert stage == "ended" or session.get("stage") != "ended", session
            return session if session.get("stage") == stage else None

        found: dict[str, Any] = await eventually(there, seconds)
        return found

    async def usable(self, client: httpx.AsyncClient, owner: str, server: str, seconds: float = 90.0) -> None:
        """Waits until the person's browser gets JupyterLab's page through the proxy."""

        async def lab() -> bool:
            answer = await client.get(f"/user/{owner}/{server}/lab")
            return answer.status_code == 200 and "jupyter-config-data" in answer.text

        await eventually(lab, seconds)

    async def sessions_of(self, owner: str, server: str) -> list[dict[str, Any]]:
        """All sessions there ever were of (owner, server)."""
        answer = await self.broker("GET", "/sessions", params={"owner": owner})
        rows = answer.json()
        rows = rows["sessions"] if isinstance(rows, dict) else rows
        return [row for row in rows if row["server"] == server]

    def kill(self, *children: Child) -> None:
        """kill -9; the supervisor starts each again."""
        for child in children:
            os.kill(int(child.plan.pid_file.read_text()), signal.SIGKILL)

    def fill_node(self, centre: str, queue: str, cores: int) -> str:
        """Somebody else's job, which has the whole node until `cancel`; its id."""
        size = f"--queue {queue} --name other --cores {cores} --memory 64 --gpus 0 --walltime 600".split()
        answer = self._queue("submit", centre, *size, script="#!/bin/sh\nsleep 600\n")
        return str(answer["job"] if "job" in answer else answer["id"])

    def cancel(self, centre: str, job: str) -> None:
        """Ends that job."""
        self._queue("cancel", centre, "--jobs", job)

    def _queue(self, verb: str, centre: str, *options: str, script: str = "") -> dict[str, Any]:
        root = str(root_of(self.settings.state_dir, centre))
        command = [sys.executable, "-m", "perijove.spawners.localqueue", verb, "--root", root, *options]
        done = subprocess.run(command, input=script, cwd=root, capture_output=True, text=True, check=True, timeout=30)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


class Kernel:
    """A kernel of a session, over the websocket that a browser would use."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._sent = 0

    @classmethod
    async def open(cls, client: httpx.AsyncClient, root: str, stack: AsyncExitStack) -> Kernel:
        """Starts a kernel at `root` ("/user/NAME/SERVER") and connects."""
        await client.get(f"{root}/lab")
        xsrf = next(c.value for c in client.cookies.jar if c.name == "_xsrf" and c.path.rstrip("/") == root)
        made = await client.post(f"{root}/api/kernels", json={"name": "python3"}, headers={"X-XSRFToken": xsrf or ""})
        assert made.status_code == 201, made.text
        request = client.build_request("GET", f"{root}/api/kernels/{made.json()['id']}/channels")
        address = str(request.url).replace("http:", "ws:", 1)
        connection = websockets.connect(address, additional_headers={"Cookie": request.headers["cookie"]})
        return cls(await stack.enter_async_context(connection))

    async def run(self, code: str, seconds: float = 60.0) -> str:
        """What `code` prints."""
        self._sent += 1
        mark = f"cell-{self._sent}"
        header = {"msg_id": mark, "msg_type": "execute_request", "session": "test", "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        await self._socket.send(json.dumps(message))
        printed = ""
        async with asyncio.timeout(seconds):
            while True:
                answer = json.loads(await self._socket.recv())
                if answer["parent_header"].get("msg_id") != mark:
                    continue
                if answer["msg_type"] == "stream":
                    printed += answer["content"]["text"]
                if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
                    return printed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Flow]:
    """A gateway with the demo's nine centres and nobody else's load."""
    state = tmp_path_factory.mktemp("flow") / "state"
    proxy, api, hub, broker = free_ports(4)
    settings = Settings.for_demo(
        state, bind_url=f"http://127.0.0.1:{proxy}", proxy_api_port=api, hub_port=hub, broker_port=broker
    )
    settings.directory()
    demo.prepare(state)
    try:
        async with AsyncExitStack() as stack:
            gateway = await stack.enter_async_context(running(settings, settings.save()))
            yield Flow(gateway, settings, stack)
    finally:
        demo.clean_up(state)


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., Awaitable[Any]]:
    return eventually


@pytest.fixture
def kernel() -> type[Kernel]:
    """The class of kernels."""
    return Kernel


@pytest.fixture
def centre_files(flow: Flow) -> list[Path]:
    """The descriptions of the gateway's centres."""
    return sorted(flow.settings.centres_dir.glob("*.toml"))
