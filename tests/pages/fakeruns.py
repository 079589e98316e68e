"""The addresses of apps, runs and links of the API's double; what is asked for must be what the real API takes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pages.fakeapps import FakeApps, app, app_json, record
from perijove.hub.broker import runviews
from perijove.hub.broker.api_apps import Estimate
from perijove.hub.broker.api_runs import Label, NewRun, Replay, Resume
from perijove.hub.broker.api_shares import NewShare
from perijove.hub.broker.appviews import picture_file
from perijove.hub.broker.runcompare import compare
from perijove.hub.broker.views import fault_view
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.needs import needs
from perijove.spawners.request import BadRequest

Owner = Callable[[Request], str | None]
Offers = Callable[[dict[str, Any]], dict[str, Any]]


def png(seed: int, width: int = 480, height: int = 300) -> bytes:
    """A small line plot."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            curve = height * 0.85 - (x / width) ** 2 * height * (0.4 + 0.05 * seed) + 12 * ((x * (7 + seed)) % 31) / 31
            rows += b"\x1d\x4f\x91" if abs(y - curve) < 3 else b"\xde\xda\xd2" if y % 60 == 0 else b"\xff\xff\xff"

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(rows), 6)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def error(status: int, code: str, bad: BadRequest | None = None) -> JSONResponse:
    """A refusal."""
    faults = [fault_view(fault) for fault in bad.faults] if bad else []
    return JSONResponse({"error": code, "message": code, "faults": faults}, status)


def picture(path: str) -> Response:
    """A file of a run or of an example: a plot, another for a name of another length."""
    return Response(png(len(path)), media_type="image/png")


def router(root: str, fake: FakeApps, owner: Owner, offers: Offers) -> APIRouter:
    """All addresses below `root`; `owner` says who asks, `offers` what the centres say to a wish."""
    routes = APIRouter(prefix=root)
    _apps(routes, fake, root, offers)
    _runs(routes, fake, owner)
    _orders(routes, fake, owner)
    _shares(routes, fake)
    return routes


def _apps(routes: APIRouter, fake: FakeApps, root: str, offers: Offers) -> None:
    def view(name: str) -> dict[str, Any]:
        return app_json(name, fake.places.get(name, {}), root)

    @routes.get("/apps")
    async def apps() -> Any:
        return {"apps": [view(name) for name in fake.names]}

    @routes.get("/apps/{name}")
    async def one(name: str) -> Any:
        return view(name) if name in fake.names else error(404, "no-app")

    @routes.get("/apps/{name}/picture")
    async def picture_of(name: str) -> Response:
        return Response(picture_file(app(name)), media_type="image/svg+xml")

    @routes.get("/apps/{name}/example/{path:path}")
    async def example(name: str, path: str) -> Response:
        return picture(path)

    @routes.post("/apps/{name}/estimate")
    async def estimate(name: str, body: Estimate) -> Any:
        try:
            wanted = needs(app(name), Inputs(app(name)).parse(body.inputs))
        except BadRequest as bad:
            nothing = {"needs": None, "small": False, "offers": [], "recommended": None}
            return {"faults": [fault_view(fault) for fault in bad.faults]} | nothing
        wish = {"kind": "app", "cores": wanted.cores, "memory": f"{wanted.memory}M", "prefer": "start"}
        answer = offers(wish | {"walltime": f"{wanted.walltime}s"})
        for row in answer["offers"]:
            place = fake.places.get(name, {}).get(row["centre"], {})
            row |= {"ready": place.get("state") == "ready", "seconds": wanted.seconds}
            row["cost"] = int(row["price"] * wanted.seconds / wanted.walltime) if row["fits"] else None
        return answer | {"faults": [], "needs": wanted.as_dict(), "small": wanted.small}


