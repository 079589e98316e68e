"""People's files at centres: the API, and transfers through cuts and restarts, over real launchers and links."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from broker.callers import PEOPLE
from broker.harness import empty_store, until
from doubles.login import centre, new_key, public
from fastapi import FastAPI
from perijove.hub.broker import api_files, errors
from perijove.hub.broker.auth import Auth
from perijove.hub.broker.database import Database
from perijove.hub.broker.files import PIECE, Files, FileTrouble, Place
from perijove.hub.broker.hubclient import HubClient
from perijove.hub.broker.identity import Identities
from perijove.hub.broker.sessions import utc_now
from perijove.hub.broker.transfers import AT_ONCE, Transfer, Transfers
from perijove.spawners.centre import Centre
from perijove.spawners.link import Account, LinkError, LinkProblem, Links

NOBODY = Account()


class Pool:
    """Links that can be cut: `down`, or at the n-th command (`cut_at`)."""

    def __init__(self) -> None:
        self.links, self.asked = Links(), list[dict[str, Any]]()
        self.cut_at, self.down = 0, False
        self.away = ""
        self.gate = asyncio.Event()
        self.gate.set()

    def get(self, centre: Centre, account: Account = NOBODY) -> Any:
        pool, link = self, self.links.get(centre, account)

        class Cut:
            async def launch(self, request: dict[str, Any], **more: Any) -> dict[str, Any]:
                pool.asked.append(request)
                await pool.gate.wait()
                if pool.down or centre.id == pool.away or len(pool.asked) == pool.cut_at:
                    raise LinkError(LinkProblem.UNREACHABLE, "the connection broke")
                return await link.launch(request, **more)

        return Cut()


class World:
    """Two centres on this machine, whose home directories are folders of the test."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.home = Path.home() / f"perijove-test-{folder.name}"
        self.home.mkdir()
        self.centres = {name: centre(id=name) for name in ("alpha", "beta")}
        self.pool = Pool()
        self.database = Database(url)
        self.begin()

    def begin(self) -> None:
        """A broker's parts, fresh, as after a restart."""
        identities = Identities(self.database, self.folder / "keys", None, utc_now)
        self.files = Files(self.centres, self.pool, identities)
        self.transfers = Transfers(
            self.database, self.files, utc_now, lambda _: True, look_every=0.05, retry=(0.01, 0.05)
        )
        self.running = asyncio.create_task(self.transfers.run())

    async def kill(self) -> None:
        """As a crash: what is under way stops where it is."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    async def close(self) -> None:
        await self.kill()
        await self.database.close()
        await self.pool.links.close()
        for path in sorted(self.home.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.home.rmdir()

    def path(self, name: str) -> str:
        return f"~/{self.home.name}/{name}"

    async def stage(self, source: str, target: str) -> Transfer:
        return await self.transfers.stage("ada", ("alpha", self.path(source)), ("beta", self.path(target)))

    async def over(self, transfer: Transfer, state: str) -> Transfer:
        async def reached() -> Transfer | None:
            now = await self.transfers.get(transfer.id)
            assert now is not None
            assert now.state == state or now.ended is None, now
            return now if now.state == state else None

        found: Transfer = await until(reached, 30, state)
        return found


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    await empty_store(tmp_path / "store.sqlite")
    one = World(tmp_path, f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield one
    await one.close()


class Api:
    """Calls as somebody."""

    def __init__(self, world: World) -> None:
        def hub(request: httpx.Request) -> httpx.Response:
            model = PEOPLE.get(request.headers["Authorization"].removeprefix("token "))
            return httpx.Response(200, json=model) if model else httpx.Response(403, json={})

        app = FastAPI()
        errors.install(app, "")
        auth = Auth("service", HubClient("http://hub/hub/api", "service", httpx.MockTransport(hub)))
        app.include_router(api_files.router(world, auth.caller))  # type: ignore[arg-type]  # what the router uses of it
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://broker")

    async def __call__(self, method: str, path: str, who: str = "t-ada", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"token {who}"} | more.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **more)


@pytest_asyncio.fixture
async def api(world: World) -> AsyncIterator[Api]:
    one = Api(world)
    yield one
    await one.client.aclose()


async def test_a_folder_is_listed_and_a_file_is_read_whole_or_in_part(world: World, api: Api) -> None:
    data = os.urandom(PIECE + 1000)
    name = 'odd "name" $(x) 区域\n.nc'
    (world.home / name).write_bytes(data)
    (world.home / ".hidden").touch()
    listed = (await api("GET", "/files/alpha", params={"path": world.path("")})).json()
    assert [(e["name"], e["kind"], e["size"]) for e in listed["entries"]] == [(name, "file", len(data))]
    where = {"path": world.path(name)}
    whole = await api("GET", "/files/alpha/content", params=where)
    assert whole.status_code == 200
    assert whole.content == data
    assert whole.headers["content-disposition"] == f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    for asked, found in (("bytes=0-9", data[:10]), (f"bytes={PIECE - 5}-{PIECE + 4}", data[PIECE - 5 : PIECE + 5])):
        part = await api("GET", "/files/alpha/content", params=where, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, found)
    last = await api("GET", "/files/alpha/content", params=where, headers={"Range": "bytes=-7"})
    assert last.content == data[-7:]
    assert last.headers["content-range"] == f"bytes {len(data) - 7}-{len(data) - 1}/{len(data)}"
    beyond = await api("GET", "/files/alpha/content", params=where, headers={"Range": f"bytes={len(data)}-"})
    assert beyond.status_code == 416
    other = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert (await api("GET", "/files/alpha/content", params=where, headers=other)).status_code == 200


async def test_a_name_that_is_no_text_survives_the_api(world: World, api: Api) -> None:
    await asyncio.to_thread((world.home / os.fsdecode(b"\xff.nc")).touch)
    answer = await api("GET", "/files/alpha", params={"path": world.path("")})
    assert json.loads(answer.content)["entries"][0]["name"] == "\udcff.nc"


@pytest.mark.parametrize("who", ["service", "t-service"])
async def test_files_are_read_by_nobody_but_their_person(world: World, api: Api, who: str) -> None:
    answer = await api("GET", "/files/alpha/content", who, params={"path": "x"})
    assert answer.status_code in (401, 403)
    assert not world.pool.asked
    made = await world.stage("a", "b")
    for other in ("t-bob", "t-root", "service"):
        assert (await api("GET", f"/transfers/{made.id}", other)).status_code == 404
        assert (await api("DELETE", f"/transfers/{made.id}", other)).status_code == 404


async def test_an_account_that_everybody_shares_has_nobodys_own_files(world: World, api: Api) -> None:
    login = {"identity": "community", "host": "login", "host_keys": [public(new_key())], "key_file": "/key"}
    described = centre(id="shared", scheduler={"system": "slurm"}, login=login | {"account": "all"})
    world.centres["shared"] = described
    assert (await api("GET", "/files/shared")).json()["error"] == "shared-account"
    ends = {"from": {"centre": "alpha", "path": "x"}, "to": {"centre": "shared", "path": "x"}}
    assert (await api("POST", "/transfers", json=ends)).json()["error"] == "shared-account"
    assert not world.pool.asked


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("~/nothing-of-that-name", 404, "no-file"),
        ("/etc/passwd", 403, "outside"),
        ("../x", 403, "outside"),
        ("~/.perijove/abc/log", 403, "outside"),
        ("~", 409, "not-a-file"),
    ],
)
async def test_what_cannot_be_read_is_said_in_words(world: World, api: Api, path: str, status: int, code: str) -> None:
    answer = await api("GET", "/files/alpha/content", params={"path": path})
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert (await api("GET", "/files/nowhere", params={"path": path})).json()["error"] == "unknown-centre"


async def test_an_older_launcher_is_named(world: World) -> None:
    detail = "request: KeyError: 'read'"
    error = FileTrouble.of(LinkError(LinkProblem.LAUNCHER, detail, "request"), world.centres["alpha"])
    assert error.code == "launcher-older"
    assert error.message.startswith("alpha: the launcher installed there is older")


async def test_bulk_leaves_commands_their_turn(world: World) -> None:
    (world.home / "a").write_bytes(b"x" * 10)
    place = Place(world.centres["alpha"], Account())
    world.pool.gate.clear()
    tasks = [asyncio.create_task(world.files.look(place, world.path("a"))) for _ in range(20)]
    await until(lambda: len(world.pool.asked) == 2)
    world.pool.gate.set()
    assert {facts.total for facts in await asyncio.gather(*tasks)} == {10}


async def test_a_file_is_staged_with_its_digest_through_the_api(world: World, api: Api) -> None:
    data = os.urandom(2 * PIECE + 5)
    (world.home / "a").write_bytes(data)
    body = {
        "from": {"centre": "alpha", "path": world.path("a")},
        "to": {"centre": "beta", "path": world.path("sub/b")},
    }
    made = (await api("POST", "/transfers", json=body)).json()
    found = await world.transfers.get(made["id"])
    assert found is not None
    await world.over(found, "done")
    view = (await api("GET", f"/transfers/{made['id']}")).json()
    assert (view["moved"], view["total"], view["problem"]) == (len(data), len(data), None)
    assert view["sha256"] == hashlib.sha256(data).hexdigest()
    assert (world.home / "sub/b").read_bytes() == data
    assert [path.name for path in (world.home / "sub").iterdir()] == ["b"]
    assert [one["id"] for one in (await api("GET", "/transfers")).json()["transfers"]] == [made["id"]]
    assert (await api("GET", "/transfers", "t-root")).json()["transfers"] == []


@pytest.mark.parametrize("cut_at", range(1, 9))
async def test_a_cut_at_any_command_costs_only_what_was_under_way(world: World, cut_at: int) -> None:
    data = os.urandom(2 * PIECE + 5)
    (world.home / "a").write_bytes(data)
    world.pool.cut_at = cut_at
    done = await world.over(await world.stage("a", "b"), "done")
    assert done.sha256 == hashlib.sha256(data).hexdigest()
    assert (world.home / "b").read_bytes() == data
    assert len(list(world.home.iterdir())) == 2


async def test_it_goes_on_after_the_gateway_was_killed_from_what_the_target_has(world: World) -> None:
    data = os.urandom(3 * PIECE)
    (world.home / "a").write_bytes(data)
    made = await world.stage("a", "b")
    await until(lambda: any(request.get("offset") for request in world.pool.asked if request["verb"] == "write"))
    await world.kill()
    before = len(world.pool.asked)
    world.begin()
    await world.over(made, "done")
    assert (world.home / "b").read_bytes() == data
    offsets = [r["offset"] for r in world.pool.asked[before:] if r["verb"] == "write" and r.get("length")]
    assert 0 not in offsets


async def test_a_source_that_changed_is_brought_anew(world: World) -> None:
    (world.home / "a").write_bytes(os.urandom(2 * PIECE))
    made = await world.stage("a", "b")
    await until(lambda: any(request.get("offset") for request in world.pool.asked if request["verb"] == "write"))
    await world.kill()
    (world.home / "a").write_bytes(b"another")
    world.begin()
    await world.over(made, "done")
    assert (world.home / "b").read_bytes() == b"another"


async def test_a_cancelled_one_leaves_nothing(world: World, api: Api) -> None:
    (world.home / "a").write_bytes(os.urandom(3 * PIECE))
    made = await world.stage("a", "b")
    await until(lambda: any(request.get("length") for request in world.pool.asked if request["verb"] == "write"))
    answer = await api("DELETE", f"/transfers/{made.id}")
    assert answer.json()["state"] in ("cancelling", "cancelled")
    await world.over(made, "cancelled")
    assert [path.name for path in world.home.iterdir()] == ["a"]
    assert (await api("DELETE", f"/transfers/{made.id}")).json()["state"] == "cancelled"


@pytest.mark.parametrize(("target", "code"), [("b", "exists"), ("../.ssh/x", "outside"), ("folder", "exists")])
async def test_what_cannot_be_done_fails_in_words_and_leaves_nothing(world: World, target: str, code: str) -> None:
    (world.home / "a").write_bytes(b"x")
    (world.home / "b").write_bytes(b"y")
    (world.home / "folder").mkdir()
    failed = await world.over(await world.stage("a", target), "failed")
    assert (failed.code, (world.home / "b").read_bytes()) == (code, b"y")
    assert sorted(path.name for path in world.home.iterdir()) == ["a", "b", "folder"]
    assert failed.detail


async def test_transfers_that_wait_for_a_silent_centre_keep_no_others_waiting(world: World) -> None:
    (world.home / "a").write_bytes(b"x")
    world.pool.away = "alpha"
    waiting = [await world.stage("a", f"from-alpha-{n}") for n in range(AT_ONCE + 2)]
    await until(lambda: sum(request["verb"] == "read" for request in world.pool.asked) >= AT_ONCE)
    ends = ("beta", world.path("a")), ("beta", world.path("b"))
    await world.over(await world.transfers.stage("ada", *ends), "done")
    world.pool.away = ""
    for one in waiting:
        await world.over(one, "done")


async def test_a_range_of_any_length_is_no_error_of_ours(world: World, api: Api) -> None:
    (world.home / "a").write_bytes(b"abc")
    for asked in (f"bytes={'9' * 5000}-", f"bytes=0-{'9' * 5000}"):
        answer = await api("GET", f"/files/alpha/content?path={world.path('a')}", headers={"Range": asked})
        assert (answer.status_code, answer.content) == (200, b"abc"), "a range that is none is none"


async def test_it_is_done_when_it_was_killed_after_the_file_was_in_place(world: World) -> None:
    (world.home / "a").write_bytes(b"x" * 1000)
    (world.home / "b").write_bytes(b"x" * 1000)  # as the launcher left it, before that was written down
    made = await world.over(await world.stage("a", "b"), "done")
    assert made.sha256 == hashlib.sha256(b"x" * 1000).hexdigest()
    assert sorted(path.name for path in world.home.iterdir()) == ["a", "b"], "and no partial file is left"
