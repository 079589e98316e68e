"""A broker's API with a state in memory and a hub that signs everybody in: what the pages' tests stand on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pages import fakeapps, fakemoney, fakeruns, national
from perijove.hub.pages.config import PagesConfig
from perijove.hub.pages.context import Site
from perijove.hub.pages.install import install_site
from perijove.spawners.centre import Centre, Queue, parse
from perijove.spawners.request import BadRequest, Fault, Placement, fit, place
from perijove.spawners.request import Request as Wish

CONFIG = PagesConfig("http://hub.test/hub/api", "client-secret", b"s" * 32)
API = "/services/perijove/api/v1"
#: The token of each person at the hub.
TOKENS = {"token-of-alice": "alice", "token-of-bob": "bob", "token-of-operator": "operator"}


def centre(name: str, title: str, chinese: str, **queue: Any) -> Centre:
    fields = {"name": "work", "cores": 8, "memory": "32G", "price": {"core_hour": "0.1"}}
    return parse(
        {
            "id": name,
            "name": {"en": title, "zh": chinese},
            "scheduler": {"system": "local"},
            "environment": {"python": "/usr/bin/python3"},
            "queues": [{**fields, **queue}],
        }
    )


@dataclass
class FakeBroker:
    """The state; tests change it as they like."""

    centres: dict[str, Centre] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: The workers of clusters that wait, by the cluster.
    workers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    identities: list[dict[str, Any]] = field(default_factory=list)
    #: What a start is refused with.
    refusal: tuple[int, dict[str, Any]] | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    #: What operators ordered ("drained", "notice") and what the watchers say, by centre.
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    watchers: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: What offers answer beyond their own: "as an older broker" leaves out forecasts and recommendations.
    old: bool = False
    #: What a centre's answer is changed by.
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Files on their way between centres.
    transfers: list[dict[str, Any]] = field(default_factory=list)
    #: Apps and runs.
    apps: fakeapps.FakeApps = field(default_factory=fakeapps.FakeApps)
    #: The books.
    money: fakemoney.FakeMoney = field(default_factory=fakemoney.FakeMoney)

    def add(self, owner: str = "alice", **values: Any) -> dict[str, Any]:
        """A session, queued unless `values` say otherwise."""
        now = datetime.now(UTC)
        row: dict[str, Any] = {
            "id": f"abcdefghij{len(self.sessions):03}",
            "owner": owner,
            "server": "",
            "kind": "lab",
            "centre": "tianjin",
            "queue": "work",
            "cores": 4,
            "memory": 16384,
            "gpus": 0,
            "walltime": 7200,
            "price": 800_000,
            "stage": "queued",
            "reason": "priority",
            "raw_reason": "Priority",
            "job_id": "4711",
            "node": None,
            "connected": False,
            "unknown_since": None,
            "created": (now - timedelta(minutes=3)).isoformat(),
            "ended": None,
            "ends_by": None,
            "outcome": None,
            "detail": "",
            "log_tail": "",
            "ahead": None,
            "forecast": None,
            "money": {"budget": f"person:{owner}", "held": 800_000, "spent": 0, "hourly": 400_000},
        } | values
        self.sessions[row["id"]] = row
        return row

    def add_cluster(self, session: dict[str, Any], running: int, queued: int = 0, **values: Any) -> dict[str, Any]:
        """A cluster whose head is in the job of `session`."""
        row: dict[str, Any] = {"id": f"clusterid{len(self.clusters):04}", "name": f"dask-{len(self.clusters) + 1}"}
        row |= {key: session[key] for key in ("owner", "server", "centre", "queue")} | {"session": session["id"]}
        row |= {"live": True, "beside": True, "price": 800_000, "cost_per_hour": 800_000 * running, "report": None}
        row |= {"counts": {"requested": 0, "queued": queued, "running": running, "lost": 0}} | values
        self.clusters[row["id"]] = row
        self.workers[row["id"]] = [{"state": "queued", "reason": "priority"} for _ in range(queued)]
        return row


def error(status: int, code: str, faults: list[Fault] | None = None) -> JSONResponse:
    rows = [{"field": f.field, "code": f.code, "message": f.message, "values": dict(f.values)} for f in faults or []]
    return JSONResponse({"error": code, "message": code, "faults": rows}, status)


#: Which way of choosing gives which reason.
WHY = {"start": "soonest", "price": "cheapest", "data": "data-here", "balanced": "best-balance"}


def offers(broker: FakeBroker, wish: dict[str, Any]) -> dict[str, Any]:
    """Every queue: those that fit first, best first for what the person prefers."""
    prefer, data = wish.pop("prefer", "balanced"), wish.pop("data", [])
    wish.pop("budget", None)  # what pays changes no offer
    now = datetime.now(UTC)
    rows = [_offer(broker, one, queue, wish, data, now) for one in broker.centres.values() for queue in one.queues]
    if broker.old:
        return {"offers": rows}
    keys: dict[str, Any] = {
        "start": lambda row: row["start"]["likely"],
        "price": lambda row: row["price"],
        "data": lambda row: (len(row["data_missing"]), row["start"]["likely"]),
        "balanced": lambda row: row["start"]["likely"] / 600 + row["price"] / 1e6,
    }
    fitting = sorted((row for row in rows if row["fits"]), key=keys[prefer])
    best = fitting[0] if fitting else None
    if best:
        best["recommended"] = True
    why = "only-fit" if len(fitting) == 1 else WHY[prefer]
    return {
        "as_of": now.isoformat(),
        "prefer": prefer,
        "recommended": best
        and {"centre": best["centre"], "queue": best["queue"], "reasons": [{"code": why, "values": {}}]},
        "offers": [*fitting, *(row for row in rows if not row["fits"])],
    }


def _offer(
    broker: FakeBroker, one: Centre, queue: Queue, wish: dict[str, Any], data: list[str], now: datetime
) -> dict[str, Any]:
    found = fit(Wish.parse({**wish, "centre": one.id}), one, queue, now)
    row: dict[str, Any] = {"centre": one.id, "queue": queue.name, "fits": isinstance(found, Placement)}
    facts = centre_facts(broker, one, now)
    row |= {"as_of": facts.get("as_of"), "unknown_since": facts.get("unknown_since"), "recommended": False}
    if isinstance(found, Placement):
        row |= {key: getattr(found, key) for key in ("cores", "memory", "gpus", "walltime", "price")}
        row["start"] = None if broker.old else national.start(one.id, queue.name, found.cores / queue.cores)
        names = {each["name"] for each in facts.get("datasets") or ()}
        row |= {"data": [n for n in data if n in names], "data_missing": [n for n in data if n not in names]}
    else:
        row["faults"] = [
            {"field": f.field, "code": f.code, "message": f.message, "values": dict(f.values)}
            | {"fix": {"field": f.field, "value": f.values["most"]} if f.values.get("most") else None}
            for f in found
        ]
    return row


def centre_facts(broker: FakeBroker, one: Centre, now: datetime) -> dict[str, Any]:
    """What is known of a centre beyond its description."""
    known = {} if broker.old else national.facts(one.id, now) if len(broker.centres) > 2 else {}
    return known | broker.facts.get(one.id, {})


def centre_view(broker: FakeBroker, one: Centre) -> dict[str, Any]:
    """A centre as the API shows it."""
    now = datetime.now(UTC)
    view = one.model_dump(mode="json", exclude={"login", "scheduler", "environment", "ports", "paths"})
    view |= {"identity": one.login.identity, "software": list(one.environment.software), "maintenance": None}
    view["next_maintenance"] = [m.model_dump(mode="json") for m in one.maintenance if m.end > now]
    if not broker.old:
        view["queues"] = [queue | national.figures(one.id, queue["name"], now) for queue in view["queues"]]
    return view | centre_facts(broker, one, now) | broker.orders.get(one.id, {})


def hub(request: httpx.Request) -> httpx.Response:
    """The hub's two addresses that the pages need."""
    if request.url.path == "/hub/api/oauth2/token":
        form = parse_qs(request.content.decode())
        good = form["client_secret"] == ["client-secret"] and form["code"] == ["good-code"] and form["code_verifier"]
        return httpx.Response(200, json={"access_token": "token-of-alice"}) if good else httpx.Response(400, json={})
    name = TOKENS.get(request.headers["Authorization"].removeprefix("token "))
    model = {"kind": "user", "name": name, "admin": name == "operator"}
    return httpx.Response(200, json=model) if name else httpx.Response(403, json={})


