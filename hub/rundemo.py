"""The whole gateway on this machine with nine embedded centres, and how it goes away again without a trace.

The state directory keeps passwords, stores and logs, so that a second start is the same gateway. Processes stay only
as long as the command: at its end all sessions are stopped, then the gateway, then whatever a centre still runs.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
from perijove.hub import serve
from perijove.hub.cli.words import _
from perijove.hub.people import passwords
from perijove.hub.settings import Settings

#: Seconds for the sessions' orderly end; what is left then is ended with its centre.
FAREWELL = 10.0


def settings_for(state_dir: Path, port: int | None) -> Settings:
    """The demo's settings, with the usual ports or, where one is taken, free ones.

    Raises:
        OSError: the `port` that was asked for is taken.
    """
    if port is not None and not _free(port):
        raise OSError(_("port {port} of 127.0.0.1 is taken").format(port=port))
    ports = _ports(port)
    return Settings.for_demo(
        state_dir,
        bind_url=f"http://127.0.0.1:{next(ports)}",
        proxy_api_port=next(ports),
        hub_port=next(ports),
        broker_port=next(ports),
    )


async def run(settings: Settings, *, load: bool, say: Callable[[str], None]) -> None:
    """Runs the demo until it is interrupted; `say` gets what a person is to read.

    Raises:
        AlreadyRunning, ProxyMissing, StartFailed: see `perijove.hub.serve.running`.
    """
    from perijove.hub import demo

    stop = asyncio.create_task(serve.interrupted())
    state = settings.state_dir
    with serve.state_lock(settings):
        await asyncio.to_thread(demo.clean_up, state)  # of a demo that was killed
        await asyncio.to_thread(demo.prepare, state)
        background = demo.Load(state)
        try:
            say(_("Starting the proxy, the broker, the hub and nine centres ..."))
            if load:
                background.start()  # before the broker looks at the centres for the first time
            await _live(settings, stop, say)
        finally:
            await asyncio.to_thread(background.stop)
            await asyncio.to_thread(demo.clean_up, state)
    say(_("Everything is stopped."))


async def _live(settings: Settings, stop: asyncio.Task[None], say: Callable[[str], None]) -> None:
    async with serve.running(settings, settings.save(), lock=False):
        say(_welcome(settings))
        await stop
        say(_("Stopping all sessions and centres ..."))
        await _farewell(settings)


def _welcome(settings: Settings) -> str:
    people = "\n".join(f"    {name:<10}{password}" for name, password in passwords(settings.state_dir).items())
    lines = [
        _("Perijove is at  {url}").format(url=f"{settings.url}/"),
        _("Sign in as one of these (name, password):"),
        people,
        _("Logs: {folder}").format(folder=settings.state_dir / "logs"),
        _("Ctrl-C ends it and leaves nothing behind."),
    ]
    return "\n  {}\n\n  {}\n\n{}\n\n  {}\n  {}\n".format(*lines)


async def _farewell(settings: Settings) -> None:
    """Stops every live session, so that the next start knows that they ended; bounded."""
    headers = {"Authorization": f"token {settings.secret('broker.token')}"}
    with suppress(httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError):
        async with (
            asyncio.timeout(FAREWELL),
            httpx.AsyncClient(base_url=settings.broker_api_url, headers=headers, trust_env=False) as broker,
        ):
            while live := _sessions((await broker.get("/sessions", params={"live": "true"})).json()):
                for session in live:
                    await broker.delete(f"/sessions/{session}")
                await asyncio.sleep(0.5)


def _sessions(answer: object) -> list[str]:
    rows = answer.get("sessions", []) if isinstance(answer, dict) else answer
    return [str(row["id"]) for row in rows] if isinstance(rows, list) else []


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ports(first: int | None) -> Iterator[int]:
    """Free ports, from the one asked for (8000) on: the gateway's, the proxy's API, the hub's and the broker's.

    They lie together, so that demos at different ports do not look for the same ones while they start.
    """
    yield from (port for port in range(first or 8000, 20000) if _free(port))


def say(text: str) -> None:
    """Prints at once, also into a pipe."""
    print(text, file=sys.stdout, flush=True)
