"""A store with the ledger's tables, on SQLite and (marked `real`) on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from perijove.hub.broker.database import engine_for
from perijove.hub.broker.migrations import upgrade
from sqlalchemy import Engine


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """One writer."""
    made = engine_for(url, writes=True)
    upgrade(made)
    yield made
    made.dispose()