def create(config: PagesConfig = CONFIG) -> tuple[FastAPI, FakeBroker, Site]:
    """An app with the fake API and the real pages."""
    broker = FakeBroker(
        {
            "tianjin": centre("tianjin", "Tianjin Supercomputer", "天津超算中心"),
            "small": centre("small", "Small centre", "小型中心", cores=2, memory="4G"),
        }
    )
    app = FastAPI()
    _operators(app, broker)
    _api(app, broker)
    fakemoney.install(app, API, broker.money, _owner)
    app.include_router(fakeruns.router(API, broker.apps, _owner, partial(offers, broker)))
    site = install_site(app, config, lambda: httpx.AsyncClient(transport=httpx.MockTransport(hub)))
    return app, broker, site


def _owner(request: Request) -> str | None:
    return TOKENS.get(request.headers.get("Authorization", "").removeprefix("token "))


def _api(app: FastAPI, broker: FakeBroker) -> None:
    @app.middleware("http")
    async def note(request: Request, call_next: Any) -> Response:
        if request.url.path.startswith(API):
            broker.calls.append((request.method, request.url.path.removeprefix(API)))
        answer: Response = await call_next(request)
        return answer

    @app.get(f"{API}/centres")
    async def centres() -> Any:
        return {"centres": [centre_view(broker, one) for one in broker.centres.values()]}

    @app.post(f"{API}/offers")
    async def post_offers(wish: dict[str, Any]) -> Any:
        try:
            return offers(broker, wish)
        except BadRequest as bad:
            return error(422, "bad-request", list(bad.faults))

    @app.post(f"{API}/preview")
    async def preview(wish: dict[str, Any]) -> Any:
        try:
            spot = place(Wish.parse(wish), broker.centres, datetime.now(UTC))
        except BadRequest as bad:
            return error(422, "bad-request", list(bad.faults))
        lines = ["#!/bin/sh", "#SBATCH --job-name=pj-preview", f"#SBATCH --partition={spot.queue.label}"]
        lines += ["#SBATCH --nodes=1", f"#SBATCH --cpus-per-task={spot.cores}", f"#SBATCH --mem={spot.memory}M"]
        lines += [f"#SBATCH --time={spot.walltime // 60}", "umask 077", "exec python -m perijove.spawners.agent"]
        return {"script": "\n".join(lines) + "\n", "argv": ["sbatch", "--parsable"]}

    @app.get(f"{API}/sessions")
    async def sessions(request: Request) -> Any:
        if _owner(request) == "operator":
            return {"sessions": like(broker, dict(request.query_params))}
        return {"sessions": [row for row in broker.sessions.values() if row["owner"] == _owner(request)]}

    @app.post(f"{API}/sessions", status_code=201)
    async def post_session(request: Request, body: dict[str, Any]) -> Any:
        if broker.refusal:
            return JSONResponse(broker.refusal[1], broker.refusal[0])
        try:
            spot = place(Wish.parse(body["options"]), broker.centres, datetime.now(UTC))
        except BadRequest as bad:
            return error(422, "bad-request", list(bad.faults))
        values = {key: getattr(spot, key) for key in ("cores", "memory", "gpus", "walltime", "price")}
        values |= {"centre": spot.centre.id, "queue": spot.queue.name, "request": body["options"], "job_id": None}
        now = datetime.now(UTC).isoformat()
        return broker.add(_owner(request) or "", server=body["server"], stage="checked", created=now, **values)

    @app.get(f"{API}/sessions/by-name/{{owner}}/{{server}}")
    async def by_name(owner: str, server: str) -> Any:
        wanted = (owner, "" if server == "-" else server)
        rows = [row for row in broker.sessions.values() if (row["owner"], row["server"]) == wanted]
        return rows[-1] if rows else error(404, "not-found")

    @app.get(f"{API}/sessions/{{session}}")
    async def one(request: Request, session: str) -> Any:
        row = broker.sessions.get(session)
        if row is None:
            return error(404, "not-found")
        return row if _owner(request) in (row["owner"], "operator") else error(403, "forbidden")

    @app.get(f"{API}/sessions/{{session}}/events")
    async def events(session: str) -> Any:
        return {"events": [{"id": 7}]}

    @app.post(f"{API}/sessions/{{session}}/watch")
    async def watch(session: str) -> Any:
        return {}

    @app.delete(f"{API}/sessions/{{session}}")
    async def stop(session: str) -> Any:
        broker.sessions[session]["stage"] = "ending"
        return broker.sessions[session]

    _cluster_api(app, broker)

    _transfers(app, broker)

    @app.get(f"{API}/identities")
    async def identities() -> Any:
        return {"identities": broker.identities}


