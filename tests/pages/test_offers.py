"""Offers on the start page: forecasts, reasons, the recommended one, and what would make the others fit."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from perijove.hub.pages.forecast import Forecast, Progress
from perijove.hub.pages.formats import Formats
from perijove.hub.pages.languages import languages
from perijove.hub.pages.presets import presets

ENGLISH, CHINESE = (Formats(language) for language in languages().values())


def card(text: str, key: str) -> str:
    """The part of the page about one offer."""
    return re.split('<div class="pj-offer(?: pj-no)?">', text.split(f'id="p-{key}"')[1])[0]


async def test_each_offer_says_when_it_starts_and_what_that_rests_on(alice: httpx.AsyncClient, federation: Any) -> None:
    text = (await alice.get("start?cores=8&walltime=4h")).text
    assert "usually within 6 min" in card(text, "guangzhou--compute")
    assert "from 84 starts this week" in card(text, "guangzhou--compute")
    assert "the centre&#39;s own estimate" in card(text, "tianjin--compute")
    assert "no starts recorded here yet" in card(text, "chengdu--compute")
    assert "pj-vague" in card(text, "chengdu--compute")
    assert "3.84 credits" in card(text, "guangzhou--compute")
    assert "limit: 64 cores, 256 GiB, 2 days" in card(text, "guangzhou--compute")


async def test_an_offer_says_what_speaks_for_and_against_its_centre(alice: httpx.AsyncClient, federation: Any) -> None:
    text = (await alice.get("start?cores=8&walltime=4h&data=era5")).text
    assert "has ERA5" in card(text, "guangzhou--compute")
    assert "without ERA5" in card(text, "kunshan--compute")
    assert "file system is slow" in card(text, "kunshan--compute")
    assert "maintenance from" in card(text, "zhengzhou--compute")
    assert "no answer since" in card(text, "chengdu--compute")


@pytest.mark.parametrize(
    ("prefer", "place", "why"),
    [
        ("balanced", "jinan/compute", "the best balance of start and price"),
        ("start", "jinan/compute", "starts soonest"),
        ("price", "wuxi/compute", "costs least"),
        ("data", "jinan/compute", "your data lies there"),
    ],
)
async def test_what_matters_decides_what_is_recommended_and_chosen(
    alice: httpx.AsyncClient, federation: Any, prefer: str, place: str, why: str
) -> None:
    text = (await alice.get(f"start?cores=8&walltime=4h&data=era5&prefer={prefer}")).text
    here = card(text, place.replace("/", "--"))
    assert f"Recommended: {why}" in here
    assert here.startswith(f' value="{place}" checked')
    assert text.count(" checked data-say=") == 1


async def test_a_place_that_was_chosen_stays_chosen_beside_the_recommended_one(
    alice: httpx.AsyncClient, federation: Any
) -> None:
    text = (await alice.get("start?cores=8&walltime=4h&centre=wuxi&queue=compute")).text
    assert 'value="wuxi/compute" checked' in text
    assert 'value="jinan/compute" checked' not in text
    assert "Recommended" in card(text, "jinan--compute")


async def test_what_does_not_fit_has_a_button_for_the_smallest_change(alice: httpx.AsyncClient, world: Any) -> None:
    text = (await alice.get("start?cores=4&walltime=48h&data=era5&prefer=price")).text
    small = card(text, "small--work")
    link = re.search(r'href="[^"]*/start\?([^"]*)" data-set="([^"]*)" data-place="small/work">Use ([^<]*)<', small)
    assert link, small
    assert link[3] == "2 cores, 1 day"
    assert link[2].replace("&#34;", '"') == '{"cores": "2", "walltime": "24"}'
    fixed = (await alice.get(f"start?{link[1].replace('&amp;', '&')}")).text
    assert 'value="small/work" checked' in fixed
    assert 'value="price" checked' in fixed


async def test_a_fault_that_no_field_mends_has_no_button(alice: httpx.AsyncClient, federation: Any) -> None:
    federation.broker.centres["wuxi"] = federation.broker.centres["wuxi"].model_copy(update={"enabled": False})
    closed = card((await alice.get("start?cores=8")).text, "wuxi--compute")
    assert "takes no new sessions" in closed
    assert "data-set" not in closed


async def test_a_broker_without_forecasts_is_served_too(alice: httpx.AsyncClient, world: Any) -> None:
    world.broker.old = True
    for page in ("", "start?cores=2", "centres"):
        assert (await alice.get(page)).status_code == 200
    assert "0.20 credits" in (await alice.get("start?cores=2&walltime=1h")).text


async def test_a_forecast_of_a_wrong_type_is_an_error_and_not_a_silent_blank() -> None:
    with pytest.raises(TypeError):
        Forecast.parse("soon")
    with pytest.raises((TypeError, ValueError)):
        Forecast.parse({"high": "later"})
    assert Forecast.parse(None) is None
    assert Forecast.parse({"evidence": "none"}) is None


@pytest.mark.parametrize(
    ("low", "high", "english", "chinese"),
    [
        (0, 20, "within 1 min", "1 分钟内"),
        (10, 600, "within 10 min", "10 分钟内"),
        (120, 600, "2–10 min", "2–10 分钟"),
        (600, 640, "10–11 min", "10–11 分钟"),
        (600, 610, "about 10 min", "约 10 分钟"),
        (1200, 3 * 3600, "20 min – 3 h", "20 分钟 – 3 小时"),
        (2 * 3600, 9000, "2–2.5 h", "2–2.5 小时"),
        (86400, 3 * 86400, "1–3 d", "1–3 天"),
    ],
)
def test_a_range_is_said_as_people_say_it(low: float, high: float, english: str, chinese: str) -> None:
    assert ENGLISH.reach(low, high) == english
    assert CHINESE.reach(low, high) == chinese


def test_what_is_kept_ready_starts_at_once() -> None:
    warm = Forecast.parse({"low": 0, "likely": 2, "high": 15, "middle": [1, 5], "evidence": "warm"})
    assert warm
    assert (warm.range_words(ENGLISH), warm.basis_words(ENGLISH)) == ("at once", "a job is kept ready there")
    assert (warm.range_words(CHINESE), warm.basis_words(CHINESE)) == ("立即", "那里有预先备好的作业")


def test_a_waiting_session_is_told_where_it_is_in_its_forecast() -> None:
    forecast = Forecast.parse({"low": 60, "likely": 300, "high": 900, "middle": [200, 500], "evidence": "history"})
    assert forecast
    said = [Progress(forecast, elapsed).words(ENGLISH) for elapsed in (100, 700, 1000)]
    assert [words.split(",")[0].split(":")[0] for words in said] == [
        "It is within the forecast.",
        "It takes a little longer than most",
        "This takes longer than forecast",
    ]
    late = Progress(forecast, 5000)
    assert late.at < 240
    assert late.end > 5000


def queue(cores: int, gpus: int = 0, hours: int = 24, **more: Any) -> dict[str, Any]:
    return {"name": f"q{cores}", "cores": cores, "gpus": gpus, "max_time": hours * 3600} | more


def test_presets_are_sizes_that_the_queues_have() -> None:
    centres = [{"queues": [queue(64), queue(32, 4), queue(64, hours=6), queue(1000)]}]
    assert [(p.code, p.cores, p.gpus, p.hours) for p in presets(centres)] == [
        ("small", 4, 0, 1),
        ("medium", 16, 0, 4),
        ("large", 64, 0, 8),
        ("gpu", 8, 1, 2),
    ]


def test_presets_leave_out_what_is_closed_and_what_would_be_the_same_twice() -> None:
    assert [p.cores for p in presets([{"queues": [queue(2)]}])] == [2]
    for gone in ({"enabled": False}, {"drained": {"by": "x"}}, {"queues": [queue(8, status={"open": False})]}):
        assert presets([{"queues": [queue(8)]} | gone]) == []
    assert presets([]) == []
