"""The extension in a real Jupyter server, started as a session starts it."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from perijove.spawners.facts import Facts
from perijove.widgets.lab import prepare

pytestmark = [pytest.mark.slow]
TOKEN = "token-of-the-test"
#: A Jupyter server as `perijove.widgets.lab` makes it, but for the hub.
CODE = """
import os, sys
from perijove.widgets.lab import prepare
prepare(os.environ)
from jupyter_server.serverapp import ServerApp
ServerApp.launch_instance(sys.argv[1:])
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A Jupyter server of a session with `facts`."""

    def __init__(self, home: Path, facts: Facts, *options: str) -> None:
        self.port = free_port()
        home.mkdir(exist_ok=True)
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "SLURM", "PERIJOVE"))
        }
        words = [f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"]
        words += ["--no-browser", "--allow-root", "--KernelManager.transport=ipc", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE, *words],
            env=clean | facts.environment() | {"HOME": str(home)},
            cwd=home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def get(self, path: str, token: str = TOKEN) -> tuple[int, str]:
        """Status and body; waits for the server to come up."""
        headers = {"Authorization": f"token {token}"} if token else {}
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, trust_env=False, timeout=20)
            except httpx.TransportError:
                assert time.monotonic() < deadline and self.process.poll() is None, "the server does not come up"
                select.select([], [], [], 0.1)
            else:
                return answer.status_code, answer.text

    def session(self) -> dict[str, Any]:
        """What the browser is told."""
        found: dict[str, Any] = json.loads(self.get("/perijove/session")[1])
        return found


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        server.process.kill()
        server.process.wait(10)


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of a session of somebody who speaks Chinese."""
    server = Server(tmp_path_factory.mktemp("chinese") / "home", facts(language="zh"))
    yield server
    server.process.kill()
    server.process.wait(10)


def facts(**more: Any) -> Facts:
    """A session of an hour that has just begun."""
    known = {"session": "s-1", "centre": "guangzhou", "centre_zh": "广州", "queue": "debug", "walltime": 3600}
    return Facts(**known | {"started": time.time(), "memory": 2048} | more)


def test_a_session_says_where_it_is_and_how_long_it_still_has(chinese: Server) -> None:
    said = chinese.session()
    assert said["centre"]["zh"] == "广州"
    assert (said["queue"]["id"], said["node"], said["memory"]) == ("debug", os.uname().nodename, 2 << 30)
    assert 0 < said["left"] <= 3540
    assert said["warnings"] == [1800, 600, 120]
    assert said["used"]["memory"] > 1 << 20
    assert chinese.get("/perijove/session", token="")[0] in (401, 403)


def test_jupyterlab_has_our_part_no_news_and_the_persons_language(chinese: Server) -> None:
    page = chinese.get("/lab")[1]
    config = json.loads(re.findall(r'type="application/json">(.*?)</script>', page, re.DOTALL)[0])
    ours = next(one for one in config["federated_extensions"] if one["name"] == "perijove")
    assert "init(given)" in chinese.get(f"/lab/extensions/perijove/{ours['load']}")[1]
    assert "@jupyterlab/apputils-extension:announcements" in config["disabledExtensions"]
    address = "/lab/api/settings/@jupyterlab/translation-extension:plugin"
    default = json.loads(chinese.get(address)[1])["schema"]["properties"]["locale"]["default"]
    assert default == "zh_CN"


def test_the_persons_own_choice_of_a_language_wins(tmp_path: Path, servers: list[Server]) -> None:
    own = tmp_path / "home/.jupyter/lab/user-settings/@jupyterlab/translation-extension/plugin.jupyterlab-settings"
    own.parent.mkdir(parents=True)
    own.write_text('{"locale": "en"}')
    servers.append(server := Server(tmp_path / "home", facts(language="zh")))
    said = json.loads(server.get("/lab/api/settings/@jupyterlab/translation-extension:plugin")[1])
    assert said["settings"]["locale"] == "en"


@pytest.mark.timeout(240)
def test_events_tell_of_the_time_and_the_server_ends_well_before_it_is_killed(
    tmp_path: Path, servers: list[Server]
) -> None:
    told, config = tmp_path / "events", tmp_path / "home/.jupyter/jupyter_server_config.py"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"import logging\nc.EventLogger.handlers = [logging.FileHandler({str(told)!r})]\n"
        "c.Perijove.warnings = [1]\nc.Perijove.margin = 9\n"
    )
    # A warning comes a minute before the end at the latest, and a busy machine takes half a minute to start.
    killed = time.time() + 90
    given = facts(started=killed - 180, walltime=180)
    servers.append(server := Server(tmp_path / "home", given))
    assert server.process.wait(120) == 0
    assert time.time() < killed
    events = [json.loads(line) for line in told.read_text().splitlines()]
    ours = [event for event in events if event["__schema__"] == "urn:perijove:time-left"]
    assert [event["state"] for event in ours] == ["warning", "ending"]
    assert ours[0]["seconds"] <= 60
    assert ours[0]["session"] == "s-1"


def test_without_a_known_end_nothing_is_counted(tmp_path: Path, servers: list[Server]) -> None:
    servers.append(server := Server(tmp_path / "home", Facts(session="s-1")))
    said = server.session()
    assert (said["left"], said["warnings"]) == (None, [])


def test_our_folders_come_first_and_theirs_stay() -> None:
    environment = {"JUPYTER_PATH": "/site/share", "PERIJOVE_LANGUAGE": "en"}
    prepare(environment)
    assert environment["JUPYTER_PATH"].endswith(":/site/share")
    assert "zh_CN" not in environment["JUPYTER_CONFIG_PATH"]
    prepare(chinese := {"PERIJOVE_LANGUAGE": "zh"})
    assert "zh_CN" in chinese["JUPYTER_CONFIG_PATH"]
