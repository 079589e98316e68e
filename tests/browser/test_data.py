"""The page of data sets in Chromium: axe, the policy, narrow and wide, both languages, light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.browser]


@pytest.fixture
def federation(fake_gateway: Any) -> Iterator[Any]:
    """Pages over a federation whose centres have data sets."""
    before, fake_gateway.broker.centres = fake_gateway.broker.centres, fake_gateway.national()
    yield fake_gateway
    fake_gateway.broker.centres = before


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_reads_well(federation: Any, visit: Callable[..., Any], lang: str, dark: bool) -> None:
    visitor = visit(f"{federation.url}/services/perijove/data?lang={lang}", lang=lang, dark=dark)
    for width in (1280, 320):
        visitor.page.set_viewport_size({"width": width, "height": 900})
        assert not visitor.faults()
        visitor.shot(f"data-{lang}-{dark}-{width}")
    assert {"en": "Where it lies", "zh": "存放位置"}[lang] in visitor.page.locator("main").inner_text()
