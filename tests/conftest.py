"""The order of the files where several processes share the tests (`make test`)."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with long tests are begun first: otherwise one process is at work on them long after the others."""
    if getattr(config.option, "loadscopereorder", True):
        return  # alone, or by the number of tests
    long: set[Path] = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
