"""A session's real Jupyter server with real heads, behind a small gateway whose broker is the double."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from doubles.dask_broker import PRICE, DaskBroker
from perijove.spawners.facts import Facts

from harness.basics import free_ports

CLUSTER, SESSION, OTHER = "abcdefghijklm", "sssssssssssss", "ooooooooooooo"
TOKEN = "token-of-the-session-0123456789"
API = "/services/perijove/api/v1"
PREFIX = "/user/ada/lab/"
#: A Jupyter server as `perijove.widgets.lab` makes it, but for the hub.
CODE = """
import os, sys
from perijove.widgets.lab import prepare
prepare(os.environ)
from jupyter_server.serverapp import ServerApp
ServerApp.launch_instance(sys.argv[1:])
"""


class Gateway:
    """One port for the broker's API and the person's servers, as the proxy has it."""

    def __init__(self, broker: DaskBroker) -> None:
        self.broker = broker
        self.servers: dict[str, int] = {}
        self.names: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.refuse: dict[str, Any] | None = None
        self.heads: list[str] = []  # the heads of all requests that came
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Every connection breaks, as when the gateway is restarted."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            method, target, _ = head.split(" ", 2)
            length = next(
                (int(line.split(":")[1]) for line in head.lower().splitlines() if line[:15] == "content-length:"), 0
            )
            body = await reader.readexactly(length)
            if target.startswith(API):
                path = target.removeprefix(API)
                if "/events" in path:
                    await self._news(path)
                if (answer := self._own(method, path, json.loads(body or b"{}"))) is not None:
                    writer.write(_answer(*answer))
                    await writer.drain()
                    return
                port = int(self.broker.api.split(":")[2].split("/")[0])
                head = head.replace(f" {API}", " /api/v1", 1)
            else:
                port = next((p for prefix, p in self.servers.items() if target.startswith(prefix)), 0)
                if not port:
                    writer.write(_answer(404, {}))
                    await writer.drain()
                    return
            await self._pass(head.encode() + body, reader, writer, port)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _pass(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", port)
        self._writers.add(to)
        to.write(first)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while piece := await source.read(65536):
                sink.write(piece)
                await sink.drain()

        tasks = [asyncio.ensure_future(copy(reader, to)), asyncio.ensure_future(copy(there, writer))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._writers.discard(to)
        to.close()

    def _own(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """What the double of the broker does not know: clusters by name, and sessions."""
        if path == "/clusters" and method == "POST":
            if self.refuse:
                return 400, self.refuse
            name = body["name"] or "dask-1"
            server = "" if body["session"] == SESSION else "apart"
            shape = {"cores": 1, "memory": 600, "gpus": 0, "walltime": None, "queue": "q", "project": None}
            view = {
                "id": CLUSTER, "name": name, "session": body["session"], "owner": "ada", "server": server or "lab",
                "live": True, "shape": shape | dict(body["shape"]), "price": PRICE, "centre": "here", "queue": "q",
                "beside": body["session"] == SESSION,
            }  # fmt: skip
            self.names[name] = view
            return 201, view
        if path == "/clusters?live=true":
            return 200, {"clusters": [view for view in self._views() if view["live"]]}
        if path.startswith("/clusters/") and method == "GET" and path.count("/") == 2:
            found = [view for view in self._views() if path.split("/")[2] in (view["name"], view["id"])]
            return (200, found[-1]) if found else (404, {"error": "no-cluster", "message": "there is none"})
        if path.startswith("/sessions"):
            return self._session(method, path, body)
        return None

    def _views(self) -> list[dict[str, Any]]:
        return [view | {"live": not self.broker.closed} for view in self.names.values()]

    async def _news(self, path: str) -> None:
        """A long poll: until there is something newer than what the client has."""
        while not self._session("GET", path, {})[1]["events"]:  # noqa: ASYNC110 - tests change the row as they like
            await asyncio.sleep(0.05)

    def _session(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            row = {"id": OTHER, "kind": body["options"]["kind"], "stage": "queued", "asked": dict(body)}
            self.sessions[OTHER] = row
            return 201, row
        row = self.sessions[OTHER]
        if method == "DELETE":
            row["stage"] = "ended"
            return 200, row
        if "/events" in path:
            after = int(path.split("after=")[1].split("&", maxsplit=1)[0])
            events = [{"id": 1, "stage": "queued", "code": "queued", "message": "waits: priority"}]
            if row["stage"] != "queued":
                more = {"code": row["stage"], "message": f"now {row['stage']}"}
                events.append({"id": 2, "stage": row["stage"], **more})
            return 200, {"events": events[after:]}
        return 200, row


def _answer(status: int, data: Mapping[str, Any]) -> bytes:
    body = json.dumps(data).encode()
    lines = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
    return lines.encode() + b"\r\n\r\n" + body


class Session:
    """The server of a session: at a TCP port for the gateway, or at a unix socket, or both ways through the gateway."""

    def __init__(self, folder: Path, gateway: Gateway, session: str = SESSION, **more: str) -> None:
        self.folder, self.gateway = folder, gateway
        self.port = free_ports(1)[0]
        self.prefix = PREFIX if session == SESSION else "/user/ada/apart/"
        self.socket = folder / f"{session[0]}.sock"
        facts = Facts(
            session=session, centre="here", walltime=3600, gateway=f"http://127.0.0.1:{gateway.port}", api=API,
            base=str(folder / "base"), ports="20000-59999",
        )  # fmt: skip
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "SLURM", "PERIJOVE"))}
        own = {"HOME": str(folder / "home"), "JUPYTERHUB_API_TOKEN": TOKEN, "JUPYTERHUB_SERVICE_PREFIX": self.prefix}
        self.environment = clean | facts.environment() | own | more
        self.process: asyncio.subprocess.Process | None = None
        gateway.servers[self.prefix] = self.port

    async def start(self, *options: str, at_socket: bool = False) -> None:
        """Run it; its output is in `log`."""
        (self.folder / "home").mkdir(exist_ok=True)
        (self.folder / "base").mkdir(exist_ok=True)
        at = [f"--ServerApp.sock={self.socket}"] if at_socket else [f"--ServerApp.port={self.port}"]
        words = [*at, "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}", "--no-browser", "--allow-root"]
        words += [f"--ServerApp.base_url={self.prefix}", "--KernelManager.transport=ipc", *options]
        with (self.folder / f"log-{self.socket.name}").open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CODE, *words, env=self.environment, cwd=self.folder, stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder / f"log-{self.socket.name}").read_text()

    async def stop(self) -> None:
        """End it in order."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 30)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