def _transfers(app: FastAPI, broker: FakeBroker) -> None:
    def mine(request: Request, transfer: str = "") -> list[dict[str, Any]]:
        return [row for row in broker.transfers if row["owner"] == _owner(request) and transfer in ("", row["id"])]

    @app.get(f"{API}/transfers")
    async def transfers(request: Request) -> Any:
        return {"transfers": mine(request)}

    @app.get(f"{API}/transfers/{{transfer}}")
    async def one(request: Request, transfer: str) -> Any:
        return next(iter(mine(request, transfer)), error(404, "no-transfer"))

    @app.delete(f"{API}/transfers/{{transfer}}")
    async def cancel(request: Request, transfer: str) -> Any:
        for row in mine(request, transfer):
            row["state"] = "cancelling"
        return next(iter(mine(request, transfer)), error(404, "no-transfer"))

    @app.post(f"{API}/transfers", status_code=201)
    async def stage(request: Request, body: dict[str, Any]) -> Any:
        row = {"id": f"t{len(broker.transfers)}", "owner": _owner(request), **body, "state": "waiting", "moved": 0}
        broker.transfers.insert(0, row | {"total": None, "problem": None, "created": datetime.now(UTC).isoformat()})
        return row


def _cluster_api(app: FastAPI, broker: FakeBroker) -> None:
    @app.get(f"{API}/clusters")
    async def clusters(request: Request, owner: str | None = None, live: bool | None = None) -> Any:
        who = _owner(request)
        if owner not in (None, who) and who != "operator":
            return error(403, "forbidden")
        rows = [row for row in broker.clusters.values() if live in (None, row["live"])]
        whose = owner or (None if who == "operator" else who)
        return {"clusters": [row for row in rows if whose in (None, row["owner"])]}

    @app.get(f"{API}/clusters/{{cluster}}/workers")
    async def workers(cluster: str) -> Any:
        return {"version": 1, "live": True, "closing": False, "workers": broker.workers.get(cluster, [])}

    @app.delete(f"{API}/clusters/{{cluster}}")
    async def close(request: Request, cluster: str) -> Any:
        row = broker.clusters.get(cluster)
        if row is None or _owner(request) not in (row["owner"], "operator"):
            return error(404, "no-cluster")
        row["live"] = False
        return row


