"""The API's double for apps and runs; its apps are real manifests, so that forms and faults are, too."""

from __future__ import annotations

import json
import struct
import tempfile
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from perijove.spawners.apps.inputs import Inputs
from perijove.spawners.apps.manifest import App, load
from perijove.spawners.apps.needs import needs
from perijove.spawners.request import BadRequest

HERE = Path(__file__).parent / "fakeapps"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 36"><rect width="64" height="36" fill="{sky}"/>'
    '<path d="{path}" fill="none" stroke="#fff" stroke-width="1.5"/></svg>'
)
PICTURES = {
    "climate": SVG.format(sky="#1d4f91", path="M0 30 Q10 26 16 27 T32 22 T48 14 T64 4"),
    "variants": SVG.format(
        sky="#0d5c3a", path="M0 8 Q8 28 16 18 T32 18 T48 18 T64 18 M0 28 Q8 8 16 18 T32 18 T48 18 T64 18"
    ),
}


@cache
def app(name: str) -> App:
    """One of the double's apps, read as the gateway reads it."""
    folder = Path(tempfile.mkdtemp()) / name
    folder.mkdir()
    (folder / "app.toml").write_text((HERE / f"{name}.toml").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "picture.svg").write_text(PICTURES[name], encoding="utf-8")
    cell = {
        "cell_type": "code",
        "source": "show()",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "id": "show",
    }
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "app.ipynb").write_text(json.dumps(book))
    (folder / "pipeline.py").write_text("def steps(case):\n    return []\n")
    return load(folder)


def app_json(name: str, places: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """An app as the API shows it."""
    found = app(name)
    row = found.model_dump(mode="json", by_alias=True, exclude={"needs", "steps", "outputs", "codes", "data", "inputs"})
    row |= {
        key: [{"name": n} | one for n, one in getattr_json(found, key).items()] for key in ("codes", "data", "inputs")
    }
    row |= {"digest": found.digest, "outputs": [], "schema": found.schema(), "picture": f"/apps/{name}/picture"}
    row["example"] = {"inputs": {}, "report": report(name)} if name == "climate" else None
    usual = {"seconds": 20.0, "price_low": 10_000, "price_high": 90_000} if name == "climate" else None
    return row | {"places": [{"centre": c} | place for c, place in places.items()], "usual": usual}


def getattr_json(found: App, key: str) -> dict[str, Any]:
    """A part of a manifest as JSON."""
    dumped: dict[str, Any] = found.model_dump(mode="json", by_alias=True, include={key})[key]
    return dumped


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
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(rows), 6))
        + chunk(b"IEND", b"")
    )


def text(english: str, chinese: str) -> dict[str, str]:
    return {"en": english, "zh": chinese}


def steps(*states: tuple[str, float]) -> list[dict[str, Any]]:
    """Three steps in these states."""
    titles = [
        text("Mean over the region", "区域平均"),
        text("Anomaly against the baseline", "相对基准期的距平"),
        text("Pictures and reading", "绘图与解读"),
    ]
    names = ("mean", "anomaly", "report")
    return [
        {
            "name": name,
            "title": title,
            "state": state,
            "progress": part,
            "parts": {"total": 2 if name == "mean" else 1, "done": int(part * 2), "running": 0, "failed": 0},
            "seconds": 3.4 * part,
            "cpu": 3.0,
            "memory": 210 * 2**20 if part else 0,
            "tries": 1,
            "words": "",
        }
        for name, title, (state, part) in zip(names, titles, states, strict=True)
    ]


