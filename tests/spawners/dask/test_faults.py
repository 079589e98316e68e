"""What goes wrong around a head, with real processes: the result is right, or the head says what happened."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from distributed import Client
from harness.dask_head import CLUSTER, HeadProcess, running_head
from perijove.spawners.dask import tls

pytestmark = pytest.mark.slow


def client(head: HeadProcess, address: str) -> Client:
    return Client(address, security=tls.client_security(head.folder), asynchronous=True, set_as_default=False)


def codes(status: dict[str, object]) -> list[str]:
    said = status["said"]
    assert isinstance(said, list)
    return [news["code"] for news in said]


async def test_a_worker_whose_node_dies_is_replaced_and_its_work_done_again(tmp_path: Path) -> None:
    async with running_head(tmp_path, workers=2) as head:
        status = await head.until(lambda status: status["counts"]["connected"] == 2)
        async with client(head, status["address"]) as dask:
            futures = dask.map(pow, range(50), [2] * 50)
            await dask.gather(futures)
            victim = status["workers"][0]["name"]
            await head.broker.lose(victim)
            status = await head.until(
                lambda status: status["counts"]["connected"] == 2 and "worker-lost" in codes(status)
            )
            assert await dask.gather(futures) == [number**2 for number in range(50)]
        news = next(news for news in status["said"] if news["code"] == "worker-lost")
        assert news["values"]["worker"] == victim and news["values"]["reason"] == "node-failure"
        assert status["counts"]["lost"] == 1
        assert [asked["count"] for asked in head.broker.asked] == [2, 1]


async def test_workers_that_never_come_are_not_replaced_for_ever_and_the_log_says_why(tmp_path: Path) -> None:
    async with running_head(tmp_path) as head:
        head.broker.fail = True
        await head.call("POST", "/control/scale", {"n": 1})
        status = await head.until(lambda status: "workers-stopped" in codes(status))
        assert len(head.broker.asked) == 3
        news = next(news for news in status["said"] if news["code"] == "workers-stopped")
        assert "it is broken here" in news["values"]["log"]
        # Asking again is trying again.
        head.broker.fail = False
        await head.call("POST", "/control/scale", {"n": 1})
        await head.until(lambda status: status["counts"]["connected"] == 1 and not status["stopped"])


async def test_a_worker_that_runs_and_never_connects_is_explained_once_and_then_replaced(tmp_path: Path) -> None:
    async with running_head(tmp_path, times={"silent": 0.5, "absent": 2}) as head:
        head.broker.hang = True
        await head.call("POST", "/control/scale", {"n": 1})
        status = await head.until(lambda status: "worker-silent" in codes(status))
        (worker,) = status["workers"]
        assert worker["silent"] and worker["state"] == "running" and status["counts"]["running"] == 1
        news = next(news for news in status["said"] if news["code"] == "worker-silent")
        assert news["values"] == {"worker": worker["name"], "node": "localhost", "log": "waiting for a licence\n"}
        status = await head.until(lambda status: "worker-lost" in codes(status))
        lost = next(news for news in status["said"] if news["code"] == "worker-lost")
        assert lost["values"]["worker"] == worker["name"] and lost["values"]["reason"] == "silent"
        told = [n["values"]["worker"] for n in status["said"] if n["code"] == "worker-silent"]
        assert told.count(worker["name"]) == 1
        assert head.broker.cancels[0] == [worker["name"]]
        await head.until(lambda status: len(head.broker.asked) == 2)


async def test_workers_leave_when_their_head_is_killed(tmp_path: Path) -> None:
    async with running_head(tmp_path, workers=1, times={"death": 5}) as head:
        await head.until(lambda status: status["counts"]["connected"] == 1)
        worker = next(iter(head.broker.workers.values()))
        assert worker.process is not None
        head.process.send_signal(signal.SIGKILL)
        await head.process.wait()
        async with asyncio.timeout(60):
            await worker.process.wait()


async def test_a_silent_broker_stops_nothing_and_is_told(tmp_path: Path) -> None:
    async with running_head(tmp_path, workers=1) as head:
        status = await head.until(lambda status: status["counts"]["connected"] == 1)
        head.broker.silent = True
        await head.broker.change()
        code, _ = await head.call("POST", "/control/scale", {"n": 2})
        assert code == 200
        status = await head.until(lambda status: status["broker"].startswith("silent since"))
        async with client(head, status["address"]) as dask:
            assert await dask.submit(pow, 2, 10) == 1024
        head.broker.silent = False
        status = await head.until(lambda status: status["counts"]["connected"] == 2)
        assert status["broker"] == "ok"
        assert [asked["count"] for asked in head.broker.asked] == [1, 1]
        assert codes(status).index("broker-silent") < codes(status).index("broker-back")


async def test_workers_retire_before_their_walltime_and_their_results_stay(tmp_path: Path) -> None:
    async with running_head(tmp_path, walltime=16, workers=1) as head:
        status = await head.until(lambda status: status["counts"]["connected"] == 1)
        first = status["workers"][0]["name"]
        async with client(head, status["address"]) as dask:
            runs = tmp_path / "runs"

            def counted() -> bytes:
                with runs.open("a") as file:
                    file.write("once ")
                return bytes(1000)

            future = dask.submit(counted)
            await future
            status = await head.until(
                lambda status: not any(w["name"] == first and w["connected"] for w in status["workers"])
            )
            assert "worker-retires" in codes(status) and "worker-lost" not in codes(status)
            assert await dask.gather(future) == bytes(1000)
            # Moved, not computed again.
            assert runs.read_text() == "once "


async def test_a_refusal_comes_through_and_changes_nothing(tmp_path: Path) -> None:
    async with running_head(tmp_path, workers=1) as head:
        await head.until(lambda status: status["counts"]["connected"] == 1)
        values = {"most": 1, "asked": 4, "used": 1}
        head.broker.refuse = 409, {"error": "limit-workers", "message": "too many", "values": values}
        code, answer = await head.call("POST", "/control/scale", {"n": 5})
        assert (code, answer) == (409, {"error": "limit-workers", "message": "too many", "values": values})
        assert (await head.status())["target"] == 1


async def test_scaling_down_cancels_what_waits_first_in_one_call_and_then_moves_results(tmp_path: Path) -> None:
    async with running_head(tmp_path, workers=2) as head:
        status = await head.until(lambda status: status["counts"]["connected"] == 2)
        async with client(head, status["address"]) as dask:
            futures = dask.map(pow, range(10), [3] * 10)
            await dask.gather(futures)
            head.broker.hold = True
            await head.call("POST", "/control/scale", {"n": 5})
            status = await head.until(lambda status: status["counts"]["queued"] == 3)
            assert {w["reason"] for w in status["workers"] if w["state"] == "queued"} == {"priority"}
            await head.call("POST", "/control/scale", {"n": 2})
            assert [len(names) for names in head.broker.cancels] == [3]
            await head.call("POST", "/control/scale", {"n": 1})
            await head.until(lambda status: status["counts"]["connected"] == 1)
            assert await dask.gather(futures) == [number**3 for number in range(10)]


async def test_adaptive_scaling_asks_with_need_and_lets_go_without(tmp_path: Path) -> None:
    async with running_head(tmp_path, minimum=0, maximum=2, times={"quiet": 1}) as head:
        status = await head.until(lambda status: status["adaptive"] == {"minimum": 0, "maximum": 2})
        assert not head.broker.asked
        async with client(head, status["address"]) as dask:
            assert await dask.gather(dask.map(pow, range(10), [2] * 10)) == [n**2 for n in range(10)]
        await head.until(lambda status: status["counts"]["connected"] == 0 and status["target"] == 0)


@pytest.mark.parametrize("how", ["control", "broker", "idle"])
async def test_a_head_ends_in_order_when_asked_when_closed_and_when_idle(tmp_path: Path, how: str) -> None:
    async with running_head(tmp_path, workers=1, idle=3 if how == "idle" else 0) as head:
        if how != "idle":
            await head.until(lambda status: status["counts"]["connected"] == 1)
        if how == "control":
            assert (await head.call("POST", "/control/close", {}))[0] == 200
        elif how == "broker":
            head.broker.closed = True
            await head.broker.change()
        async with asyncio.timeout(60):
            assert await head.process.wait() == 0
        assert head.broker.closed
        assert not (tmp_path / CLUSTER).exists()
        await asyncio.gather(*(w.process.wait() for w in head.broker.workers.values() if w.process is not None))


async def test_logs_status_dashboard_and_wrong_requests(tmp_path: Path) -> None:
    async with running_head(tmp_path, workers=1) as head:
        status = await head.until(lambda status: status["counts"]["connected"] == 1 and status["limits"])
        name = status["workers"][0]["name"]
        code, answer = await head.call("GET", "/control/logs")
        assert code == 200 and "== scheduler ==" in answer["logs"] and f"== {name} ==" in answer["logs"]
        code, answer = await head.call("GET", f"/control/logs?worker={name}")
        assert code == 200 and answer["logs"]
        code, page = await head.call("GET", status["dashboard"])
        assert code == 200 and "Dask" in page
        for body in ({"n": -1}, {"n": True}, {"n": 1, "else": 2}, {"n": "3"}):
            assert (await head.call("POST", "/control/scale", body))[0] == 400
        assert (await head.call("POST", "/control/adapt", {"minimum": 3, "maximum": 2}))[0] == 400
