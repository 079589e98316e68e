"""The supervisor: what dies is started again alone, and nothing is left when it ends, however it ends."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from harness.basics import settings_in
from perijove.hub import proxy
from perijove.hub.children import Child, Plan, StartFailed
from perijove.hub.locks import exclusive
from perijove.hub.serve import AlreadyRunning, allow_many_files, hub_config_file, plans, state_lock
from perijove.hub.settings import Settings

Eventually = Callable[..., Awaitable[Any]]

SERVER = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *_): pass
print("up", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from perijove.hub.children import Child, Plan
folder, port, server = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
async def main():
    plan = Plan("one", [sys.executable, "-c", server, port], {}, f"http://127.0.0.1:{port}/",
                folder / "one.log", folder / "one.pid")
    await Child(plan).start()
    print("started", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
async def child(tmp_path: Path, free_port: int) -> AsyncIterator[Child]:
    argv = [sys.executable, "-c", SERVER, str(free_port)]
    url = f"http://127.0.0.1:{free_port}/"
    made = Child(Plan("one", argv, dict(os.environ), url, tmp_path / "one.log", tmp_path / "one.pid"))
    yield made
    await made.stop()


def pid_of(child: Child) -> int:
    return int(child.plan.pid_file.read_text())


async def test_no_link_to_a_shared_run_gets_into_the_proxys_log(tmp_path: Path, eventually: Eventually) -> None:
    """With the real proxy, whose broker is away."""
    token = "kYv_3-xQ0aZ1bY2cX3dW4eV5fU6gT7hS8iR9jQ0kP1l"
    settings = settings_in(tmp_path)
    made = Child(plans(settings, tmp_path / "perijove.toml")[0])
    await made.start()
    headers = {"Authorization": f"token {settings.secret('proxy.token')}"}
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            routes = f"{settings.proxy_api_url}/api/routes/services/perijove"
            answer = await client.post(routes, headers=headers, json={"target": "http://127.0.0.1:9"})
            assert answer.status_code == 201
            for end in ("", "/files/a.png?x=1"):
                shared = f"http://127.0.0.1:{settings.proxy_port}/services/perijove/shared/{token}{end}"
                assert (await client.get(shared)).status_code == 503

        async def logged() -> bool:
            return made.plan.log.read_text().count("/services/perijove/shared/[secret]") >= 2

        await eventually(logged)
    finally:
        await made.stop()
    text = made.plan.log.read_text()
    assert "503 GET /services/perijove/shared/[secret]/files/a.png" in text and token not in text


async def test_a_line_that_is_too_long_to_be_cleaned_is_left_out(tmp_path: Path, free_port: int) -> None:
    script = f"print('a' * {3 << 20} + 'secret')\nprint('a secret')\n" + SERVER
    url, argv = f"http://127.0.0.1:{free_port}/", [sys.executable, "-c", script, str(free_port)]
    log, pid = tmp_path / "one.log", tmp_path / "one.pid"
    made = Child(Plan("one", argv, dict(os.environ), url, log, pid, clean=lambda line: line.replace("secret", "***")))
    await made.start()
    await made.stop()
    lines = log.read_text().splitlines()
    assert lines[-2:] == ["a ***", "up"] and "[a line that is too long]" in lines and "secret" not in log.read_text()


async def test_a_child_that_was_killed_is_started_again(child: Child, eventually: Eventually) -> None:
    await child.start()
    first = pid_of(child)
    os.kill(first, signal.SIGKILL)

    async def again() -> bool:
        return child.restarts == 1 and pid_of(child) != first

    await eventually(again)
    assert child.plan.log.read_text().count("up") >= 1
    await child.stop()
    assert not psutil.pid_exists(first)
    assert not child.plan.pid_file.exists()


async def test_a_child_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    plan = Plan("bad", [sys.executable, "-c", "1/0"], {}, "http://127.0.0.1:9/", tmp_path / "l", tmp_path / "p")
    child = Child(plan)
    with pytest.raises(StartFailed, match="its log"):
        await child.start()
    await child.stop()
    assert "ZeroDivisionError" in (tmp_path / "l").read_text()


async def test_the_children_of_a_killed_supervisor_end_too(
    tmp_path: Path, free_port: int, eventually: Eventually
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISOR, str(tmp_path), str(free_port), SERVER), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"started\n"
    server = int((tmp_path / "one.pid").read_text())
    assert psutil.pid_exists(server)
    process.kill()
    await process.wait()

    async def ended() -> bool:
        return not psutil.pid_exists(server) or psutil.Process(server).status() == psutil.STATUS_ZOMBIE

    await eventually(ended)


def test_a_state_directory_has_one_gateway(tmp_path: Path) -> None:
    settings = Settings.for_demo(tmp_path / "state")
    with state_lock(settings), pytest.raises(AlreadyRunning, match="is running"), state_lock(settings):
        pass
    with state_lock(settings):
        pass


def test_no_secret_stands_in_a_command_line(tmp_path: Path) -> None:
    settings = Settings.for_demo(tmp_path / "state")
    secrets = [settings.secret(name) for name in ("proxy.token", "broker.token", "cookie_secret")]
    made = plans(settings, settings.save())
    assert [plan.name for plan in made] == ["proxy", "broker", "hub"]
    for plan in made:
        assert not [s for s in secrets if s in " ".join(plan.argv)]
    assert "0.0.0.0" not in " ".join(proxy.options(settings))  # noqa: S104
    for name in ("broker", "hub"):
        assert "CONFIGPROXY_AUTH_TOKEN" not in next(p for p in made if p.name == name).environment
    assert not [s for s in secrets if s in hub_config_file(settings).read_text()]


def test_the_proxy_is_the_pinned_one(tmp_path: Path) -> None:
    script = Path(proxy.ensure()[1])
    assert f'"version": "{proxy.VERSION}"' in (script.parents[1] / "package.json").read_text()


def test_a_gateway_may_open_as_many_files_as_the_system_grants() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_lock_is_one_processs_alone_and_given_back(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock"), pytest.raises(BlockingIOError), exclusive(tmp_path / "lock"):
        pass
    with exclusive(tmp_path / "lock"):
        pass
