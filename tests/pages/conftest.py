"""Browsers of two people on the pages, over a fake API (see `fake.py`)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from perijove.hub.pages.people import COOKIE


def load(name: str) -> ModuleType:
    """A helper module of this folder (tests are no package)."""
    full = f"pages_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).parent / f"{name}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        spec.loader.exec_module(module)
    return sys.modules[full]


fake: Any = load("fake")


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
    world.broker.centres = fake.national.national()
    return world


@pytest.fixture(scope="session")
def messages() -> dict[str, str]:
    """Every message of templates and code."""
    found: dict[str, str] = load("messages").messages()
    return found
