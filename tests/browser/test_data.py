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
    ends = {"from": {"centre": "tianjin", "path": "data/ERA5 monthly means 1991-2020.nc"}}
    ends |= {"to": {"centre": "wuxi", "path": "from-tianjin/ERA5_monthly_means_1991-2020.nc"}}
    row = {"owner": "alice", "created": "2026-01-01T00:00:00+00:00", "total": 4 << 30, "moved": 1 << 30} | ends
    full, silent = {"code": "home-full", "message": ""}, {"code": "centre-silent", "message": ""}
    going = {"rate": 64 << 20, "left": 48.0, "problem": None}
    fake_gateway.broker.transfers = [
        row | going | {"id": "t1", "state": "running"},
        row | {"id": "t2", "state": "running", "problem": silent},
        row | {"id": "t3", "state": "failed", "problem": full},
        row | {"id": "t4", "state": "done", "problem": None},
    ]
    yield fake_gateway
    fake_gateway.broker.centres, fake_gateway.broker.transfers = before, []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_reads_well(federation: Any, visit: Callable[..., Any], lang: str, dark: bool) -> None:
    visitor = visit(f"{federation.url}/services/perijove/data?lang={lang}", lang=lang, dark=dark)
    for width in (1280, 320):
        visitor.page.set_viewport_size({"width": width, "height": 900})
        assert not visitor.faults()
        visitor.shot(f"data-{lang}-{dark}-{width}")
    said = visitor.page.locator("[data-live] li").all_inner_texts()
    assert len(said) == 4 and {"en": "On its way", "zh": "传送中"}[lang] in said[0]
    assert {"en": "Where it lies", "zh": "存放位置"}[lang] in visitor.page.locator("main").inner_text()