def report(name: str = "climate", seed: int = 0, **more: Any) -> dict[str, Any]:
    """What the runner says of a run that is done."""
    codes = [
        {
            "name": "cdo",
            "title": "CDO",
            "version": "2.1.1",
            "licence": "BSD-3-Clause",
            "cite": "Schulzweida, U. (2023), doi:10.5281/zenodo.10020800",
        },
        {"name": "xarray", "title": "xarray", "version": "2026.1", "licence": "Apache-2.0", "cite": ""},
    ]
    data = [
        {
            "name": "scenarios",
            "title": text("Met Office A1B and E1 scenarios", "英国气象局 A1B 与 E1 情景"),
            "licence": "OGL-UK-3.0",
            "cite": "Met Office, iris-sample-data",
        }
    ]
    results: dict[str, Any] = {
        "numbers": [
            {
                "name": "warming",
                "title": text("Warming by 2094", "至 2094 年的增温"),
                "value": 4.8312 + seed / 100,
                "unit": "°C",
            },
            {"name": "years", "title": text("Years used", "所用年数"), "value": 240, "unit": ""},
            {"name": "trend", "title": text("Trend", "趋势"), "value": 0.000512, "unit": "°C"},
        ],
        "figures": [
            {
                "name": "line",
                "file": "line.png",
                "title": text("Two scenarios, 1860 to 2099", "两种情景，1860—2099 年"),
                "alt": text(
                    "A line that rises slowly until 1980 and fast afterwards.",
                    "一条曲线，1980 年前缓慢上升，之后快速上升。",
                ),
                "width": 480,
                "height": 300,
            },
            {
                "name": "map",
                "file": "maps/map of region.png",
                "title": text("Where it warms most", "增温最大的地区"),
                "alt": text("A map: the north warms most.", "地图：北部增温最大。"),
                "width": 480,
                "height": 300,
            },
        ],
        "tables": [
            {
                "name": "years",
                "file": "years.csv",
                "title": text("Year by year", "逐年结果"),
                "columns": ["year", "A1B (°C)", "E1 (°C)", "spread", "lower bound", "upper bound"],
                "rows": [[1860 + n, 0.1 * n, 0.05 * n, 0.4, -0.3, 0.5] for n in range(6)],
                "count": 240,
            }
        ],
        "files": [
            {
                "file": "line.png",
                "title": text("The line plot", "折线图"),
                "bytes": 20_000,
                "sha256": "a" * 64,
                "media": "image/png",
            },
            {
                "file": "years.csv",
                "title": text("Year by year", "逐年结果"),
                "bytes": 5300,
                "sha256": "b" * 64,
                "media": "text/csv",
            },
            {
                "file": "ro-crate-metadata.json",
                "title": "ro-crate-metadata.json",
                "bytes": 15_300,
                "sha256": "c" * 64,
                "media": "application/json",
            },
        ],
        "reading": text(
            "In this model and scenario the region is 4.8 degrees warmer around 2094 than it was from 1961 to 1990.",
            "在该模式和情景下，2094 年前后该区域比 1961—1990 年平均高 4.8 度。",
        ),
        "limits": text(
            "A projection of one model: other models give other numbers.", "单一模式的预估：其他模式会给出不同数值。"
        ),
    }
    found: dict[str, Any] = {
        "version": 1,
        "state": "done",
        "progress": 1.0,
        "left": None,
        "way": "cdo",
        "node": "node-17",
        "cores": 2,
        "started": 0.0,
        "ended": 12.0,
    }
    found |= {
        "steps": steps(("done", 1.0), ("kept", 1.0), ("done", 1.0)),
        "failure": None,
        "codes": codes,
        "data": data,
        "results": results,
    }
    return found | more


FAILURE = {
    "step": "anomaly",
    "part": "",
    "code": "command-failed",
    "command": ["cdo", "-sub", "a file.nc", "mean.nc", "out.nc"],
    "lines": ["cdo    sub: Started", "cdo    sub (Abort): Grid size of the input parameters do not match!"],
    "message": text("CDO could not subtract the two files: their grids differ.", "CDO 无法相减：两个文件的网格不同。"),
    "advice": text("Take a file whose grid is the scenario's.", "请选用与情景网格一致的文件。"),
    "input": None,
}
INPUTS: dict[str, Any] = {
    "scenario": "A1B",
    "baseline": [1961, 1990],
    "region": [-120.0, 30.0, -80.0, 50.0],
    "smooth": 11,
    "trend": True,
    "source": "data:scenarios",
}


@dataclass
class FakeApps:
    """Apps and runs; tests change it as they like."""

    names: list[str] = field(default_factory=lambda: ["climate", "variants"])
    places: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    shares: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: What was asked for, as it came.
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def add(self, owner: str = "alice", state: str = "done", **values: Any) -> dict[str, Any]:
        """A run, done unless `state` says otherwise."""
        now = datetime.now(UTC)
        live = state in ("starting", "running")
        row: dict[str, Any] = {
            "id": f"run{len(self.runs):07}",
            "app": "climate",
            "app_version": "1.0",
            "digest": "d" * 64,
        }
        row |= {
            "title": text("Climate scenarios", "气候情景"),
            "label": "",
            "owner": owner,
            "centre": "tianjin",
            "queue": "work",
        }
        row |= {
            "session": None,
            "server": "climate",
            "own_session": False,
            "state": state,
            "inputs": dict(INPUTS),
            "language": "en",
        }
        row |= {
            "progress": 0.4 if live else 1.0,
            "report": report() if state == "done" else None,
            "price": 200_000,
            "cost": 12_300,
            "most": 90_000,
        }
        row |= {
            "created": (now - timedelta(minutes=5)).isoformat(),
            "started": (now - timedelta(minutes=4)).isoformat(),
            "ended": None if live else now.isoformat(),
        }
        row |= {
            "parent": None,
            "relation": None,
            "agreement": None,
            "kept": [],
            "folder": "perijove/runs/x",
            "unknown_since": None,
            "version": 1,
        }
        row["can"] = (
            ["cancel", "share"]
            if live
            else ["resume", "rerun", "delete"]
            if state == "interrupted"
            else ["rerun", "delete"] + (["replay", "share"] if state == "done" else [])
        )
        row |= values
        self.runs[row["id"]] = row
        return row


