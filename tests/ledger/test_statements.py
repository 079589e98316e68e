"""Statements say what the journal says: per budget, person and centre, page by page, summed up, for spreadsheets."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import timedelta

import pytest
from ledger.bookkeeping import DAY, HOUR, SEA, T0, asked, held, project, session, settled
from perijove.hub.ledger import books, statements
from perijove.hub.ledger.books import Subject
from perijove.hub.ledger.statements import Owed, Usage
from perijove.hub.ledger.tables import ledger_accounts
from sqlalchemy import Connection, Engine, select


def history(c: Connection) -> None:
    """Bob's two sessions at alpha, ada's array at beta the day after, and a warm session of the gateway."""
    project(c, 1_000_000)
    held(c, "s1")
    settled(c, "s1", 60, core_seconds=7200, gpu_seconds=1800, job_id="41")
    held(c, "s2", queue="gpu")
    settled(c, "s2", 130, core_seconds=3600)
    books.hold(c, Subject("workers", "w1"), asked(200, "ada", centre="beta", count=2), T0)
    for task in ("1", "2"):
        evidence = {"core_seconds": 360, "job_id": f"7_{task}"}
        books.settle(c, Subject("workers", "w1"), task, 50, T0 + DAY, evidence=evidence)
    books.hold(c, Subject("warm", "s9"), asked(40, "", ""), T0)
    books.settle(c, Subject("warm", "s9"), "", 5, T0 + DAY, evidence={})
    books.adjust(c, session("s1"), 40, "root", T0 + DAY, "sacct", evidence={"core_seconds": 4800})


def test_a_statement_of_a_budget_adds_up_to_its_balance(engine: Engine) -> None:
    with engine.begin() as c:
        history(c)
        entries, cursor = statements.entries(c, budget=SEA)
        balance = books.balance(c, SEA, T0 + DAY)
        assert cursor is None and sum(entry.moved for entry in entries) == balance.available
        assert sum(entry.charged for entry in entries) == balance.spent == 40 + 100 + 100
        kinds = [entry.kind for entry in reversed(entries)]
        first = ["grant", "hold", "settle", "refund", "hold", "settle", "hold"]
        assert kinds == [*first, *["settle", "refund"] * 2, "adjust"]


def test_entries_name_session_job_queue_and_what_the_end_was_known_from(engine: Engine) -> None:
    with engine.begin() as c:
        history(c)
        (entry,) = statements.entries(c, person="bob", kinds=("settle",), until=T0 + DAY, centre="alpha", limit=9)[0][
            1:
        ]
        assert (entry.subject_kind, entry.subject, entry.job_id, entry.queue) == ("session", "s1", "41", "cpu")
        assert entry.evidence == {"core_seconds": 7200, "gpu_seconds": 1800, "job_id": "41"}
        assert {one.centre for one in statements.entries(c, centre="beta").entries} == {"beta"}


def test_pages_follow_each_other_without_gap_or_repetition(engine: Engine) -> None:
    with engine.begin() as c:
        history(c)
        whole = statements.entries(c).entries
        found, cursor = statements.entries(c, limit=3)
        while cursor is not None:
            more, cursor = statements.entries(c, limit=3, cursor=cursor)
            assert more
            found += more
        assert found == whole and len(whole) % 3 == 0


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("day", [("2026-03-01", 160, 30, 10800, 1800, 2), ("2026-03-02", 85, 0, -1680, 0, 3)]),
        ("centre", [("alpha", 145, 30, 8400, 1800, 3), ("beta", 100, 0, 720, 0, 2)]),
        (
            "queue",
            [("alpha/cpu", 45, 0, 4800, 1800, 2), ("alpha/gpu", 100, 30, 3600, 0, 1), ("beta/cpu", 100, 0, 720, 0, 2)],
        ),
        ("person", [("", 5, 0, 0, 0, 1), ("ada", 100, 0, 720, 0, 2), ("bob", 140, 30, 8400, 1800, 2)]),
        ("budget", [("", 5, 0, 0, 0, 1), (SEA, 240, 30, 9120, 1800, 4)]),
    ],
)
def test_use_is_summed_up(engine: Engine, by: str, rows: list[tuple[str, int, int, int, int, int]]) -> None:
    with engine.begin() as c:
        history(c)
        assert statements.usage(c, by) == [Usage(*row) for row in rows]


def test_use_is_filtered(engine: Engine) -> None:
    with engine.begin() as c:
        history(c)
        (one,) = statements.usage(c, "budget", budget=SEA, person="bob", centre="alpha", queue="cpu", until=T0 + DAY)
        assert (one.charged, one.jobs, one.core_hours, one.gpu_hours) == (60, 1, 2.0, 0.5)
        assert statements.usage(c, "day", since=T0 + 2 * DAY) == []
        with pytest.raises(ValueError, match="summed up by day"):
            statements.usage(c, "evidence")


def test_what_is_owed_is_what_the_centres_accounts_have(engine: Engine) -> None:
    with engine.begin() as c:
        history(c)
        assert statements.owed(c) == [Owed("alpha", 145, 30, 175, 3), Owed("beta", 100, 0, 100, 2)]
        query = select(ledger_accounts.c.key, ledger_accounts.c.balance).where(ledger_accounts.c.kind == "centre")
        accounts = {str(key): int(balance) for key, balance in c.execute(query)}
        assert accounts == {f"centre:{one.centre}": one.owed for one in statements.owed(c)}
        before, after = statements.owed(c, until=T0 + DAY), statements.owed(c, T0 + DAY)
        assert sum(one.owed for one in [*before, *after]) == 275


def test_a_spreadsheet_gets_credits_and_hours_and_no_formula(engine: Engine) -> None:
    with engine.begin() as c:
        history(c)
        books.adjust(c, session("s2"), 10, "=cmd()", T0 + DAY + HOUR, "-1+1")
        text = statements.csv_text(statements.entries(c).entries, statements.ENTRY_COLUMNS)
        rows = list(csv.DictReader(io.StringIO(text)))
        assert rows[0]["by"] == "'=cmd()" and rows[0]["note"] == "'-1+1" and rows[0]["charged"] == "-0.00009"
        assert rows[0]["time"] == (T0 + DAY + HOUR).isoformat()
        assert {row["core_hours"] for row in rows if row["job_id"] == "41"} == {"2.0000"}
        table = statements.csv_text(statements.usage(c, "day"), statements.USAGE_COLUMNS)
        assert table.splitlines()[1] == "2026-03-01,0.00016,0.00003,3.0000,0.5000,2"
        assert statements.csv_text(statements.owed(c), statements.OWED_COLUMNS).startswith("centre,charged,absorbed")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx"])
def test_no_text_begins_as_a_formula_does(text: str) -> None:
    row = replace(Usage("", 0, 0, 0, 0, 0), key=text)
    assert list(statements.csv_rows([row], ("key",)))[1] == [f"'{text}"]


def test_burn_is_what_runs_now(engine: Engine) -> None:
    from perijove.hub.broker.records import Record
    from perijove.hub.broker.store import sessions

    with engine.begin() as c:
        project(c)
        record = Record("s1", "bob", "", True, "lab", "alpha", "cpu", {}, 1, 1024, 0, 3600, 5, {}, T0)
        c.execute(sessions.insert().values(**record.row() | {"stage": "queued"}))
        held(c, "s1")
        assert books.burn(c, SEA, T0 + HOUR) == 0
        c.execute(sessions.update().values(started=T0 + HOUR))
        assert books.burn(c, SEA, T0 + HOUR) == 60
        assert books.burn(c, SEA, T0 + HOUR - timedelta(seconds=1)) == 0
        settled(c, "s1", 10)
        assert books.burn(c, SEA, T0 + HOUR) == 0
