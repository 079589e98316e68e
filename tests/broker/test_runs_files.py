"""Runs whose files lie at another centre: they are brought first, whatever is killed meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from broker.harness import Gateway, until
from broker.runapi import RunApi
from broker.runworld import Runs, app_kind, report, results
from broker.simulated import SimulatedCentre
from broker.simulated import centre as described
from broker.test_runs_crashes import killed_at
from perijove.hub.broker.errors import Refusal
from perijove.hub.broker.runrecords import Run, RunState
from perijove.hub.broker.runstaging import names
from perijove.spawners.centre import Centre
from perijove.spawners.link import LinkError, LinkProblem

__all__ = ["app_kind"]
READS = b"ACGT" * 1000
POINTS = ["run-written", "run-file-chosen", "run-file-staged", "run-file-brought", "run-session-opened"]


class Disk(SimulatedCentre):
    """A centre with files in one home, by path; the launcher's verbs for them as their docstrings say."""

    def __init__(self, described: Centre) -> None:
        super().__init__(described)
        self.disk: dict[str, bytes] = {}
        self.wrong = ""

    async def launch(self, request: dict[str, Any], user: str) -> dict[str, Any]:
        if request["verb"] not in ("read", "write"):
            return await super().launch(request, user)
        if self.wrong:
            problem = LinkProblem.UNREACHABLE if self.wrong == "away" else LinkProblem.LAUNCHER
            raise LinkError(problem, "it broke", code=self.wrong)
        assert request["own"], "a person's own files only"
        path = request["path"]
        if request["verb"] == "read":
            if path not in self.disk:
                raise LinkError(LinkProblem.LAUNCHER, "no such file", code="no-file")
            data, offset = self.disk[path], request["offset"]
            sha256 = {"sha256": hashlib.sha256(data).hexdigest()} if request.get("sha256") else {}
            body = data[offset : offset + request["length"]]
            return {"ok": True, "total": len(data), "mtime": 1.0, "body": body} | sha256
        part = f"{path} {request['part']}"
        if request.get("drop"):
            self.disk.pop(part, None)
            return {"ok": True, "size": 0}
        data = self.disk.setdefault(part, b"")
        self.disk[part] = data[: request.get("offset", len(data))] + request.get("body", b"")
        if request.get("done"):
            if path in self.disk:
                raise LinkError(LinkProblem.LAUNCHER, "there is one", code="exists")
            self.disk[path] = self.disk.pop(part)
            assert hashlib.sha256(self.disk[path]).hexdigest() == request["done"]
            return {"ok": True, "size": len(self.disk[path])}
        return {"ok": True, "size": len(self.disk[part])}


@pytest_asyncio.fixture
async def runs(gateway: Gateway) -> Runs:
    gateway.simulated = {name: Disk(described(name, login=LOGIN | {"identity": "self"})) for name in ("alpha", "beta")}
    world = Runs(gateway)
    await world.begin()
    at(world, "alpha").disk["data/my reads.fq"] = READS
    return world


LOGIN = described().login.model_dump(mode="json", exclude_defaults=True)


@pytest_asyncio.fixture
async def api(gateway: Gateway, runs: Runs) -> AsyncIterator[RunApi]:
    one = RunApi(gateway)
    yield one
    await one.client.aclose()


def at(runs: Runs, centre: str) -> Disk:
    found = runs.gateway.simulated[centre]
    assert isinstance(found, Disk)
    return found


async def first(runs: Runs) -> Run:
    """A run with a file of its person's at alpha, that is done."""
    app = runs.gateway.broker.apps.app("sums")
    made = await runs.desk.start("ada", app, {"reads": "data/my reads.fq"}, request={"centre": "alpha"})
    return await runs.say(made, report("done", ("done",), results=results(3.0)))


async def replay(runs: Runs, parent: Run, **more: Any) -> Run:
    return await runs.desk.again("ada", parent, {}, relation="replay", request={"centre": "beta"}, **more)