def error(status: int, code: str, faults: Any = ()) -> JSONResponse:
    rows = [{"field": f.field, "code": f.code, "message": f.message, "values": dict(f.values)} for f in faults]
    return JSONResponse({"error": code, "message": code, "faults": rows}, status)


def install(server: FastAPI, api: str, fake: FakeApps, owner: Any, offers: Any) -> None:
    """Add the addresses below `api`; `owner` says who asks, `offers` what the centres say to a wish."""
    _apps(server, api, fake, owner, offers)
    _runs(server, api, fake, owner)
    _orders(server, api, fake, owner)
    _shares(server, api, fake, owner)


def _apps(server: FastAPI, api: str, fake: FakeApps, owner: Any, offers: Any) -> None:
    @server.get(f"{api}/apps")
    async def apps(request: Request) -> Any:
        return {"apps": [app_json(name, fake.places.get(name, {})) for name in fake.names]}

    @server.get(f"{api}/apps/{{name}}")
    async def one(name: str) -> Any:
        return app_json(name, fake.places.get(name, {})) if name in fake.names else error(404, "no-app")

    @server.get(f"{api}/apps/{{name}}/picture")
    async def picture(name: str) -> Response:
        return Response(PICTURES[name], media_type="image/svg+xml")

    @server.get(f"{api}/apps/{{name}}/example/{{path:path}}")
    async def example(name: str, path: str) -> Response:
        return Response(png(len(path)), media_type="image/png")

    @server.post(f"{api}/apps/{{name}}/estimate")
    async def estimate(name: str, body: dict[str, Any]) -> Any:
        try:
            wanted = needs(app(name), Inputs(app(name)).parse(body["inputs"]))
        except BadRequest as bad:
            return {
                "faults": [
                    {"field": f.field, "code": f.code, "message": f.message, "values": dict(f.values)}
                    for f in bad.faults
                ],
                "needs": None,
                "small": False,
                "offers": [],
                "recommended": None,
            }
        wish = {
            "kind": "app",
            "cores": wanted.cores,
            "memory": f"{wanted.memory}M",
            "walltime": f"{wanted.walltime}s",
            "prefer": "start",
        }
        answer: dict[str, Any] = offers(wish)
        for row in answer["offers"]:
            row |= {
                "ready": fake.places.get(name, {}).get(row["centre"], {}).get("state") == "ready",
                "seconds": wanted.seconds,
            }
            row["cost"] = int(row["price"] * wanted.seconds / wanted.walltime) if row["fits"] else None
        return answer | {"faults": [], "needs": wanted.as_dict(), "small": wanted.small}


def _runs(server: FastAPI, api: str, fake: FakeApps, owner: Any) -> None:
    def mine(request: Request, run: str) -> Any:
        row = fake.runs.get(run)
        return row if row and owner(request) in (row["owner"], "operator") else None

    @server.get(f"{api}/runs")
    async def runs(request: Request, app: str = "", state: str = "", limit: int = 200) -> Any:
        rows = [
            row
            for row in fake.runs.values()
            if row["owner"] == owner(request) and app in ("", row["app"]) and state in ("", row["state"])
        ]
        return {"runs": sorted(rows, key=lambda row: str(row["created"]), reverse=True)[:limit]}

    @server.get(f"{api}/runs/{{run}}")
    async def one(request: Request, run: str) -> Any:
        row = mine(request, run)
        return row or error(404, "no-run")

    @server.get(f"{api}/runs/{{run}}/files/{{path:path}}")
    async def file(request: Request, run: str, path: str) -> Any:
        if not mine(request, run):
            return error(404, "no-run")
        return Response(png(len(path)), media_type="application/octet-stream")

    @server.get(f"{api}/runs/{{a}}/compare/{{b}}")
    async def compare(request: Request, a: str, b: str) -> Any:
        one, other = mine(request, a), mine(request, b)
        if not (one and other):
            return error(404, "no-run")
        found = app(one["app"]).inputs
        titles = {name: {"en": each.title.en, "zh": each.title.zh} for name, each in found.items()}
        sides = [
            {row["name"]: row for row in ((side["report"] or {}).get("results") or {}).get("numbers", [])}
            for side in (one, other)
        ]
        figures = ((one["report"] or {}).get("results") or {}).get("figures", [])
        return {
            "inputs": [
                {"name": n, "title": titles.get(n, n), "a": one["inputs"].get(n), "b": other["inputs"].get(n)}
                for n in one["inputs"]
            ],
            "numbers": [
                {
                    "name": n,
                    "title": row["title"],
                    "unit": row["unit"],
                    "a": row["value"],
                    "b": (sides[1].get(n) or {}).get("value"),
                }
                for n, row in sides[0].items()
            ],
            "figures": [
                {"name": row["name"], "title": row["title"], "a": row["file"], "b": row["file"]} for row in figures
            ],
            "agreement": other["agreement"],
        }