def like(broker: FakeBroker, query: dict[str, str]) -> list[dict[str, Any]]:
    """The sessions that are like `query`."""
    rows = list(broker.sessions.values())
    for key in ("owner", "centre", "stage"):
        rows = [row for row in rows if query.get(key) in (None, row[key])]
    return [row for row in rows if "live" not in query or row["stage"] != "ended"][: int(query["limit"])]


def _operators(app: FastAPI, broker: FakeBroker) -> None:
    def order(request: Request, centre: str, key: str, value: Any) -> Any:
        if _owner(request) != "operator":
            return error(403, "forbidden")
        if centre not in broker.centres:
            return error(404, "unknown-centre")
        since = datetime.now(UTC).isoformat()
        broker.orders.setdefault(centre, {})[key] = value and value | {"by": "operator", "since": since}
        return broker.orders[centre][key]

    @app.put(f"{API}/centres/{{centre}}/{{what}}")
    async def put(request: Request, centre: str, what: str) -> Any:
        return order(request, centre, "drained" if what == "drain" else what, await request.json())

    @app.delete(f"{API}/centres/{{centre}}/{{what}}")
    async def delete(request: Request, centre: str, what: str) -> Any:
        return order(request, centre, "drained" if what == "drain" else what, None)

    @app.get(f"{API}/watchers")
    async def watchers(request: Request) -> Any:
        if _owner(request) != "operator":
            return error(403, "forbidden")
        usual = {"answering": True, "lease": "here", "as_of": datetime.now(UTC).isoformat(), "commands_per_minute": 5}
        usual |= {"failures": 0, "problem": None, "detail": "", "sessions": {}, "tunnels": {"up": 0, "down": 0}}
        usual |= {"unknown_since": None, "drained": None, "notice": None, "enabled": True}
        return {
            "watchers": [
                {"id": c.id, "name": c.name.model_dump()}
                | usual
                | broker.orders.get(c.id, {})
                | broker.watchers.get(c.id, {})
                for c in broker.centres.values()
            ]
        }


def query_of(address: str) -> dict[str, str]:
    """The query of a URL, one value a key."""
    return {key: value[0] for key, value in parse_qs(urlsplit(address).query).items()}
