"""The supervisor of the gateway's three processes: proxy, broker and hub, started in this order and ended in reverse.

Each may be killed and is started again alone; the others are not touched. Tokens reach them through files of the
state directory or the environment, never through arguments. One supervisor per state directory: a lock says so.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
from perijove.hub import proxy
from perijove.hub.children import Child, Plan
from perijove.hub.cli.words import _
from perijove.hub.locks import exclusive
from perijove.hub.logsecrets import without_links
from perijove.hub.settings import Settings


class AlreadyRunning(RuntimeError):
    """Another supervisor works with this state directory."""


@contextmanager
def state_lock(settings: Settings) -> Iterator[None]:
    """Holds the state directory for this process; the lock dies with it, however it dies.

    Raises:
        AlreadyRunning: another process holds it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(settings.directory() / "lock"))
        except BlockingIOError:
            words = _("a gateway is running with {folder}")
            raise AlreadyRunning(words.format(folder=settings.state_dir)) from None
        yield


def allow_many_files() -> None:
    """Lets the processes started from now on open as many files as the system grants: each session needs several
    sockets, and the usual soft limit (1,024) would be reached with some hundred sessions."""
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def plans(settings: Settings, config: Path) -> tuple[Plan, Plan, Plan]:
    """Proxy, broker and hub, as they are to be run; `config` is the file that `settings` came from."""
    environment = {**os.environ, "PERIJOVE_CONFIG": str(config), "PYTHONUNBUFFERED": "1"}
    environment.pop("CONFIGPROXY_AUTH_TOKEN", None)
    path = environment.get("PATH", "")
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    logs, run = settings.directory("logs"), settings.directory("run")

    def plan(name: str, argv: list[str], ready: str, more: dict[str, str] | None = None) -> Plan:
        return Plan(name, argv, environment | (more or {}), ready, logs / f"{name}.log", run / f"{name}.pid")

    python = sys.executable
    hub_config = hub_config_file(settings)
    return (
        replace(
            plan(
                "proxy",
                [*proxy.ensure(), *proxy.options(settings)],
                f"{settings.proxy_api_url}/api/routes",
                proxy.environment(settings),
            ),
            # Where the broker is away it writes down the address that was asked for.
            clean=without_links,
        ),
        plan(
            "broker",
            [python, "-m", "perijove.hub.cli", "broker", "--config", str(config)],
            f"{settings.broker_api_url}/health/live",
        ),
        plan("hub", [python, "-m", "jupyterhub", "-f", str(hub_config)], f"{settings.hub_api_url}/"),
    )


def hub_config_file(settings: Settings) -> Path:
    """The hub's configuration file: three lines that call `perijove.hub.jupyterhub.configure`."""
    path = settings.directory("run") / "jupyterhub_config.py"
    path.write_text(
        "from perijove.hub.jupyterhub import configure\n"
        "from perijove.hub.settings import from_environment\n\n"
        "configure(get_config(), from_environment())\n",
        encoding="utf-8",
    )
    return path


class Gateway:
    """The three processes, running."""

    def __init__(self, settings: Settings, config: Path) -> None:
        self.settings = settings
        proxy_plan, broker_plan, hub_plan = plans(settings, config)
        self.proxy = Child(proxy_plan, after_restart=self.restore_routes)
        self.broker = Child(broker_plan)
        self.hub = Child(hub_plan, after_restart=self.restore_routes)

    async def restore_routes(self) -> None:
        """Has the hub write its routes into a proxy that came up empty; the hub looks by itself only twice a minute."""
        address = f"{self.settings.hub_api_url}/proxy"
        headers = {"Authorization": f"token {self.settings.secret('broker.token')}"}
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            with suppress(httpx.HTTPError):
                await client.post(address, headers=headers)


@asynccontextmanager
async def running(settings: Settings, config: Path, *, lock: bool = True) -> AsyncIterator[Gateway]:
    """The gateway while the block runs; afterwards none of its processes is left. `lock=False`: the caller has it.

    Raises:
        AlreadyRunning: another gateway has this state directory.
        ProxyMissing: the proxy could not be installed.
        StartFailed: a part did not come up.
    """
    async with AsyncExitStack() as stack:
        if lock:
            stack.enter_context(state_lock(settings))
        allow_many_files()
        gateway = Gateway(settings, config)
        for child in (gateway.proxy, gateway.broker, gateway.hub):
            stack.push_async_callback(child.stop)
            await child.start()
        # The hub answers a moment before it has told the proxy of itself.
        await gateway.restore_routes()
        yield gateway


async def interrupted() -> None:
    """Waits for Ctrl-C or SIGTERM."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, event.set)
    await event.wait()


async def serve(settings: Settings, config: Path) -> None:
    """Runs the gateway until it is interrupted; see `running` for what may be raised."""
    stop = asyncio.create_task(interrupted())
    async with running(settings, config):
        print(_("Perijove is at {url}").format(url=f"{settings.url}/"), flush=True)
        await stop
