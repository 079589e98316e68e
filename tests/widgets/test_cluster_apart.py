"""`Cluster` through the gateway: from a laptop, and at another centre than its person."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from doubles.jobs import eventually
from harness.cluster_rig import Rig, make, started
from harness.dask_rig import OTHER, PREFIX, TOKEN, Session
from perijove.widgets import Cluster, ClusterError
from perijove.widgets.clustererror import WORDS, words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
OUTSIDE = "import os\nG, T = os.environ['G'], os.environ['T']\nfrom perijove.widgets import Cluster\n"


async def test_from_outside_it_goes_through_the_gateway_with_the_token_and_survives_a_cut(cluster_rig: Rig) -> None:
    await make(cluster_rig, "far", workers=1)
    async with Cluster.attach("far", gateway=cluster_rig.url, token=TOKEN, asynchronous=True) as cluster:
        assert cluster.scheduler_address.startswith("pjws://")
        assert TOKEN not in cluster.scheduler_address and TOKEN not in repr(cluster)
        assert cluster.dashboard_link == f"{cluster_rig.url}{PREFIX}perijove/clusters/far/dashboard/status"
        client = await cluster.get_client()
        assert await client.submit(sum, range(10)) == 45
        future = client.submit(sum, range(100))
        await future
        cluster_rig.gateway.cut()
        assert await client.gather(future) == 4950
        assert await client.submit(sum, range(3)) == 3
        await client.close()
    assert cluster_rig.broker.closed
    assert not any("token=" in head.split("\r\n")[0] for head in cluster_rig.gateway.heads)


async def test_a_plain_script_from_outside(cluster_rig: Rig) -> None:
    await make(cluster_rig, "far")
    said = await cluster_rig.script(
        OUTSIDE + "cluster = Cluster('far', gateway=G, token=T, workers=1)\n"
        "cluster.wait_for_workers(1)\n"
        "client = cluster.get_client()\n"
        "print(client.submit(sum, range(10)).result(60))\n"
        "client.close()\n"
        "cluster.disconnect()\n"
    )
    assert said == "45\n"
    assert not cluster_rig.broker.closed


async def test_what_goes_wrong_is_said_in_words(cluster_rig: Rig) -> None:
    given: dict[str, Any] = {"gateway": cluster_rig.url, "token": TOKEN, "asynchronous": True}
    with pytest.raises(ClusterError, match="no live cluster nobody") as caught:
        await Cluster.attach("nobody", **given)
    assert caught.value.code == "no-cluster"
    with pytest.raises(ClusterError, match="at which centre"):
        await Cluster(**given)
    with pytest.raises(ClusterError, match="lower-case"):
        await Cluster("No name!", **given)
    with pytest.raises(ClusterError, match="wants a token"):
        await Cluster("one", gateway=cluster_rig.url, asynchronous=True)
    with pytest.raises(ClusterError, match="no address"):
        await Cluster("one", gateway="hub.example", token=TOKEN, asynchronous=True)
    await make(cluster_rig, "far")
    cluster_rig.broker.refuse = (
        409,
        {"error": "limit-workers", "message": "x", "values": {"most": 2, "used": 1, "asked": 9}},
    )
    cluster = await Cluster.attach("far", quiet=True, **given)
    with pytest.raises(ClusterError, match="may have 2 workers") as caught:
        await cluster.scale(9)
    assert (caught.value.code, caught.value.values["most"]) == ("limit-workers", 2)
    await cluster.disconnect()


async def test_another_centres_cluster_is_waited_for_with_its_news_and_found_once_it_is_there(
    cluster_rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"cluster": json.dumps({"name": "there", "workers": 1})}
    other = Session(cluster_rig.session.folder, cluster_rig.gateway, OTHER, PERIJOVE_SERVES_CLUSTER=json.dumps(options))
    waiting = asyncio.ensure_future(
        started(Cluster("there", centre="wuxi", workers=1, gateway=cluster_rig.url, token=TOKEN, asynchronous=True))
    )
    await eventually(lambda: asyncio.sleep(0, OTHER in cluster_rig.gateway.sessions))
    asked = cluster_rig.gateway.sessions[OTHER]["asked"]["options"]
    assert (asked["kind"], asked["centre"]) == ("dask", "wuxi")
    assert json.loads(asked["options"]["cluster"])["workers"] == 1
    await other.start()
    cluster_rig.gateway.sessions[OTHER]["stage"] = "ready"
    try:
        cluster = await waiting
        assert "waits: priority" in capsys.readouterr().out
        client = await cluster.get_client()
        assert await client.submit(sum, range(10)) == 45
        await client.close()
        await cluster.close()
        with pytest.raises(ClusterError, match="There is no live cluster"):
            await cluster.scale(1)
        # The server of a cluster has no other purpose.
        assert other.process is not None
        assert await asyncio.wait_for(other.process.wait(), 60) == 0, other.log
    finally:
        await other.stop()


async def test_what_is_refused_at_the_start_of_a_cluster_elsewhere_is_said_as_beside(
    cluster_rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster_rig.broker.refuse = (
        409,
        {"error": "limit-workers", "message": "x", "values": {"most": 2, "used": 1, "asked": 9}},
    )
    options = {"cluster": json.dumps({"name": "there", "workers": 9})}
    other = Session(cluster_rig.session.folder, cluster_rig.gateway, OTHER, PERIJOVE_SERVES_CLUSTER=json.dumps(options))
    waiting = asyncio.ensure_future(
        started(Cluster("there", centre="wuxi", workers=9, gateway=cluster_rig.url, token=TOKEN, asynchronous=True))
    )
    await eventually(lambda: asyncio.sleep(0, OTHER in cluster_rig.gateway.sessions))
    await other.start()
    cluster_rig.gateway.sessions[OTHER]["stage"] = "ready"
    try:
        cluster = await waiting
        assert "may have 2 workers at this centre; you have 1 and asked for 9 more" in capsys.readouterr().out
        assert cluster.status.name == "running"
        await cluster.close()
    finally:
        await other.stop()


async def test_who_gives_up_waiting_leaves_no_session_in_the_queue(cluster_rig: Rig) -> None:
    waiting = asyncio.ensure_future(
        started(Cluster(centre="wuxi", gateway=cluster_rig.url, token=TOKEN, asynchronous=True, quiet=True))
    )
    await eventually(lambda: asyncio.sleep(0, OTHER in cluster_rig.gateway.sessions))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cluster_rig.gateway.sessions[OTHER]["stage"] == "ended"


def test_all_words_are_there_in_both_languages_with_the_same_values() -> None:
    for code, (english, chinese) in WORDS.items():
        names = ("name", "gateway", "detail", "most", "used", "asked", "limit", "cost")
        money = ("budget", "needed", "available", "missing")
        values = dict.fromkeys((*names, *money), 2_000_000)
        assert words(code, values, language="en") == english.format(**_shown(code, values))
        assert any("\u4e00" <= letter <= "\u9fff" for letter in words(code, values, language="zh"))
        assert {part.split("}")[0] for part in english.split("{")[1:]} == {
            part.split("}")[0] for part in chinese.split("{")[1:]
        }, code


def _shown(code: str, values: dict[str, int]) -> dict[str, Any]:
    from perijove.widgets.clustererror import _MONEY

    return {key: "2.00" if key in _MONEY.get(code, ()) else value for key, value in values.items()}