def _orders(server: FastAPI, api: str, fake: FakeApps, owner: Any) -> None:
    @server.post(f"{api}/runs", status_code=201)
    async def begin(request: Request, body: dict[str, Any]) -> Any:
        fake.asked.append(("begin", body))
        try:
            inputs = Inputs(app(body["app"])).parse(body["inputs"])
        except BadRequest as bad:
            return error(422, "bad-request", bad.faults)
        known = next((row for row in fake.runs.values() if row.get("key") == body["key"]), None)
        values = {key: body.get(key) for key in ("key", "parent", "relation")} | {
            "label": body.get("label") or "",
            "app": body["app"],
        }
        return known or fake.add(owner(request), "starting", inputs=inputs, progress=0.0, started=None, **values)

    @server.post(f"{api}/runs/{{run}}/{{what}}")
    async def order(request: Request, run: str, what: str) -> Any:
        body = await request.json() if await request.body() else {}
        fake.asked.append((what, body))
        row = fake.runs[run]
        if what == "shares":
            token = f"token-{len(fake.shares)}"
            until = (datetime.now(UTC) + timedelta(days=body["days"])).isoformat()
            fake.shares[token] = {
                "id": f"s{len(fake.shares)}",
                "run": run,
                "mode": body["mode"],
                "expires": until,
                "created": datetime.now(UTC).isoformat(),
                "good": True,
                "revoked": None,
            }
            return {"id": fake.shares[token]["id"], "token": token, "url": f"/shared/{token}"}
        if what == "resume":
            row |= {"state": "running", "version": row["version"] + 1}
            return row
        return fake.add(row["owner"], "starting", centre=body["centre"], parent=run, relation="replay", progress=0.0)

    @server.patch(f"{api}/runs/{{run}}")
    async def label(run: str, body: dict[str, Any]) -> Any:
        fake.runs[run]["label"] = body["label"]
        return fake.runs[run]

    @server.delete(f"{api}/runs/{{run}}")
    async def cancel(run: str) -> Any:
        fake.runs[run] |= {"state": "cancelled", "can": ["rerun", "delete"], "version": fake.runs[run]["version"] + 1}
        return fake.runs[run]

    @server.delete(f"{api}/runs/{{run}}/record", status_code=204)
    async def forget(run: str) -> Response:
        del fake.runs[run]
        return Response(status_code=204)


def _shares(server: FastAPI, api: str, fake: FakeApps, owner: Any) -> None:
    @server.get(f"{api}/runs/{{run}}/shares")
    async def shares(run: str) -> Any:
        return {"shares": [row for row in fake.shares.values() if row["run"] == run]}

    @server.delete(f"{api}/runs/{{run}}/shares/{{share}}")
    async def end(run: str, share: str) -> Any:
        row = next(row for row in fake.shares.values() if row["id"] == share)
        return row.update(good=False) or row

    def shared_run(token: str) -> Any:
        row = fake.shares.get(token)
        return fake.runs.get(row["run"]) if row and row["good"] else None

    @server.get(f"{api}/shared/{{token}}")
    async def shared(token: str) -> Any:
        row = shared_run(token)
        public = {
            k: v
            for k, v in (row or {}).items()
            if k not in ("id", "owner", "folder", "server", "session", "can", "cost", "price", "most")
        }
        return public | {"mode": fake.shares[token]["mode"]} if row else error(404, "no-share")

    @server.get(f"{api}/shared/{{token}}/files/{{path:path}}")
    async def shared_file(token: str, path: str) -> Any:
        return (
            Response(png(len(path)), media_type="application/octet-stream")
            if shared_run(token)
            else error(404, "no-share")
        )
