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


def on_its_way(state: str = "running", **values: Any) -> dict[str, Any]:
    ends = {"from": {"centre": "tianjin", "path": "data/<b>.nc"}, "to": {"centre": "wuxi", "path": "from-tianjin/b.nc"}}
    sizes = {"total": 4 << 30, "moved": 1 << 30, "rate": 64 << 20, "left": 48.0}
    row = {"id": "t", "owner": "alice", "state": state, "created": "2026-01-01T00:00:00+00:00", "problem": None}
    return row | ends | sizes | values


async def test_nobodys_files_on_their_way_is_said(alice: httpx.AsyncClient, federation: Any) -> None:
    text = (await alice.get("data")).text
    assert "None of your files is on its way" in text and "data-done" in text
    assert "您没有文件正在传送" in (await alice.get("data?lang=zh")).text


async def test_a_file_on_its_way_shows_its_progress_and_can_be_stopped(
    alice: httpx.AsyncClient, world: Any, federation: Any
) -> None:
    world.broker.transfers = [on_its_way(), on_its_way(id="theirs", owner="bob")]
    text = (await alice.get("data/transfers")).text
    assert "&lt;b&gt;.nc" in text and "<b>.nc" not in text and 'value="25"' in text
    assert "1 GiB / 4 GiB · 64 MiB/s" in text and "data-done" not in text and "theirs" not in text
    assert "t/cancel" in text
    seen = (await alice.get("data/transfers")).headers["X-Mark"]
    assert (await alice.get("data/transfers", params={"seen": seen})).status_code == 204
    answer = await alice.post("data/transfers/t/cancel", data={"_xsrf": world.xsrf()})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/services/perijove/data#transfers")
    assert "Being cancelled" in (await alice.get("data/transfers")).text
    assert (await alice.post("data/transfers/theirs/cancel", data={"_xsrf": world.xsrf()})).status_code == 404
    assert (await alice.post("data/transfers/t/magic", data={"_xsrf": world.xsrf()})).status_code == 404
    assert (await alice.post("data/transfers/t/cancel", data={})).status_code == 403


async def test_what_failed_says_why_and_what_to_do_and_is_ordered_again(
    alice: httpx.AsyncClient, world: Any, federation: Any
) -> None:
    problem = {"code": "home-full", "message": "ENOSPC"}
    world.broker.transfers = [on_its_way("failed", problem=problem)]
    text = (await alice.get("data/transfers")).text
    assert "your quota there is full" in text and "Free some space there" in text and "ENOSPC" not in text
    assert (await alice.post("data/transfers/t/again", data={"_xsrf": world.xsrf()})).status_code == 303
    made = world.broker.transfers[0]
    assert (made["state"], made["from"], made["to"]) == ("waiting", on_its_way()["from"], on_its_way()["to"])
    world.broker.transfers = [on_its_way("failed", problem={"code": "odd", "message": "<odd> words"})]
    assert "&lt;odd&gt; words" in (await alice.get("data/transfers")).text
    world.broker.transfers = [on_its_way(problem={"code": "centre-silent", "message": ""})]
    assert "Interrupted, goes on by itself" in (await alice.get("data/transfers")).text


async def test_every_reason_for_which_a_file_may_not_come_has_words() -> None:
    from perijove.hub.broker.files import WORDS
    from perijove.hub.pages.transferwords import TROUBLES

    # These are faults between the gateway's own parts, said in their own words; a listing is not carried.
    assert set(WORDS) - set(TROUBLES) == {"no-folder", "offset", "home-missing", "centre-refuses"}
