"""`Cluster` in scripts, in async code and in a kernel; beside the session and through the gateway."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from doubles.dask_broker import DaskBroker
from doubles.jobs import eventually
from harness.dask_rig import CLUSTER, OTHER, PREFIX, TOKEN, Gateway, Session
from perijove.spawners.kinds import LAB
from perijove.widgets import Cluster, ClusterError
from perijove.widgets.clustererror import WORDS, words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
OUTSIDE = "import os\nG, T = os.environ['G'], os.environ['T']\nfrom perijove.widgets import Cluster\n"


@dataclass
class Rig:
    """A gateway, and a session whose server is reached at its unix socket by its kernels."""

    broker: DaskBroker
    gateway: Gateway
    session: Session

    @property
    def url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.gateway.port}"

    async def script(self, code: str, *, inside: bool = False, fails: bool = False) -> str:
        """What a program prints, in the session as a kernel is, or outside as on a laptop; it must not warn."""
        environment = dict(self.session.environment)
        if inside:
            environment["PERIJOVE_SOCKET"] = str(self.session.socket)
        else:
            environment = {key: value for key, value in environment.items() if "PERIJOVE" not in key}
            environment |= {"G": self.url, "T": TOKEN, "JUPYTERHUB_API_TOKEN": ""}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", code, env=environment, cwd=self.session.folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, said = await asyncio.wait_for(process.communicate(), 120)
        assert (process.returncode != 0) == fails, (out.decode(), said.decode(), self.session.log)
        if not fails:
            assert said == b"", said.decode()
        return out.decode() + (said.decode() if fails else "")


async def up(session: Session) -> None:
    """Wait until it answers."""

    async def answers() -> bool:
        try:
            _, writer = await (
                asyncio.open_unix_connection(session.socket)
                if session.socket.exists()
                else asyncio.open_connection("127.0.0.1", session.port)
            )
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    await eventually(answers, seconds=60)


@pytest.fixture
async def rig(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    (tmp_path / "base").mkdir()
    async with DaskBroker(tmp_path / "base", CLUSTER) as broker, Gateway(broker) as gateway:
        session = Session(tmp_path, gateway)
        await session.start(at_socket=getattr(request, "param", "tcp") == "socket")
        try:
            await up(session)
            yield Rig(broker, gateway, session)
        finally:
            await session.stop()


@pytest.mark.parametrize("rig", ["socket"], indirect=True)
async def test_a_script_in_the_session_computes_over_tls_and_its_end_closes_the_cluster(rig: Rig) -> None:
    said = await rig.script(
        "from perijove.widgets import Cluster\n"
        "with Cluster(workers=1) as cluster, cluster.get_client() as client:\n"
        "    print(cluster.scheduler_address.split(':')[0], cluster.name, cluster.dashboard_link)\n"
        "    print(client.submit(sum, range(10)).result(60), client.security.require_encryption)\n"
        "    print(sorted(cluster.logs())[:1], cluster.describe()['counts']['connected'])\n",
        inside=True,
    )
    assert said.splitlines() == [
        f"tls dask-1 {PREFIX}perijove/clusters/dask-1/dashboard/status",
        "45 True",
        *said.splitlines()[2:],
    ]
    assert said.splitlines()[2].endswith("1")
    assert rig.broker.closed


@pytest.mark.parametrize("rig", ["socket"], indirect=True)
async def test_a_cluster_outlives_the_program_that_made_it_without_a_warning(rig: Rig) -> None:
    said = await rig.script("from perijove.widgets import Cluster\nprint(Cluster('mine').name)\n", inside=True)
    assert said == "mine\n"
    assert not rig.broker.closed
    said = await rig.script(
        "from perijove.widgets import Cluster\n"
        "cluster = Cluster.attach('mine')\n"
        "print([one['name'] for one in Cluster.list()], cluster.status.name)\n"
        "cluster.close()\n"
        "print(cluster.status.name)\n",
        inside=True,
    )
    assert said == "['mine'] running\nclosed\n"
    assert rig.broker.closed


@pytest.mark.parametrize("rig", ["socket"], indirect=True)
async def test_async_code_awaits_and_leaves_nothing_behind(rig: Rig) -> None:
    said = await rig.script(
        "import asyncio\n"
        "from dask.distributed import Client\n"
        "from perijove.widgets import Cluster\n"
        "async def main():\n"
        "    async with Cluster(workers=1, asynchronous=True) as cluster:\n"
        "        bounds = await cluster.adapt(maximum=2)\n"
        "        await cluster.scale(1)\n"
        "        async with Client(cluster, asynchronous=True) as client:\n"
        "            print(await client.submit(sum, range(10)), bounds)\n"
        "        print([one['name'] for one in await Cluster.list(asynchronous=True)])\n"
        "asyncio.run(main())\n",
        inside=True,
    )
    assert said == "45 Adapting(minimum=0, maximum=2)\n['dask-1']\n"
    assert rig.broker.closed


@pytest.mark.parametrize("rig", ["socket"], indirect=True)
async def test_in_a_notebook_whose_loop_runs_the_plain_way_works(rig: Rig) -> None:
    said = await rig.script(
        "import asyncio\n"
        "from perijove.widgets import Cluster\n"
        "async def cell():\n"  # as a kernel runs a cell: in the thread of a running loop
        "    with Cluster(workers=1) as cluster, cluster.get_client() as client:\n"
        "        print(client.submit(sum, range(10)).result(60), len(Cluster.list()))\n"
        "asyncio.run(cell())\n",
        inside=True,
    )
    assert said == "45 1\n"


async def test_from_outside_it_goes_through_the_gateway_with_the_token_and_survives_a_cut(rig: Rig) -> None:
    await make(rig, "far", workers=1)
    async with Cluster.attach("far", gateway=rig.url, token=TOKEN, asynchronous=True) as cluster:
        assert cluster.scheduler_address.startswith("pjws://")
        assert TOKEN not in cluster.scheduler_address and TOKEN not in repr(cluster)
        assert cluster.dashboard_link == f"{rig.url}{PREFIX}perijove/clusters/far/dashboard/status"
        client = await cluster.get_client()
        assert await client.submit(sum, range(10)) == 45
        future = client.submit(sum, range(100))
        await future
        rig.gateway.cut()
        assert await client.gather(future) == 4950
        assert await client.submit(sum, range(3)) == 3
        await client.close()
    assert rig.broker.closed
    assert not any("token=" in head.split("\r\n")[0] for head in rig.gateway.heads)


async def test_a_plain_script_from_outside(rig: Rig) -> None:
    await make(rig, "far")
    said = await rig.script(
        OUTSIDE + "cluster = Cluster('far', gateway=G, token=T, workers=1)\n"
        "cluster.wait_for_workers(1)\n"
        "client = cluster.get_client()\n"
        "print(client.submit(sum, range(10)).result(60))\n"
        "client.close()\n"
        "cluster.disconnect()\n"
    )
    assert said == "45\n"
    assert not rig.broker.closed


async def test_what_goes_wrong_is_said_in_words(rig: Rig) -> None:
    given: dict[str, Any] = {"gateway": rig.url, "token": TOKEN, "asynchronous": True}
    with pytest.raises(ClusterError, match="no live cluster nobody") as caught:
        await Cluster.attach("nobody", **given)
    assert caught.value.code == "no-cluster"
    with pytest.raises(ClusterError, match="at which centre"):
        await Cluster(**given)
    with pytest.raises(ClusterError, match="lower-case"):
        await Cluster("No name!", **given)
    with pytest.raises(ClusterError, match="wants a token"):
        await Cluster("one", gateway=rig.url, asynchronous=True)
    with pytest.raises(ClusterError, match="no address"):
        await Cluster("one", gateway="hub.example", token=TOKEN, asynchronous=True)
    await make(rig, "far")
    rig.broker.refuse = (409, {"error": "limit-workers", "message": "x", "values": {"most": 2, "used": 1, "asked": 9}})
    cluster = await Cluster.attach("far", quiet=True, **given)
    with pytest.raises(ClusterError, match="may have 2 workers") as caught:
        await cluster.scale(9)
    assert (caught.value.code, caught.value.values["most"]) == ("limit-workers", 2)
    await cluster.disconnect()


async def test_another_centres_cluster_is_waited_for_with_its_news_and_found_once_it_is_there(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"cluster": json.dumps({"name": "there", "workers": 1})}
    other = Session(rig.session.folder, rig.gateway, OTHER, PERIJOVE_SERVES_CLUSTER=json.dumps(options))
    waiting = asyncio.ensure_future(
        started(Cluster("there", centre="wuxi", workers=1, gateway=rig.url, token=TOKEN, asynchronous=True))
    )
    await eventually(lambda: asyncio.sleep(0, OTHER in rig.gateway.sessions))
    asked = rig.gateway.sessions[OTHER]["asked"]["options"]
    assert (asked["kind"], asked["centre"]) == ("dask", "wuxi")
    assert json.loads(asked["options"]["cluster"])["workers"] == 1
    await other.start()
    rig.gateway.sessions[OTHER]["stage"] = "ready"
    try:
        cluster = await waiting
        assert "waits: priority" in capsys.readouterr().out
        client = await cluster.get_client()
        assert await client.submit(sum, range(10)) == 45
        await client.close()
        await cluster.close()
        # The server of a cluster has no other purpose.
        assert other.process is not None
        assert await asyncio.wait_for(other.process.wait(), 60) == 0, other.log
    finally:
        await other.stop()


async def test_who_gives_up_waiting_leaves_no_session_in_the_queue(rig: Rig) -> None:
    waiting = asyncio.ensure_future(
        started(Cluster(centre="wuxi", gateway=rig.url, token=TOKEN, asynchronous=True, quiet=True))
    )
    await eventually(lambda: asyncio.sleep(0, OTHER in rig.gateway.sessions))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert rig.gateway.sessions[OTHER]["stage"] == "ended"


async def started(cluster: Cluster) -> Cluster:
    """The cluster, once it is there."""
    return await cluster


async def make(rig: Rig, name: str, workers: int = 0) -> None:
    """A head in the session, as its person made it earlier."""
    import httpx

    async with httpx.AsyncClient(trust_env=False, timeout=90) as client:
        address = f"{rig.url}{PREFIX}perijove/clusters"
        answer = await client.post(
            address, json={"name": name, "workers": workers}, headers={"Authorization": f"token {TOKEN}"}
        )
        assert answer.status_code == 201, answer.text


def test_all_words_are_there_in_both_languages_with_the_same_values() -> None:
    for code, (english, chinese) in WORDS.items():
        values = dict.fromkeys(
            ("name", "gateway", "detail", "most", "used", "asked", "limit", "cost_per_hour"), 2_000_000
        )
        assert words(code, values, language="en") == english.format(**_shown(code, values))
        assert any("\u4e00" <= letter <= "\u9fff" for letter in words(code, values, language="zh"))
        assert {part.split("}")[0] for part in english.split("{")[1:]} == {
            part.split("}")[0] for part in chinese.split("{")[1:]
        }, code


def _shown(code: str, values: dict[str, int]) -> dict[str, Any]:
    from perijove.widgets.clustererror import _MONEY

    return {key: "2.00" if key in _MONEY.get(code, ()) else value for key, value in values.items()}


@pytest.mark.parametrize("rig", ["socket"], indirect=True)
async def test_jupyterlabs_dask_sidebar_makes_scales_and_stops_our_clusters(rig: Rig) -> None:
    rig.session.environment.update(LAB.environment)
    said = await rig.script(
        "import asyncio\n"
        "async def main():\n"
        "    from dask_labextension.manager import DaskClusterManager\n"
        "    manager = await DaskClusterManager()\n"
        "    model = await manager.start_cluster('one', {'workers': 1})\n"
        "    print(model['scheduler_address'].split(':')[0], model['dashboard_link'])\n"
        "    await manager.scale_cluster('one', 2)\n"
        "    model = manager.adapt_cluster('one', 0, 2)\n"
        "    print(model['adapt'])\n"
        "    print((await manager.close_cluster('one'))['id'], manager.list_clusters())\n"
        "asyncio.run(main())\n",
        inside=True,
    )
    assert said.splitlines() == [
        f"tls {PREFIX}perijove/clusters/dask-1/dashboard/status",
        "{'minimum': 0, 'maximum': 2}",
        "one []",
    ]
    assert rig.broker.closed
