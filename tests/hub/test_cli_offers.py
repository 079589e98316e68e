"""`perijove offers` says in words what the API answers, and its exit code says whether anything fits."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from offers.federation import NOW, centre, dataset
from perijove.hub.broker.offer_views import offers as view
from perijove.hub.cli import api, main
from perijove.hub.cli.offers import span
from perijove.hub.offers.find import CentreNow, QueueNow, find
from perijove.hub.offers.ranges import rounded
from perijove.spawners.request import BadRequest

QUICK = rounded((0, 60, 120, 300, 900), "both", 84, 7)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A gateway with two centres; what it was asked."""
    asked: list[dict[str, Any]] = []
    small = {"name": "cpu", "cores": 8, "memory": "32G", "max_time": "4h", "price": {"core_hour": "0.1"}}
    centres = {
        "alpha": centre("alpha", queues=[small], datasets=[dataset("era5")]),
        "beta": centre("beta", queues=[{**small, "name": "big", "cores": 64}]),
    }
    known = {"alpha": CentreNow({"cpu": QueueNow(lambda cores, walltime: QUICK)}, NOW)}

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("POST", "/services/perijove/api/v1/offers")
        asked.append(json.loads(request.content))
        try:
            return httpx.Response(200, json=view(find(asked[-1], centres, known, NOW), NOW))
        except BadRequest as bad:
            return httpx.Response(400, json={"error": "bad-request", "message": str(bad)})

    class Doubled(api.Api):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, httpx.MockTransport(answer))

    monkeypatch.setattr(api, "Api", Doubled)
    return asked


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["offers", *arguments], env={"PERIJOVE_TOKEN": "t" * 20})


def test_what_fits_stands_first_with_the_reason_why_it_is_recommended(gateway: list[dict[str, Any]]) -> None:
    result = run("--cores", "4", "--hours", "2", "--memory", "8G", "--prefer", "start", "--data", "era5")
    assert result.exit_code == 0, result.output
    assert gateway == [{"cores": 4, "walltime": 7200, "memory": 8192, "prefer": "start", "data": ["era5"]}]
    lines = result.output.splitlines()
    assert lines[1].split()[:3] == ["*", "alpha", "cpu"]
    assert "60 s-5 min" in lines[1] and "84 starts in 7 days" in lines[1] and "0.8 credits" in lines[1]
    assert "nothing known yet" in lines[2] and "no era5" in lines[2]
    assert "* recommended: alpha, queue cpu: starts soonest; has era5" in lines


def test_what_does_not_fit_is_told_with_what_would_help(gateway: list[dict[str, Any]]) -> None:
    result = run("--cores", "16")
    assert result.exit_code == 0
    assert "at most 8 cores in queue cpu of alpha" in result.output and "ask for at most 8 cores" in result.output
    nothing = run("--cores", "100", "--hours", "9.5")
    assert nothing.exit_code == 1
    assert "no centre can serve this request as it is" in nothing.output
    assert nothing.output.count("ask for at most 4 hours") == 2


def test_for_programs_it_prints_the_answer_of_the_api(gateway: list[dict[str, Any]]) -> None:
    answer = json.loads(run("--json").output)
    assert answer["recommended"]["centre"] == "alpha" and len(answer["offers"]) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--cores", "0"), 2, "is not in the range"),
        (("--memory", "much"), 2, "memory is a number of MiB"),
        (("--prefer", "luck"), 2, "is not one of"),
        (("--centre", "nowhere"), 1, "there is no centre 'nowhere'"),
        (("--data", "A B"), 1, "data: must be a lower-case letter"),
    ],
)
def test_what_is_wrong_is_said_in_words(
    gateway: list[dict[str, Any]], arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = run(*arguments)
    assert (result.exit_code, words in result.stderr) == (code, True), result.output


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 0, "0 s"),
        (20, 90, "20-90 s"),
        (60, 300, "60 s-5 min"),
        (120, 600, "2-10 min"),
        (300, 300, "5 min"),
        (0, 7200, "0-2 h"),
        (300, 4 * 3600, "5 min-4 h"),
        (9000, 20000, "2.5-5.6 h"),
        (0, 172800, "0-2 d"),
    ],
)
def test_a_range_reads_as_people_say_it(low: int, high: int, words: str) -> None:
    assert span(low, high) == words