async def test_a_replay_brings_the_file_says_how_far_and_then_opens_its_session(runs: Runs, api: RunApi) -> None:
    parent = await first(runs)
    at(runs, "beta").wrong = "away"
    view = await api.ok("POST", f"/runs/{parent.id}/replay", status=201, json={"centre": "beta", "key": "k"})
    assert (view["state"], view["stage"], view["session"], view["cost"]) == ("starting", "files", None, 0)
    [one] = view["staging"]
    assert (one["input"], one["from"]) == ("reads", {"centre": "alpha", "path": "data/my reads.fq"})
    assert not at(runs, "beta").jobs and view["can"] == ["cancel"]
    at(runs, "beta").wrong = ""
    found = await runs.with_session(view["id"])
    assert found.inputs["reads"] == "from-alpha/my_reads.fq" and at(runs, "beta").disk == {
        "from-alpha/my_reads.fq": READS
    }
    [one] = (await api.ok("GET", f"/runs/{view['id']}"))["staging"]
    assert (one["state"], one["total"], one["moved"], one["to"]) == ("done", 4000, 4000, "from-alpha/my_reads.fq")
    again = await api.ok("POST", f"/runs/{parent.id}/replay", status=201, json={"centre": "beta", "key": "k"})
    assert again["id"] == view["id"], "the same request is the same run, also after its input has moved"
    await runs.say(found, report("done", ("done",), results=results(3.0)))
    after = await runs.get(found.id)
    assert after.agreement is not None and after.agreement["verdict"] == "same"


async def test_a_new_run_says_where_its_file_lies(runs: Runs, api: RunApi) -> None:
    body = {"app": "sums", "inputs": {"reads": "data/my reads.fq"}, "files_at": "alpha"}
    view = await api.ok("POST", "/runs", status=201, json=body | {"request": {"centre": "beta"}})
    assert (await runs.with_session(view["id"])).inputs["reads"] == "from-alpha/my_reads.fq"
    near = await api.ok("POST", "/runs", status=201, json=body)
    assert (near["centre"], near["staging"]) == ("alpha", []), "where nobody says, it goes to the file"
    data = await api.ok("POST", "/runs", status=201, json=body | {"inputs": {}, "request": {"centre": "beta"}})
    assert data["staging"] == []
    nowhere = await api("POST", "/runs", json=body | {"files_at": "gone", "request": {"centre": "beta"}})
    assert (nowhere.status_code, nowhere.json()["error"]) == (404, "unknown-centre")
    host = await runs.gateway.open(centre="beta")
    there = await api("POST", "/runs", json=body | {"session": host.id})
    assert (there.status_code, there.json()["error"]) == (409, "files-elsewhere")


@pytest.mark.parametrize("point", POINTS)
async def test_killed_while_the_file_is_brought(runs: Runs, point: str) -> None:
    parent = await first(runs)
    await runs.gateway.stop()
    await runs.gateway.start()
    await killed_at(runs, point, replay(runs, parent, key="k"))
    made = await replay(runs, parent, key="k")
    found = await runs.with_session(made.id)
    assert found.inputs["reads"] == "from-alpha/my_reads.fq"
    assert at(runs, "beta").disk == {"from-alpha/my_reads.fq": READS}, "once, whole, and nothing beside it"
    assert (await runs.sessions()).count(found.server) == 1
    assert len(await runs.gateway.broker.transfers.listing("ada")) == 1


