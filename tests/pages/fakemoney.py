"""The part of the fake API that keeps the books: budgets, statements, and what operators see. The rows are a test's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

Row = dict[str, Any]
CREDIT = 1_000_000


def budget(key: str, credits: float, **values: Any) -> Row:
    """A budget with so many credits left."""
    kind, _, name = key.partition(":")
    sums = {"available": int(credits * CREDIT), "held": 0, "spent": 0, "granted": int(credits * CREDIT), "burn": 0}
    facts = {"key": key, "kind": kind, "title": "" if kind == "person" else name, "closed": None, "next_end": None}
    return {**facts, **sums, "role": "manager", "who": [], "members": [], "limits": [], "grants": []} | values


def entry(number: int, kind: str, when: datetime, **values: Any) -> Row:
    """An entry of a statement."""
    facts: Row = {"id": number, "kind": kind, "time": when.isoformat(), "subject_kind": "", "subject": "", "by": ""}
    facts |= {"person": "", "centre": "", "queue": "", "price_version": None, "job_id": "", "note": ""}
    return facts | {"moved": 0, "charged": 0, "core_seconds": 0, "gpu_seconds": 0} | values


@dataclass
class FakeMoney:
    """The books; `may` says who else may look at a budget that is not their own."""

    budgets: dict[str, Row] = field(default_factory=dict)
    entries: dict[str, list[Row]] = field(default_factory=dict)
    usage: list[Row] = field(default_factory=list)
    prices: list[Row] = field(default_factory=list)
    owed: list[Row] = field(default_factory=list)
    demand: list[Row] = field(default_factory=list)
    holds: list[Row] = field(default_factory=list)
    reconciliations: list[Row] = field(default_factory=list)
    #: It keeps no books, as an older broker.
    absent: bool = False
    #: What was ordered: the address and the body.
    orders: list[tuple[str, str, Any]] = field(default_factory=list)

    def of(self, person: str) -> list[Row]:
        """The budgets that a person may spend."""
        self.budgets.setdefault(f"person:{person}", budget(f"person:{person}", 812.4))
        return [row for row in self.budgets.values() if self.role(row, person)]

    def role(self, row: Row, person: str) -> str:
        """What a person is to a budget."""
        if row["key"] == f"person:{person}":
            return "manager"
        return next((one["role"] for one in row["members"] if one["person"] == person and not one.get("left")), "")


def no(status: int, code: str, fault: Row | None = None) -> JSONResponse:
    """A refusal."""
    return JSONResponse({"error": code, "message": code, "faults": [fault] if fault else []}, status)


def install(app: FastAPI, api: str, books: FakeMoney, who: Callable[[Request], str | None]) -> None:
    """Add the addresses of money."""

    def may(request: Request, key: str) -> Row | JSONResponse:
        person = who(request) or ""
        books.of(person)
        row = books.budgets.get(key)
        if row is None:
            return no(404, "no-budget")
        role = books.role(row, person)
        if not role and person != "operator":
            return no(403, "forbidden")
        found = row | {"role": role or None}
        if role == "manager" or person == "operator":
            return found
        return found | {"members": [one for one in row["members"] if one["person"] == person]}

    @app.get(f"{api}/budgets")
    async def budgets(request: Request, everybody: bool = False) -> Any:
        person = who(request) or ""
        if books.absent:
            return no(404, "not-found")
        mine = books.of(person)
        if everybody and person != "operator":
            return no(403, "forbidden")
        rows = list(books.budgets.values()) if everybody else mine
        return {"budgets": [row | {"role": books.role(row, person) or None} for row in rows]}

    @app.get(f"{api}/budgets/{{key}}")
    async def one(request: Request, key: str) -> Any:
        return may(request, key)

    @app.get(f"{api}/budgets/{{key}}/entries")
    async def entries(request: Request, key: str, format: str = "", limit: int = 50, cursor: str = "") -> Any:
        row = may(request, key)
        if isinstance(row, JSONResponse):
            return row
        query = request.query_params
        rows = [e for e in books.entries.get(key, []) if query.get("since", "") <= e["time"] < query.get("until", "9")]
        if format == "csv":
            return Response(
                "time,kind\r\n" + "".join(f"{e['time']},{e['kind']}\r\n" for e in rows), media_type="text/csv"
            )
        start = int(cursor or 0)
        more = str(start + limit) if start + limit < len(rows) else None
        return {"entries": rows[start : start + limit], "cursor": more}

    @app.get(f"{api}/usage")
    async def usage(request: Request) -> Any:
        asked, sums = request.query_params, dict[str, int]()
        for row in books.usage:
            if all(row[key] == asked.get(key, row[key]) for key in ("budget", "centre")):
                sums[row[asked["by"]]] = sums.get(row[asked["by"]], 0) + row["charged"]
        return {"by": asked["by"], "usage": [{"key": key, "charged": sums[key]} for key in sorted(sums)]}

    @app.get(f"{api}/prices")
    async def prices() -> Any:
        return {"prices": books.prices}

    _manage(app, api, books, who, may)
    _operate(app, api, books, who)


def _manage(app: FastAPI, api: str, books: FakeMoney, who: Callable[[Request], str | None], may: Any) -> None:
    """What those may who manage a project."""

    @app.post(f"{api}/projects/{{slug}}/members")
    async def member(request: Request, slug: str, body: Row) -> Any:
        row = may(request, f"project:{slug}")
        if isinstance(row, JSONResponse):
            return row
        if row["role"] != "manager" and who(request) != "operator":
            return no(403, "forbidden")
        if " " in body["person"]:
            return no(422, "bad-request", {"field": "person", "code": "bad-name", "message": "", "values": {}})
        people = books.budgets[f"project:{slug}"]["members"]
        old = next((one for one in people if one["person"] == body["person"]), None)
        if old:
            old |= body | {"left": None}
        else:
            people.append(body | {"joined": datetime.now(UTC).isoformat(), "left": None, "spent": 0})
        return {}

    @app.delete(f"{api}/projects/{{slug}}/members/{{person}}")
    async def remove(request: Request, slug: str, person: str) -> Any:
        row = may(request, f"project:{slug}")
        if isinstance(row, JSONResponse) or row["role"] != "manager":
            return no(403, "forbidden")
        for one in books.budgets[f"project:{slug}"]["members"]:
            if one["person"] == person:
                one["left"] = datetime.now(UTC).isoformat()
        return {}

    @app.put(f"{api}/projects/{{slug}}/limits")
    async def limit(request: Request, slug: str, body: Row) -> Any:
        row = may(request, f"project:{slug}")
        if isinstance(row, JSONResponse) or row["role"] != "manager":
            return no(403, "forbidden")
        limits = books.budgets[f"project:{slug}"]["limits"]
        same = {"person": body["person"], "centre": body["centre"]}
        limits[:] = [one for one in limits if not same.items() <= one.items()]
        limits += [body] if body["limit"] is not None else []
        return {}


def _operate(app: FastAPI, api: str, books: FakeMoney, who: Callable[[Request], str | None]) -> None:
    """What operators alone may."""

    def order(request: Request, body: Any) -> Any:
        if who(request) != "operator":
            return no(403, "forbidden")
        books.orders.append((request.method, request.url.path.removeprefix(api), body))
        return {}

    @app.post(f"{api}/projects")
    @app.post(f"{api}/budgets/{{key}}/grants")
    @app.post(f"{api}/holds/{{kind}}/{{subject}}/decision")
    async def post(request: Request) -> Any:
        return order(request, await request.json())

    @app.post(f"{api}/reconciliations/{{centre}}")
    @app.delete(f"{api}/budgets/{{key}}/grants/{{grant}}")
    async def bare(request: Request) -> Any:
        return order(request, None)

    def table(name: str, rows: str) -> None:
        @app.get(f"{api}/{name}")
        async def get(request: Request, format: str = "") -> Any:
            if who(request) != "operator":
                return no(403, "forbidden")
            return (
                Response("centre,owed\r\n", media_type="text/csv") if format == "csv" else {name: getattr(books, rows)}
            )

    for name in ("owed", "demand", "holds", "reconciliations"):
        table(name, name)


def busy(books: FakeMoney, now: datetime, centres: list[str]) -> None:
    """A person with a project, a month of spending, and books in which something needs a decision."""
    ends = (now + timedelta(days=37)).isoformat()
    grants = [
        {
            "id": 1,
            "amount": 1000 * CREDIT,
            "starts": (now - timedelta(days=80)).isoformat(),
            "ends": None,
            "by": "",
            "note": "",
        },
        {
            "id": 2,
            "amount": 300 * CREDIT,
            "starts": (now - timedelta(days=20)).isoformat(),
            "ends": ends,
            "by": "operator",
        }
        | {"note": "Summer school on regional climate", "left": 120 * CREDIT},
    ]
    own = budget(
        "person:alice", 812.4, held=40_000_000, spent=447_600_000, burn=1_600_000, grants=grants, next_end=ends
    )
    members = [
        {
            "person": "alice",
            "role": "manager",
            "limit": None,
            "joined": grants[0]["starts"],
            "left": None,
            "spent": 98 * CREDIT,
        },
        {
            "person": "bob",
            "role": "member",
            "limit": 50 * CREDIT,
            "joined": grants[1]["starts"],
            "left": None,
            "spent": 12_340_000,
        },
        {"person": "a-person-with-a-rather-long-name@example.org", "role": "member", "limit": None}
        | {"joined": grants[1]["starts"], "left": None, "spent": 0},
    ]
    limits = [
        {"person": "", "centre": centres[0], "limit": 500 * CREDIT},
        {"person": "bob", "centre": centres[1], "limit": 10 * CREDIT},
    ]
    project = budget(
        "project:rice", 4310, title="Rice genomes 2026", held=12 * CREDIT, spent=690 * CREDIT, burn=900_000
    )
    project |= {
        "members": members,
        "limits": limits,
        "grants": [grants[1] | {"id": 3, "amount": 5000 * CREDIT}],
        "who": ["alice"],
    }
    lean = budget("project:waves", 0.4, title="Tsunami waves", members=[members[0] | {"role": "member"}], who=["carol"])
    shut = budget("project:old", 3, title="Old project", closed=ends, members=[members[0] | {"role": "member"}])
    books.budgets = {row["key"]: row for row in (own, project, lean, shut)}
    lines: list[Row] = []
    for back in range(60):
        when, centre = now - timedelta(hours=13 * back), centres[back * back % len(centres)]
        about: Row = {
            "subject_kind": "workers" if back % 5 == 0 else "session",
            "subject": f"s{back}",
            "centre": centre,
            "queue": "compute",
        }
        about |= {"person": "alice", "job_id": str(48_213 - back), "price_version": 1}
        amount = 1_000_000 + 37_731 * back * back % 9_000_000
        lines.append(entry(1000 - 3 * back, "refund", when, moved=amount // 2, **about))
        lines.append(entry(999 - 3 * back, "settle", when, charged=amount, core_seconds=amount // 100, **about))
        lines.append(entry(998 - 3 * back, "hold", when - timedelta(hours=2), moved=-amount * 3 // 2, **about))
        day = when.date().isoformat()
        for key in ("person:alice", "project:rice"):
            books.usage.append(
                {"day": day, "centre": centre, "budget": key, "charged": amount, "jobs": 1, "core_hours": 3.5}
            )
    lines.insert(
        9, entry(5, "grant", now - timedelta(days=20), moved=300 * CREDIT, by="operator", note=grants[1]["note"])
    )
    lines.insert(
        12,
        entry(
            4,
            "adjust",
            now - timedelta(days=21),
            charged=-210_000,
            subject_kind="session",
            subject="s1",
            centre=centres[0],
        ),
    )
    books.entries = {"person:alice": lines, "project:rice": lines[:30]}
    _operators(books, now, centres)


def _operators(books: FakeMoney, now: datetime, centres: list[str]) -> None:
    for number, centre in enumerate(centres):
        since = (now - timedelta(days=200)).isoformat()
        price = {"centre": centre, "queue": "compute", "gpu_hour": 2_500_000, "memory_hour": 2_000}
        books.prices.append(price | {"id": number, "valid_from": since, "core_hour": 90_000 + 7_000 * number})
        owed = 8_123_456_000 // (number + 1) ** 2
        books.owed.append(
            {
                "centre": centre,
                "owed": owed,
                "jobs": 812 // (number + 1),
                "core_hours": 24_123.4 / (number + 1),
                "gpu_hours": 40 if number < 2 else 0,
            }
        )
        row = {"centre": centre, "queue": "compute", "jobs": 812 // (number + 1), "core_hours": 24_123.4 / (number + 1)}
        books.demand.append(
            row
            | {
                "gpu_hours": 3.5 * number,
                "income": owed,
                "waits": {"count": 9, "p50": 90 * 4**number, "p90": None},
                "waiting": number * 7,
                "refused": {"balance": number, "too-much-cores": 3 * number % 7},
            }
        )
    books.prices.append(
        books.prices[0] | {"id": 90, "valid_from": (now + timedelta(days=38)).isoformat(), "core_hour": 110_000}
    )
    hold = {
        "kind": "session",
        "subject": "lost1",
        "budget": "person:bob",
        "person": "bob",
        "centre": centres[0],
        "queue": "compute",
        "open": 4_800_000,
    }
    hold |= {
        "amount": 4_800_000,
        "created": (now - timedelta(days=3)).isoformat(),
        "state": "undecided",
        "job_id": "48113",
    }
    hold |= {"why": "the batch system does not know the job any more"}
    books.holds = [
        hold,
        hold | {"kind": "workers", "subject": "77:3", "person": "carol", "budget": "project:rice", "open": 900_000},
    ]
    day = (now - timedelta(days=1)).date().isoformat()
    found = [
        {"kind": "hours", "job_id": "48102", "ours": 3600, "theirs": 4215, "detail": ""},
        {"kind": "not-at-centre", "job_id": "48077", "ours": 1800, "theirs": None, "detail": ""},
        {"kind": "not-ours", "job_id": "48190", "ours": None, "theirs": 620, "detail": "user pj001, queue compute"},
    ]
    check = {
        "day": day,
        "begun": now.isoformat(),
        "ended": now.isoformat(),
        "jobs_ours": 41,
        "jobs_theirs": 42,
        "detail": "",
    }
    books.reconciliations = [
        check | {"id": 3, "centre": centres[0], "state": "differences", "differences": found},
        check | {"id": 2, "centre": centres[1], "state": "sound", "jobs_theirs": 41, "differences": []},
        check
        | {
            "id": 1,
            "centre": centres[2 % len(centres)],
            "state": "failed",
            "differences": [],
            "detail": "sacct: error: Slurm accounting storage is disabled",
        },
    ]
