"""What goes wrong around a head, with real processes: the result is right, or the head says what happened."""

from __future__ import annotations

import asyncio
import resource
import signal
from pathlib import Path

import pytest
from distributed import Client
from doubles.dask_broker import Worker
from harness.dask_head import CLUSTER, HeadProcess, running_head
from perijove.spawners.dask import tls
from perijove.spawners.dask.adaptive import fitting
from perijove.spawners.dask.broker import Refused

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


async def test_an_answer_that_comes_after_nobody_is_wanted_any_more_leaves_no_worker(tmp_path: Path) -> None:
    async with running_head(tmp_path) as head:
        head.broker.hold = head.broker.silent = True
        assert (await head.call("POST", "/control/scale", {"n": 3}))[0] == 200
        assert (await head.call("POST", "/control/scale", {"n": 0}))[1]["target"] == 0
        head.broker.silent = False
        await head.until(lambda status: len(head.broker.workers) == 3)
        await head.until(lambda status: not any(worker.wanted for worker in head.broker.workers.values()))
        assert [asked["count"] for asked in head.broker.asked] == [3]


async def test_a_proxy_that_answers_instead_of_the_broker_refuses_nothing(tmp_path: Path) -> None:
    async with running_head(tmp_path) as head:
        head.broker.hold, head.broker.refuse = True, (404, {"message": "no route"})
        assert (await head.call("POST", "/control/scale", {"n": 2}))[0] == 200
        assert "broker-silent" in codes(await head.status())
        head.broker.refuse = None
        await head.until(lambda status: status["counts"]["queued"] == 2)
        assert len(head.broker.asked) == 1


async def test_scaling_to_none_ends_workers_though_their_results_have_nowhere_to_go(tmp_path: Path) -> None:
    async with running_head(tmp_path, workers=1) as head:
        status = await head.until(lambda status: status["counts"]["connected"] == 1)
        async with client(head, status["address"]) as dask:
            await dask.scatter(list(range(100)))
            await head.call("POST", "/control/scale", {"n": 0})
            await head.until(lambda status: status["counts"]["connected"] == status["counts"]["running"] == 0)


async def test_a_refusal_leaves_adaptive_scaling_and_what_was_agreed_as_they_were(tmp_path: Path) -> None:
    async with running_head(tmp_path) as head:
        head.broker.hold = True
        await head.call("POST", "/control/scale", {"n": 1, "confirmed": True})
        values = {"cost": 9, "limit": 5}
        head.broker.refuse = (409, {"error": "confirm-cost", "message": "agree first", "values": values})
        assert (await head.call("POST", "/control/scale", {"n": 5}))[0] == 409
        head.broker.refuse = None
        await head.broker.lose(next(iter(head.broker.workers)))
        for worker in head.broker.workers.values():
            worker.state = "lost"
        await head.broker.change()
        await head.until(lambda status: len(head.broker.asked) == 2)
        assert head.broker.asked[-1]["confirmed"] is True, "a replacement costs what was agreed"
        bounds = {"minimum": 0, "maximum": 4}
        await head.call("POST", "/control/adapt", bounds)
        head.broker.refuse = (409, {"error": "limit-workers", "message": "too many", "values": {}})
        assert (await head.call("POST", "/control/scale", {"n": 50}))[0] == 409
        assert (await head.status())["adaptive"] == bounds


async def test_a_new_head_of_a_cluster_lets_go_of_the_dead_ones_workers_and_asks_for_its_own(tmp_path: Path) -> None:
    async with running_head(tmp_path, times={"report": 60}) as head:
        head.broker.hold = True
        head.broker.workers["old-1"] = Worker("old-1", "old", 1, "queued")
        assert head.broker.version == 0
        await head.broker.change()
        await head.until(lambda status: not head.broker.workers["old-1"].wanted)
        await head.call("POST", "/control/scale", {"n": 2})
        status = await head.until(lambda status: status["counts"]["queued"] == 2)
        assert head.broker.cancels == [["old-1"]] and status["target"] == 2
        assert head.broker.polls < 20, "a head waits for news, and does not ask all the time"


async def test_a_head_may_open_as_many_files_as_its_node_allows(tmp_path: Path) -> None:
    async with running_head(tmp_path) as head:
        soft, hard = resource.prlimit(head.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard


@pytest.mark.parametrize(
    ("code", "values", "fit"),
    [
        ("limit-workers", {"most": 200, "asked": 500, "used": 50}, 150),
        ("limit-cores", {"most": 100, "asked": 2000, "used": 50}, 12),
        ("limit-cost", {"most": 10, "asked": 5000, "used": 10}, 0),
        ("confirm-cost", {"cost": 5000 + 20, "limit": 100}, 8),
        ("no-cluster", {}, 0),
        ("limit-workers", {}, 0),
    ],
)
def test_adaptive_scaling_asks_for_what_fits_below_a_limit(code: str, values: dict[str, int], fit: int) -> None:
    assert fitting(Refused(409, code, "", values), 500, 10) == fit