async def test_nothing_is_overwritten_and_the_same_is_used_as_it_is(runs: Runs) -> None:
    parent, beta = await first(runs), at(runs, "beta")
    beta.disk["from-alpha/my_reads.fq"] = b"mine"
    beta.disk["data/my reads.fq"] = b"TTTT" * 1000  # as long, and another one
    found = await runs.with_session((await replay(runs, parent)).id)
    assert found.inputs["reads"] == "from-alpha-2/my_reads.fq" and beta.disk["from-alpha/my_reads.fq"] == b"mine"
    again = await runs.with_session((await replay(runs, parent)).id)
    assert again.inputs["reads"] == "from-alpha-2/my_reads.fq"
    beta.disk["data/my reads.fq"] = READS
    there = await runs.with_session((await replay(runs, parent)).id)
    assert there.inputs["reads"] == "data/my reads.fq"
    assert len(await runs.gateway.broker.transfers.listing("ada")) == 1, "what is there is not moved again"


async def test_a_file_that_cannot_be_had_is_said_in_words_and_costs_nothing(runs: Runs, api: RunApi) -> None:
    parent, beta = await first(runs), at(runs, "beta")
    beta.wrong = "home-full"
    failed = await runs.at((await replay(runs, parent)).id, RunState.FAILED)
    view = await api.ok("GET", f"/runs/{failed.id}")
    [fault] = view["problem"]
    assert (fault["field"], fault["code"], view["cost"], view["session"]) == ("reads", "file-home-full", 0, None)
    assert "quota" in fault["message"] and fault["values"]["file"] == "my reads.fq" and not beta.jobs
    assert "resume" in view["can"]
    beta.wrong = ""
    await api.ok("POST", f"/runs/{failed.id}/resume")
    assert (await runs.with_session(failed.id, attempt=2)).inputs["reads"] == "from-alpha/my_reads.fq"


async def test_a_silent_centre_is_waited_for_and_not_for_ever(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = await first(runs)
    at(runs, "alpha").wrong = "away"
    made = await replay(runs, parent)
    await until(lambda: runs.desk.keeper.staging._tasks)
    assert (await runs.get(made.id)).state is RunState.STARTING
    monkeypatch.setattr("perijove.hub.broker.runstaging.PATIENCE", runs.desk.runs.clock() - made.created)
    failed = await runs.at(made.id, RunState.FAILED)
    assert failed.problem is not None and failed.problem[0]["code"] == "file-centre-silent"


async def test_a_cancelled_run_leaves_nothing_behind(runs: Runs) -> None:
    parent, beta = await first(runs), at(runs, "beta")
    runs.gateway.broker.transfers.held = lambda _: False
    made = await replay(runs, parent)

    async def staged() -> bool:
        return bool(await runs.gateway.broker.transfers.listing("ada"))

    await until(staged)
    assert (await runs.desk.cancel(made, "ada")).state is RunState.CANCELLED
    runs.gateway.broker.transfers.held = lambda _: True
    runs.gateway.broker.transfers._wake.set()

    async def over() -> bool:
        return (await runs.gateway.broker.transfers.listing("ada"))[0].state == "cancelled"

    await until(over)
    assert not beta.disk and not beta.jobs


async def test_a_shared_account_has_nobodys_own_files(gateway: Gateway, runs: Runs) -> None:
    parent = await first(runs)
    beta = at(runs, "beta")
    beta.described = described("beta", login=LOGIN | {"identity": "community"})
    await gateway.restart()
    with pytest.raises(Refusal, match="everybody shares one account at beta") as refused:
        await replay(runs, parent)
    assert (refused.value.status, refused.value.code) == (403, "shared-account")
    assert len(await runs.desk.runs.listing()) == 1


def test_names_at_the_target_are_safe_and_keep_their_ending() -> None:
    def name(path: str) -> str:
        return next(names({"centre": "alpha", "path": path}))

    assert name("a/数据 $(x);'.nc") == "from-alpha/数据___x___.nc"
    assert name("x" * 200 + ".nc").endswith("x.nc") and len(name("x" * 200 + ".nc")) < 80
    assert name("a/-rf") == "from-alpha/rf" and name("a/...") == "from-alpha/file"
    assert len(set(names({"centre": "alpha", "path": "a"}))) == 9
