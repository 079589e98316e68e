"""A gateway's three processes, and what people, programs and operators do with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
from perijove.hub.children import Child
from perijove.hub.demo.centres import root_of
from perijove.hub.people import passwords
from perijove.hub.serve import Gateway
from perijove.hub.settings import Settings

from harness.basics import eventually, sign_in


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
        await sign_in(client, name, passwords(self.settings.state_dir)[name])
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
