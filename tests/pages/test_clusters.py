"""Dask clusters on the home page, and the operator's count of them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

HOSTILE = "\"><script>alert(1)</script>'"


@pytest.fixture
def host(world: Any) -> dict[str, Any]:
    """Alice's session that can be opened."""
    row: dict[str, Any] = world.broker.add(
        id="host", stage="ready", connected=True, server="prod", ends_by="2099-01-01T00:00:00+00:00"
    )
    return row


async def test_a_cluster_stands_with_its_session_and_says_how_its_workers_are(
    alice: httpx.AsyncClient, world: Any, host: dict[str, Any]
) -> None:
    world.broker.add_cluster(host, 12, 8)
    text = (await alice.get("")).text
    assert "12 of 20 workers run, 8 wait (other jobs first)" in text
    assert "9.60 credits an hour" in text
    assert 'href="/hub/user/alice/prod/perijove/clusters/dask-1/dashboard/status"' in text
    chinese = (await alice.get("", params={"lang": "zh"})).text
    assert "运行 12/20 个工作进程，8 个等待（其他作业优先）" in chinese
    assert "每小时 9.60 点" in chinese


async def test_what_the_head_wants_counts_until_it_is_asked_for(
    alice: httpx.AsyncClient, world: Any, host: dict[str, Any]
) -> None:
    row = world.broker.add_cluster(host, 3, report={"target": 5})
    assert "3 of 5 workers run" in (await alice.get("")).text
    row["counts"] |= {"lost": 2}
    text = (await alice.get("")).text
    assert "3 of 5 workers run, 2 lost" in text
    assert "Workers lost" in text
    row |= {"counts": {}, "report": {"target": "many"}}
    assert "no workers at the moment" in (await alice.get("")).text


async def test_nothing_that_a_head_reports_becomes_a_link_or_a_tag(
    alice: httpx.AsyncClient, world: Any, host: dict[str, Any]
) -> None:
    report = {"dashboard": "javascript:alert(1)", "target": HOSTILE, "said": [HOSTILE]}
    world.broker.add_cluster(host, 1, 1, name=HOSTILE, report=report)
    text = (await alice.get("")).text
    assert "<script>alert" not in text
    assert "javascript:" not in text


async def test_a_cluster_is_stopped_from_the_page_alone(
    alice: httpx.AsyncClient, world: Any, host: dict[str, Any]
) -> None:
    row = world.broker.add_cluster(host, 1)
    assert (await alice.post(f"clusters/{row['id']}/stop", data={"_xsrf": "wrong"})).status_code == 403
    assert row["live"]
    answer = await alice.post(f"clusters/{row['id']}/stop", data={"_xsrf": world.xsrf()})
    assert answer.status_code == 303
    assert not row["live"]
    assert "dask-1" not in (await alice.get("")).text


async def test_the_clusters_of_others_are_not_shown_and_not_stopped(
    alice: httpx.AsyncClient, world: Any, host: dict[str, Any]
) -> None:
    row = world.broker.add_cluster(world.broker.add("bob"), 1, name="not-mine")
    assert "not-mine" not in (await alice.get("")).text
    assert (await alice.post(f"clusters/{row['id']}/stop", data={"_xsrf": world.xsrf()})).status_code == 404
    assert row["live"]


async def test_operators_see_how_many_there_are_at_a_centre(world: Any, host: dict[str, Any]) -> None:
    world.broker.add_cluster(host, 12, 8)
    world.broker.add_cluster(world.broker.add("bob"), 3)
    text = (await world.browser("operator").get("operator")).text
    assert "2, of whose workers 15 run" in text
    assert text.count("Dask clusters") == 1
