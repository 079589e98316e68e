"""A gateway on doubles, on SQLite and (marked `real`) on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from broker.harness import Gateway


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """One gateway, one centre, not started."""
    one = Gateway(tmp_path)
    yield one
    await one.stop()
