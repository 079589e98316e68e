"""The page of data sets."""

from __future__ import annotations

from typing import Any

import httpx


async def test_it_says_the_licence_the_place_and_where_to_start(alice: httpx.AsyncClient, federation: Any) -> None:
    text = (await alice.get("data")).text
    part = text.split("ERA5", 1)[1].split("</section>")[0]
    assert "/data/era5" in part
    assert "not stated: ask the centre" in part
    assert "/start?data.era5=1" in part
    assert 'href="/services/perijove/data"' in (await alice.get("centres")).text


async def test_it_speaks_chinese(alice: httpx.AsyncClient, federation: Any) -> None:
    assert "存放位置" in (await alice.get("data?lang=zh")).text
