"""A session of kind `app` as it is started in a job, but for the hub: a token or nothing lets people in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from doubles.run_broker import TOKEN
from perijove.spawners.facts import Facts

CODE = """
from jupyter_server.serverapp import ServerApp
from perijove.widgets import appserver
appserver.serve = ServerApp.launch_instance
appserver.main()
"""
BASE = "/user/alice/tiny/"


@dataclass
class AppServer:
    """One that runs."""

    address: str
    process: subprocess.Popen[bytes]
    home: Path
    log: Path

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request with the token; `path` below the base address, as it is."""
        headers = {"Authorization": f"token {TOKEN}", **more.pop("headers", {})}
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.request(method, f"{self.address}{path}", headers=headers, **more)

    def until(self, path: str, true: Any, seconds: float = 60) -> Any:
        """The JSON of `path` once `true` holds of it."""
        deadline = time.monotonic() + seconds
        while not true(found := self.ask("GET", path).json()):
            assert time.monotonic() < deadline, json.dumps(found)[:2000]
            threading.Event().wait(0.1)
        return found


@contextmanager
def app_server(home: Path, facts: Facts, *options: str, token: str = TOKEN) -> Iterator[AppServer]:
    """Started and answering; `token` is what lets people in ("": nothing is needed)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home.mkdir(exist_ok=True)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "SLURM", "PERIJOVE"))}
    words = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    words += [f"--ServerApp.base_url={BASE}", "--no-browser", "--allow-root", "--KernelManager.transport=ipc", *options]
    log = home / "server.log"
    with tempfile.TemporaryDirectory(prefix="pj-") as runtime, log.open("wb") as output:
        more = {"HOME": str(home), "JUPYTER_RUNTIME_DIR": runtime}
        more |= {"JUPYTERHUB_API_TOKEN": TOKEN, "JUPYTERHUB_USER": "alice"}
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, *words],
            env=clean | facts.environment() | more,
            cwd=home,
            stdout=output,
            stderr=output,
        )
        server = AppServer(f"http://127.0.0.1:{port}{BASE}", process, home, log)
        try:
            deadline = time.monotonic() + 90
            while not _answers(server):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-4000:]
                threading.Event().wait(0.1)
            yield server
        finally:
            process.terminate()
            process.wait(40)


def _answers(server: AppServer) -> bool:
    try:
        return server.ask("GET", "api").status_code == 200
    except httpx.HTTPError:
        return False
