"""The real thing without root: proxy, broker and hub as processes, jobs on an embedded centre, a person with a browser.

One gateway for the module; each test uses server names of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from harness.basics import eventually, settings_in
from harness.flow import Flow
from harness.kernel import Kernel
from perijove.hub import demo
from perijove.hub.serve import running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Flow]:
    """A gateway with the demo's nine centres and nobody else's load."""
    state = tmp_path_factory.mktemp("flow") / "state"
    settings = settings_in(state)
    demo.prepare(state)
    try:
        async with AsyncExitStack() as stack:
            gateway = await stack.enter_async_context(running(settings, settings.save()))
            yield Flow(gateway, settings, stack)
    finally:
        demo.clean_up(state)


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., Awaitable[Any]]:
    return eventually


@pytest.fixture
def kernel() -> type[Kernel]:
    """The class of kernels."""
    return Kernel


@pytest.fixture
def centre_files(flow: Flow) -> list[Path]:
    """The descriptions of the gateway's centres."""
    return sorted(flow.settings.centres_dir.glob("*.toml"))
