"""What was settled is corrected, and what does not balance is found."""

from __future__ import annotations

from typing import Any

import pytest
from ledger.bookkeeping import DAY, T0, WORKERS, account, asked, held, money, project, session, settled
from perijove.hub.ledger import books
from perijove.hub.ledger.journal import Journal
from perijove.hub.ledger.tables import grants, holds, ledger_accounts, ledger_entries, ledger_postings, uses
from sqlalchemy import Engine, Table, select, update


def test_a_correction_takes_from_the_grant_and_beyond_it_from_the_gateway(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 100)
        held(c, amount=80)
        settled(c, "s1", 50, core_seconds=50)
        held(c, "s2", 30)
        after = books.adjust(c, session(), 90, "root", T0 + DAY, "sacct", evidence={"core_seconds": 90})
        assert (after.charged, after.absorbed) == (70, 20) and money(c) == (0, 30, 70)
        again = books.adjust(c, session(), 90, "root", T0 + DAY, "sacct", evidence={"core_seconds": 90})
        assert again == after
        less = books.adjust(c, session(), 60, "root", T0 + DAY, "less")
        assert (less.charged, less.absorbed) == (60, 0) and money(c) == (10, 30, 60)
        assert account(c, "gateway") == 0 and account(c, "centre:alpha") == 60
        used = c.scalars(select(ledger_entries.c.core_seconds).where(ledger_entries.c.subject == "s1")).all()
        assert sum(used) == 90


def test_a_correction_gives_nothing_back_to_a_grant_that_is_over(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 100, ends=T0 + DAY)
        held(c, amount=80)
        settled(c, "s1", 50)
        books.adjust(c, session(), 20, "root", T0 + 2 * DAY, "")
        assert money(c, now=T0 + 2 * DAY) == (0, 0, 20) and account(c, "source") == -20
        books.adjust(c, session(), 30, "root", T0 + 2 * DAY, "")
        assert account(c, "gateway") == -10 and money(c, now=T0 + 2 * DAY) == (0, 0, 20)


def test_a_task_gives_back_no_more_than_stands_after_a_correction_of_the_whole(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        books.hold(c, WORKERS, asked(20, count=2), T0)
        for task in ("1", "2"):
            books.settle(c, WORKERS, task, 10, T0, evidence={})
        books.adjust(c, WORKERS, 5, "root", T0, "")
        with pytest.raises(ValueError, match="corrected as a whole"):
            books.adjust(c, WORKERS, 0, "root", T0, "", part="1")
        books.adjust(c, WORKERS, 0, "root", T0, "")
        assert money(c) == (1000, 0, 0)


def test_one_task_is_corrected_while_others_run(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        books.hold(c, WORKERS, asked(90, count=3), T0)
        books.settle(c, WORKERS, "1", 10, T0, evidence={})
        books.adjust(c, WORKERS, 25, "root", T0, "", part="1")
        assert money(c) == (1000 - 85, 60, 25)
        for task in ("2", "3"):
            books.settle(c, WORKERS, task, 30, T0, evidence={})
        books.adjust(c, WORKERS, 5, "root", T0, "", part="1")
        assert money(c) == (935, 0, 65)


def test_an_entry_that_does_not_balance_is_not_written(engine: Engine) -> None:
    with engine.begin() as c:
        journal = Journal.open(c, T0)
        with pytest.raises(ValueError, match="does not balance"):
            journal.write("adjust", "adjust:x", {journal.held: 1, journal.source: -2}, {})


@pytest.mark.parametrize(
    ("table", "values", "said"),
    [
        (ledger_accounts, {"balance": 901}, "account grant:1 has 901, its postings sum to 900"),
        (ledger_postings, {"amount": 7}, "sums to"),
        (ledger_entries, {"charged": 7}, "says 7 + 0 for the centre, its postings 0"),
        (ledger_entries, {"moved": 7}, "says 7 of grants, its postings"),
        (grants, {"expired": T0}, "grant 1 is over and has 900"),
        (holds, {"open": 99}, "has 99 open, its parts 100"),
        (holds, {"charged": 1}, "has 1 charged, its parts 0"),
        (holds, {"amount": 101}, "is of 101, its parts of 100"),
        (holds, {"absorbed": 1}, "says 0 + 1, its entries 0 + 0"),
        (holds, {"state": "settled"}, "is settled with 100 open and 0 of 1 done"),
        (holds, {"subject": "s2", "charged": 3}, "its entries 0 + 0"),
        (uses, {"held": 1}, "use of project:sea bob alpha is kept as (1, 0), and is (100, 0)"),
    ],
)
def test_the_check_finds_what_was_changed_by_hand(
    engine: Engine, table: Table, values: dict[str, Any], said: str
) -> None:
    with engine.begin() as c:
        project(c)
        held(c)
        assert books.check(c) == []
        where = [table.c.key == "grant:1"] if table is ledger_accounts else []
        c.execute(update(table).where(*where).values(values))
        assert said in "; ".join(books.check(c))
