"""`Cluster` in the session of its head: in scripts, in async code, in a kernel and in JupyterLab's sidebar."""

from __future__ import annotations

import pytest
from harness.cluster_rig import Rig
from harness.dask_rig import PREFIX
from perijove.spawners.kinds import LAB

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("cluster_rig", ["socket"], indirect=True)
async def test_a_script_in_the_session_computes_over_tls_and_its_end_closes_the_cluster(cluster_rig: Rig) -> None:
    said = await cluster_rig.script(
        "from perijove.widgets import Cluster\n"
        "with Cluster(workers=1) as cluster, cluster.get_client() as client:\n"
        "    print(cluster.scheduler_address.split(':')[0], cluster.name, cluster.dashboard_link)\n"
        "    print(client.submit(sum, range(10)).result(60), client.security.require_encryption)\n"
        "    print(cluster.logs().splitlines()[0], cluster.describe()['target'])\n",
        inside=True,
    )
    assert said.splitlines() == [
        f"tls dask-1 {PREFIX}perijove/clusters/dask-1/dashboard/status",
        "45 True",
        "== scheduler == 1",
    ]
    assert cluster_rig.broker.closed


@pytest.mark.parametrize("cluster_rig", ["socket"], indirect=True)
async def test_a_cluster_outlives_the_program_that_made_it_without_a_warning(cluster_rig: Rig) -> None:
    said = await cluster_rig.script("from perijove.widgets import Cluster\nprint(Cluster('mine').name)\n", inside=True)
    assert said == "mine\n"
    assert not cluster_rig.broker.closed
    said = await cluster_rig.script(
        "from perijove.widgets import Cluster\n"
        "cluster = Cluster.attach('mine')\n"
        "print([one['name'] for one in Cluster.list()], cluster.status.name)\n"
        "cluster.close()\n"
        "print(cluster.status.name)\n",
        inside=True,
    )
    assert said == "['mine'] running\nclosed\n"
    assert cluster_rig.broker.closed


@pytest.mark.parametrize("cluster_rig", ["socket"], indirect=True)
async def test_async_code_awaits_and_leaves_nothing_behind(cluster_rig: Rig) -> None:
    said = await cluster_rig.script(
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
    assert cluster_rig.broker.closed


@pytest.mark.parametrize("cluster_rig", ["socket"], indirect=True)
async def test_in_a_notebook_whose_loop_runs_the_plain_way_works(cluster_rig: Rig) -> None:
    said = await cluster_rig.script(
        "import asyncio\n"
        "from perijove.widgets import Cluster\n"
        "async def cell():\n"  # as a kernel runs a cell: in the thread of a running loop
        "    with Cluster(workers=1) as cluster, cluster.get_client() as client:\n"
        "        print(client.submit(sum, range(10)).result(60), len(Cluster.list()))\n"
        "asyncio.run(cell())\n",
        inside=True,
    )
    assert said == "45 1\n"


@pytest.mark.parametrize("cluster_rig", ["socket"], indirect=True)
async def test_jupyterlabs_dask_sidebar_makes_scales_and_stops_our_clusters(cluster_rig: Rig) -> None:
    cluster_rig.session.environment.update(LAB.environment)
    said = await cluster_rig.script(
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
    assert cluster_rig.broker.closed
