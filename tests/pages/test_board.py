"""The board of centres, the small pictures, and what a waiting session is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st
from perijove.hub.pages import charts
from perijove.hub.pages.news import fresh

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def part(text: str, centre: str) -> str:
    """The part of the board about one centre."""
    return text.split(f'id="c-{centre}"')[1].split("</section>", maxsplit=1)[0]


async def test_the_board_says_how_busy_each_queue_is_and_how_long_starts_take(
    alice: httpx.AsyncClient, federation: Any
) -> None:
    text = part((await alice.get("centres")).text, "guangzhou")
    assert "1,904 of 6,144 cores free" in text
    assert "half start within" in text
    assert "from 84 starts in 7 days" in text
    assert "91% of 84 starts fell into the range that was forecast (goal: 90%)" in text
    assert "last session started" in text
    assert "JupyterLab 4.6" in text
    assert "9 TiB" in text
    assert text.count('role="img"') == 4


async def test_every_picture_has_words(alice: httpx.AsyncClient, federation: Any) -> None:
    federation.broker.add(forecast={"low": 60, "likely": 90, "high": 900, "evidence": "history"})
    for page in ("centres", "start?cores=8", next(f"sessions/{key}" for key in federation.broker.sessions)):
        for picture in (await alice.get(page)).text.split("<svg")[1:]:
            head = picture.split(">")[0]
            assert 'aria-hidden="true"' in head or ('role="img" aria-label="' in head and 'label=""' not in head), head


async def test_a_centre_that_is_down_is_on_the_board_with_what_was_known(
    alice: httpx.AsyncClient, federation: Any
) -> None:
    text = part((await alice.get("centres")).text, "chengdu")
    assert "Does not answer" in text
    assert "It has not answered since" in text
    assert "230 of 2,560 cores free" in text
    assert "no starts of ours yet" in text
    assert "too few to score yet" in text


async def test_a_drained_centre_says_why_and_offers_no_start(alice: httpx.AsyncClient, federation: Any) -> None:
    text = part((await alice.get("centres")).text, "wuxi")
    assert "No new sessions" in text
    assert "Cooling works until Thursday." in text
    assert "Start here" not in text


async def test_notice_and_maintenance_are_on_the_board_in_both_languages(
    alice: httpx.AsyncClient, federation: Any
) -> None:
    assert "The scratch file system is slow today." in part((await alice.get("centres")).text, "kunshan")
    assert "scratch 文件系统较慢" in part((await alice.get("centres?lang=zh")).text, "kunshan")
    assert "维护时间：" in part((await alice.get("centres")).text, "zhengzhou")


async def test_the_home_page_shows_sessions_first_then_start_then_centres(
    alice: httpx.AsyncClient, federation: Any
) -> None:
    federation.broker.add(stage="ready", connected=True, ends_by="2099-01-01T00:00:00+00:00", centre="jinan")
    text = (await alice.get("")).text
    order = [text.index(words) for words in ("Time left", "A whole node", "Load and waits")]
    assert order == sorted(order)
    assert "Follow up" in text
    assert "1,919 cores free" in text


async def test_a_waiting_session_says_how_many_are_ahead_and_when_it_may_start(
    alice: httpx.AsyncClient, federation: Any
) -> None:
    start = {"low": 60, "likely": 300, "high": 900, "middle": [200, 400], "evidence": "both", "count": 12, "days": 30}
    row = federation.broker.add(ahead=0, forecast=start | {"expected": "2026-11-24T14:02:00+00:00"})
    text = (await alice.get(f"sessions/{row['id']}")).text
    assert "usually 1–15 min" in text
    assert "from 12 starts in 30 days, and the centre&#39;s own estimate" in text
    assert '<dd class="pj-big">0</dd>' in text
    assert 'datetime="2026-11-24T14:02:00+00:00"' in text
    assert "other jobs first" in text
    assert 'class="pj-code pj-quiet">Priority' in text


def test_a_fragment_whose_clocks_alone_have_moved_is_not_sent_again() -> None:
    def body(clock: str, place: float, words: str) -> Response:
        timers = f'<span data-since="t">{clock}</span><span data-until="t">{clock}</span>'
        return Response(f'<p>{words}</p>{timers}<rect data-marker="t" data-end="9" x="{place}"/><p>end</p>')

    mark = fresh(body("0:00:01", 1.5, "waits"), None).headers["X-Mark"]
    assert fresh(body("0:00:07", 2.5, "waits"), mark).status_code == 204
    assert fresh(body("0:00:07", 2.5, "runs"), mark).status_code == 200


@given(st.lists(st.floats(0, 1e8), min_size=1, max_size=60))
def test_a_time_axis_keeps_the_order_and_stays_inside(waits: list[float]) -> None:
    end = charts.axis(max(waits))
    places = [charts.place(wait, end) for wait in sorted(waits)]
    assert places == sorted(places)
    assert all(0 <= place <= charts.WIDTH for place in places)
    assert charts.labels(end)[-1][1] == end
    for x, y in charts.dots(waits, end):
        assert 0 <= x <= charts.WIDTH
        assert 0 <= y <= charts.HEIGHT


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_inner_band_lies_within_the_outer_one(first: float, second: float, third: float) -> None:
    low, likely, high = sorted((first, second, third))
    bar = charts.bar(low, (low, likely), likely, high, charts.axis(high))
    assert bar.outer[0] <= bar.inner[0]
    assert bar.inner[0] + bar.inner[1] <= bar.outer[0] + bar.outer[1] + 2
    assert bar.outer[1] >= 2


def test_a_load_curve_covers_a_day_and_ignores_what_is_older() -> None:
    rows = [(NOW - timedelta(hours=30), 9.0, 10.0), (NOW - timedelta(hours=12), 5.0, 10.0), (NOW, 10.0, 10.0)]
    assert charts.load(rows, NOW) == "120.0,20.0 240.0,20.0 240.0,0.0 240,0.0"
    assert charts.area(charts.load(rows, NOW)) == "120.0,40 120.0,20.0 240.0,20.0 240.0,0.0 240,0.0 240,40"
    assert charts.load([], NOW) == ""
    assert charts.area("") == ""
