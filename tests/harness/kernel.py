"""A kernel of a session, over the websocket that a browser would use."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import AsyncExitStack
from typing import Any

import httpx
import websockets


class Kernel:
    """A kernel of a session, over the websocket that a browser would use."""

    def __init__(self, name: str, socket: Any) -> None:
        self.id = name
        self._socket = socket

    @classmethod
    async def open(cls, client: httpx.AsyncClient, root: str, stack: AsyncExitStack) -> Kernel:
        """Starts a kernel at `root` ("/user/NAME/SERVER") and connects."""
        await client.get(f"{root}/lab")
        xsrf = next(c.value for c in client.cookies.jar if c.name == "_xsrf" and c.path.rstrip("/") == root)
        made = await client.post(f"{root}/api/kernels", json={"name": "python3"}, headers={"X-XSRFToken": xsrf or ""})
        assert made.status_code == 201, made.text
        return await cls.attach(client, root, made.json()["id"], stack)

    @classmethod
    async def attach(cls, client: httpx.AsyncClient, root: str, name: str, stack: AsyncExitStack) -> Kernel:
        """Connects to the kernel with that id, which is there."""
        request = client.build_request("GET", f"{root}/api/kernels/{name}/channels")
        address = str(request.url).replace("http:", "ws:", 1)
        connection = websockets.connect(address, additional_headers={"Cookie": request.headers["cookie"]})
        return cls(name, await stack.enter_async_context(connection))

    async def run(self, code: str, seconds: float = 60.0) -> str:
        """What `code` prints."""
        return await self.finish(await self.begin(code, seconds), seconds)

    async def begin(self, code: str, seconds: float = 60.0) -> str:
        """Sends `code`, and returns once the kernel works on it; the cell's mark, for `finish`."""
        mark = secrets.token_hex(8)
        header = {"msg_id": mark, "msg_type": "execute_request", "session": "test", "username": "", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        await self._socket.send(json.dumps(message))
        await self._until(mark, "busy", seconds)
        return mark

    async def finish(self, mark: str, seconds: float = 60.0) -> str:
        """What the cell printed, once it is over."""
        return await self._until(mark, "idle", seconds)

    async def _until(self, mark: str, state: str, seconds: float) -> str:
        """What is printed until the kernel says that it is in this state for the cell."""
        printed = ""
        async with asyncio.timeout(seconds):
            while True:
                answer = json.loads(await self._socket.recv())
                if answer["parent_header"].get("msg_id") != mark:
                    continue
                if answer["msg_type"] == "stream":
                    printed += answer["content"]["text"]
                if answer["msg_type"] == "error":
                    raise AssertionError("\n".join(answer["content"]["traceback"]))
                if answer["msg_type"] == "status" and answer["content"]["execution_state"] == state:
                    return printed