def _runs(routes: APIRouter, fake: FakeApps, owner: Owner) -> None:
    def seen(request: Request, run: str) -> Any:
        """The run, if whoever asks may see it."""
        row = fake.runs.get(run)
        return row if row and owner(request) in (row["owner"], "operator") else None

    @routes.get("/runs")
    async def runs(request: Request, app: str = "", state: str = "", limit: int = 200) -> Any:
        rows = [row for row in fake.runs.values() if row["owner"] == owner(request)]
        rows = [row for row in rows if app in ("", row["app"]) and state in ("", row["state"])]
        rows.sort(key=lambda row: str(row["created"]), reverse=True)
        return {"runs": [runviews.brief(row) for row in rows[:limit]]}

    @routes.get("/runs/{run}")
    async def one(request: Request, run: str) -> Any:
        return seen(request, run) or error(404, "no-run")

    @routes.get("/runs/{run}/files/{path:path}")
    async def file(request: Request, run: str, path: str) -> Any:
        return picture(path) if seen(request, run) else error(404, "no-run")

    @routes.get("/runs/{a}/compare/{b}")
    async def side_by_side(request: Request, a: str, b: str) -> Any:
        rows = seen(request, a), seen(request, b)
        if not all(rows):
            return error(404, "no-run")
        return compare(app(rows[0]["app"]), *map(record, rows)) | {"agreement": rows[1]["agreement"]}


def _orders(routes: APIRouter, fake: FakeApps, owner: Owner) -> None:
    @routes.post("/runs", status_code=201)
    async def begin(request: Request, body: NewRun) -> Any:
        asked = body.model_dump(exclude_unset=True)
        fake.asked.append(("begin", asked))
        try:
            inputs = Inputs(app(body.app)).parse(body.inputs)
        except BadRequest as bad:
            return error(422, "bad-request", bad)
        known = next((row for row in fake.runs.values() if row.get("key") == body.key), None)
        values = {key: asked.get(key) for key in ("key", "parent", "relation")}
        values |= {"label": body.label, "app": body.app, "inputs": inputs, "progress": 0.0, "started": None}
        return known or fake.add(owner(request) or "", "starting", **values)

    @routes.post("/runs/{run}/shares", status_code=201)
    async def share(run: str, body: NewShare) -> Any:
        now, token = datetime.now(UTC), f"token-{len(fake.shares)}"
        times = {"created": now.isoformat(), "expires": (now + timedelta(days=body.days)).isoformat()}
        made = {"id": f"s{len(fake.shares)}", "run": run, "mode": body.mode, "good": True, "revoked": None} | times
        fake.shares[token] = made
        return {"id": made["id"], "token": token, "url": f"/shared/{token}"}

    @routes.post("/runs/{run}/resume")
    async def resume(run: str, body: Resume | None = None) -> Any:
        return fake.change(run, state="running")

    @routes.post("/runs/{run}/replay", status_code=201)
    async def replay(run: str, body: Replay) -> Any:
        fake.asked.append(("replay", body.model_dump(exclude_unset=True)))
        values = {"centre": body.centre, "parent": run, "relation": "replay", "progress": 0.0}
        return fake.add(fake.runs[run]["owner"], "starting", **values)

    @routes.patch("/runs/{run}")
    async def label(run: str, body: Label) -> Any:
        return fake.change(run, label=body.label)

    @routes.delete("/runs/{run}")
    async def cancel(run: str) -> Any:
        return fake.change(run, state="cancelled")

    @routes.delete("/runs/{run}/record", status_code=204)
    async def forget(run: str) -> None:
        del fake.runs[run]


def _shares(routes: APIRouter, fake: FakeApps) -> None:
    @routes.get("/runs/{run}/shares")
    async def shares(run: str) -> Any:
        return {"shares": [row for row in fake.shares.values() if row["run"] == run]}

    @routes.delete("/runs/{run}/shares/{share}", status_code=204)
    async def end(run: str, share: str) -> None:
        next(row for row in fake.shares.values() if row["id"] == share)["good"] = False

    def shown(token: str) -> Any:
        """The run that a link shows."""
        row = fake.shares.get(token)
        return fake.runs.get(row["run"]) if row and row["good"] else None

    @routes.get("/shared/{token}")
    async def shared(token: str) -> Any:
        row = shown(token)
        if row is None:
            return error(404, "no-share")
        name = {"en": "NSCC Tianjin", "zh": "国家超级计算天津中心"} if row["centre"] == "tianjin" else None
        return runviews.shared(row, fake.shares[token]["mode"], [], row.get("titles")) | {"centre_name": name}

    @routes.get("/shared/{token}/files/{path:path}")
    async def shared_file(token: str, path: str) -> Any:
        return picture(path) if shown(token) else error(404, "no-share")
