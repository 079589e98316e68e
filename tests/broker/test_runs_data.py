"""A data set of a centre's as an input of a run: runs where it lies, and is told in words where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from broker.harness import Gateway
from broker.runapi import PRICED, RunApi, api
from broker.runworld import MANIFEST, Runs, app_kind, report, results, write_app
from broker.simulated import SimulatedCentre
from broker.simulated import centre as described

__all__ = ["api", "app_kind"]
ERA5 = {"name": "era5", "title": {"en": "ERA5", "zh": "再分析资料"}, "path": "/data/{account}/era5"}
DATA = """
[data.era5]
title = {en = "Reanalysis", zh = "再分析"}
licence = "CC-BY-4.0"
source = {dataset = "era5"}
[data.lost]
title = {en = "Lost", zh = "无"}
licence = "CC-BY-4.0"
source = {dataset = "nowhere"}
"""


class World(Runs):
    """Runs of an app that reads them."""

    async def begin(self) -> None:
        await super().begin()
        write_app(self.gateway.apps, MANIFEST + DATA)
        await self.gateway.broker.apps.reload()


@pytest_asyncio.fixture
async def runs(gateway: Gateway) -> World:
    # The cheaper centre has it not.
    dear = [PRICED[0] | {"price": {"core_hour": "9"}}]
    gateway.simulated = {
        "alpha": SimulatedCentre(described("alpha", queues=PRICED)),
        "beta": SimulatedCentre(described("beta", queues=dear, datasets=[ERA5])),
    }
    world = World(gateway)
    await world.begin()
    return world


def asked(data: str = "era5", **more: Any) -> dict[str, Any]:
    return {"app": "sums", "inputs": {"reads": f"data:{data}"}, **more}


async def test_a_run_goes_to_the_centre_where_its_data_lie(api: RunApi) -> None:
    assert (await api.ok("POST", "/runs", status=201, json={"app": "sums", "inputs": {}}))["centre"] == "alpha"
    made = await api.ok("POST", "/runs", status=201, json=asked())
    assert made["centre"] == "beta"
    made = await api.ok("POST", "/runs", status=201, json=asked(request={"centre": "beta"}))
    assert made["centre"] == "beta"


async def test_where_they_do_not_lie_it_is_said_which_centres_have_them(api: RunApi) -> None:
    answer = await api("POST", "/runs", "t-ada", json=asked(request={"centre": "alpha"}))
    assert answer.status_code == 400
    [fault] = answer.json()["faults"]
    assert (fault["field"], fault["code"]) == ("reads", "data-elsewhere")
    assert "Reanalysis does not lie at this centre; it lies at Beta" in fault["message"]
    assert (fault["values"]["data_zh"], fault["values"]["known_zh"]) == ("再分析", "beta")
    answer = await api("POST", "/runs", "t-ada", json=asked("lost"))
    assert [one["code"] for one in answer.json()["faults"]] == ["data-nowhere"]
    assert (await api.ok("GET", "/runs"))["runs"] == []


async def test_such_a_run_goes_into_no_session_elsewhere_and_is_not_replayed_there(api: RunApi, runs: World) -> None:
    other = await api.ok("POST", "/runs", status=201, json={"app": "sums", "inputs": {}})
    live = await runs.with_session(other["id"])
    answer = await api("POST", "/runs", "t-ada", json=asked(session=live.session))
    assert [one["code"] for one in answer.json()["faults"]] == ["data-elsewhere"]
    made = await api.ok("POST", "/runs", status=201, json=asked())
    said = {"report": report("done", ("done",), results=results(3.0)), "folder": "/home/ada/runs/x"}
    await api.ok("PUT", f"/runs/{made['id']}/report", json=said)
    answer = await api("POST", f"/runs/{made['id']}/replay", "t-ada", json={"centre": "alpha"})
    assert [one["code"] for one in answer.json()["faults"]] == ["data-elsewhere"]


async def test_an_estimate_recommends_where_they_lie_and_faults_a_centre_without(api: RunApi) -> None:
    said = await api.ok("POST", "/apps/sums/estimate", json={"inputs": asked()["inputs"]})
    assert said["recommended"] == {"centre": "beta", "queue": "cpu"}
    assert {one["centre"]: one["place"] for one in said["offers"]} == {"alpha": "missing", "beta": "unknown"}
    said = await api.ok("POST", "/apps/sums/estimate", json={**_inputs(), "request": {"centre": "alpha"}})
    assert [one["code"] for one in said["faults"]] == ["data-elsewhere"] and said["offers"] == []


@pytest.mark.parametrize("data", [5, [{}], {"a": 1}, [1]])
async def test_data_that_are_no_names_are_refused_in_words(api: RunApi, data: object) -> None:
    body = {**_inputs(), "request": {"data": data}}
    assert (await api("POST", "/apps/sums/estimate", json=body)).status_code < 500
    answer = await api("POST", "/runs", json={"app": "sums", **body})
    assert answer.status_code == 400, answer.text


def _inputs() -> dict[str, Any]:
    return {"inputs": asked()["inputs"]}


async def test_an_app_says_where_its_data_lie(api: RunApi) -> None:
    data = {one["name"]: one for one in (await api.ok("GET", "/apps/sums"))["data"]}
    place = {"centre": "beta", "name": {"en": "Beta", "zh": "beta"}, "path": str(Path(ERA5["path"]))}  # type: ignore[arg-type]
    assert data["era5"]["lies"] == [place]
    assert data["lost"]["lies"] == []
