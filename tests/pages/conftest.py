"""Browsers of two people on the pages, over a fake API (see `fake.py`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pages import fake, national
from pages.messages import messages as all_messages
from perijove.hub.pages.people import COOKIE


@dataclass
class World:
    """The fake broker, the pages, and browsers."""

    broker: Any
    site: Any
    browser: Callable[[str | None], httpx.AsyncClient]

    def xsrf(self, name: str = "alice") -> str:
        """The XSRF token of a person's login."""
        token: str = self.site.signer.xsrf(f"token-of-{name}")
        return token


@pytest.fixture
async def world() -> AsyncIterator[World]:
    app, broker, site = fake.create()
    async with AsyncExitStack() as stack:
        clients: list[httpx.AsyncClient] = []

        def browser(name: str | None = "alice") -> httpx.AsyncClient:
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://gateway.test/services/perijove/"
            )
            if name:
                client.cookies.set(COOKIE, site.signer.sign(COOKIE, {"token": f"token-of-{name}"}))
            clients.append(client)
            stack.push_async_callback(client.aclose)
            return client

        yield World(broker, site, browser)


@pytest.fixture
def alice(world: World) -> httpx.AsyncClient:
    return world.browser("alice")


@pytest.fixture
def federation(world: World) -> World:
    """The pages over a federation with realistic figures."""
    world.broker.centres = national.national()
    return world


@pytest.fixture(scope="session")
def messages() -> dict[str, str]:
    """Every message of templates and code."""
    return all_messages()
