"""Money is held, settled and given back, once each; the books balance after every step."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ledger.bookkeeping import (
    DAY,
    HOUR,
    SEA,
    T0,
    WORKERS,
    account,
    asked,
    granted,
    held,
    money,
    project,
    session,
    settled,
)
from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.books import Subject
from perijove.hub.ledger.holding import fed_by, undecided
from perijove.hub.ledger.records import MOST, TooDear, charge
from sqlalchemy import Engine


def test_a_charge_is_rounded_down_and_exact_however_long(engine: Engine) -> None:
    assert charge(3600, timedelta(seconds=1)) == 1
    assert charge(3599, timedelta(seconds=1)) == 0
    assert charge(10**15 - 1, timedelta(hours=3, microseconds=1)) == 3 * (10**15 - 1) + (10**15 - 1) // 3_600_000_000
    assert charge(100, -HOUR) == 0


def test_what_is_held_is_spent_or_goes_back(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        assert money(c) == (1000, 0, 0)
        held(c)
        assert money(c) == (900, 100, 0)
        after = settled(c, "s1", 30, core_seconds=120)
        assert after is not None and (after.state, after.charged, after.open) == ("settled", 30, 0)
        assert money(c) == (970, 0, 30)
        assert account(c, "centre:alpha") == 30 and account(c, "source") == -1000


def test_nothing_is_held_settled_or_decided_twice(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        first = held(c)
        assert held(c, amount=999) == first
        assert settled(c, "s1", 30) == settled(c, "s1", 90)
        assert books.decide(c, session(), 100, "root", T0, "late").charged == 30
        held(c)
        assert money(c) == (970, 0, 30)


def test_a_charge_beyond_what_is_held_is_the_gateways(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        held(c)
        after = settled(c, "s1", 130)
        assert after is not None and (after.charged, after.absorbed) == (100, 30)
        assert money(c) == (900, 0, 100)
        assert account(c, "centre:alpha") == 130 and account(c, "gateway") == -30


def test_what_nothing_was_held_for_settles_to_nothing(engine: Engine) -> None:
    with engine.begin() as c:
        assert settled(c, "older-than-the-ledger", 50) is None
        assert books.undecide(c, session(), T0, "?") is None
        with pytest.raises(LookupError):
            books.decide(c, session(), 1, "root", T0, "")
        with pytest.raises(LookupError):
            books.adjust(c, session(), 1, "root", T0, "")
        assert books.check(c) == []


def test_a_hold_of_nothing_is_listed_and_settles(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 0)
        held(c, amount=0)
        after = settled(c, "s1", 0, core_seconds=60)
        assert after is not None and after.state == "settled"
        assert money(c) == (0, 0, 0)


def test_money_that_ends_first_is_spent_first_and_goes_back_last(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 0)
        late, early, never = (granted(c, 60, ends=ends) for ends in (T0 + 2 * DAY, T0 + DAY, None))
        parts = held(c, amount=150).parts
        assert [(part.grant, part.amount) for part in parts] == [(early, 60), (late, 60), (never, 30)]
        after = settled(c, "s1", 70)
        assert after is not None and [part.charged for part in after.parts] == [60, 10, 0]
        assert money(c) == (110, 0, 70) and books.balance(c, SEA, T0).next_end == T0 + 2 * DAY


def test_a_grant_can_be_spent_from_its_start_to_its_end(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 100, starts=T0 + DAY, ends=T0 + 2 * DAY)
        for now, available in ((T0, 0), (T0 + DAY, 100), (T0 + 2 * DAY, 0)):
            assert money(c, now=now)[0] == available
        with pytest.raises(books.Insufficient) as none:
            held(c)
        refused = none.value
        assert (refused.needed, refused.available, refused.missing, refused.who) == (100, 0, 100, ("ada",))
        held(c, now=T0 + DAY)


def test_what_is_held_of_a_grant_that_ends_is_spent_and_the_rest_ends_too(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 100, ends=T0 + DAY)
        held(c, amount=80)
        assert [one.amount for one in books.expire(c, T0 + DAY)] == [100]
        assert books.expire(c, T0 + DAY) == []
        assert account(c, "source") == -80
        settled(c, "s1", 50, T0 + 2 * DAY)
        assert money(c, now=T0 + 2 * DAY) == (0, 0, 50)
        assert account(c, "source") == -50 and account(c, "grant:1") == 0


def test_a_refund_to_a_grant_that_has_ended_ends_with_it_before_anybody_looked(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 100, ends=T0 + DAY)
        held(c, amount=80)
        settled(c, "s1", 50, T0 + 2 * DAY)
        assert account(c, "grant:1") == 0 and account(c, "source") == -50
        assert [one.id for one in books.expire(c, T0 + 2 * DAY)] == [1]
        assert money(c, now=T0 + 2 * DAY) == (0, 0, 50)


def test_a_grant_that_is_withdrawn_gives_back_what_is_left_and_later_what_is_refunded(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 100)
        hold = held(c, amount=80)
        assert [one.id for one in fed_by(c, 1, SEA)] == [hold.id]
        assert (books.withdraw(c, 1, "root", T0), books.withdraw(c, 1, "root", T0)) == (20, 0)
        assert money(c) == (0, 80, 0)
        settled(c, "s1", 50)
        assert money(c) == (0, 0, 50) and account(c, "source") == -50 and fed_by(c, 1, SEA) == []
        with pytest.raises(LookupError):
            books.withdraw(c, 99, "root", T0)


def test_a_grant_asked_for_twice_is_given_once(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 0)
        given = [books.grant(c, SEA, 10, T0, None, "root", "", T0, key="form-1") for _ in range(2)]
        assert given[0] == given[1] and money(c) == (10, 0, 0)


@pytest.mark.parametrize("amount", [0, -1, 10**15 + 1])
def test_a_grant_is_of_an_amount(engine: Engine, amount: int) -> None:
    with engine.begin() as c, pytest.raises(ValueError, match="micro-credits"):
        project(c, amount)
        granted(c, amount)


def test_a_grant_that_could_never_be_spent_is_refused(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 0)
        for ends in (T0, T0 - DAY):
            with pytest.raises(ValueError, match="ends after"):
                granted(c, 10, ends=ends)
        with pytest.raises(books.NoBudget):
            granted(c, 10, "project:moon")
        budgets.close(c, SEA, T0)
        with pytest.raises(books.Closed):
            granted(c, 10)


def test_tasks_of_an_array_settle_one_by_one_each_from_its_own_share(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        books.hold(c, WORKERS, asked(100, count=3), T0)
        for task, cost in (("2", 10), ("1", 90), ("2", 33)):
            hold = books.settle(c, WORKERS, task, cost, T0 + HOUR, evidence={})
        assert hold is not None and (hold.state, hold.done, hold.open) == ("open", 2, 34)
        assert (hold.charged, hold.absorbed) == (10 + 33, 57)
        assert money(c) == (1000 - 43 - 34, 34, 43)
        last = books.settle(c, WORKERS, "3", 34, T0 + HOUR, evidence={})
        assert last is not None and (last.state, last.charged, last.open) == ("settled", 77, 0)
        assert money(c) == (923, 0, 77)


def test_a_task_may_release_less_and_the_last_releases_all(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        books.hold(c, WORKERS, asked(100, count=2), T0)
        first = books.settle(c, WORKERS, "1", 10, T0, evidence={}, release=0)
        assert first is not None and first.open == 90
        books.settle(c, WORKERS, "2", 20, T0, evidence={}, release=0)
        assert money(c) == (970, 0, 30)


def test_an_unknown_end_stays_held_until_it_is_known_or_decided(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        held(c, "s1")
        held(c, "s2")
        for name in ("s1", "s2"):
            books.undecide(c, session(name), T0, "the batch system has forgotten the job")
        assert money(c) == (800, 200, 0) and [one.subject for one in undecided(c)] == ["s1", "s2"]
        with pytest.raises(ValueError, match="on hold"):
            books.decide(c, session("s1"), 101, "root", T0, "")
        books.decide(c, session("s1"), 60, "root", T0, "as the centre told us")
        settled(c, "s2", 40)
        assert money(c) == (900, 0, 100) and undecided(c) == []


def test_a_task_that_is_known_settles_beside_one_that_is_not(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        books.hold(c, WORKERS, asked(90, count=3), T0)
        books.undecide(c, WORKERS, T0, "task 2")
        books.settle(c, WORKERS, "1", 10, T0, evidence={})
        one = books.settle(c, WORKERS, "3", 10, T0, evidence={})
        assert one is not None and one.state == "undecided" and money(c) == (950, 30, 20)
        two = books.decide(c, WORKERS, 5, "root", T0, "")
        assert (two.state, two.charged, two.done) == ("settled", 25, 3) and money(c) == (975, 0, 25)
        assert books.settle(c, WORKERS, "2", 30, T0, evidence={}) == two


def test_what_may_still_run_is_not_decided(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        held(c)
        with pytest.raises(ValueError, match="not undecided"):
            books.decide(c, session(), 1, "root", T0, "")
        with pytest.raises(ValueError, match="not settled"):
            books.adjust(c, session(), 1, "root", T0, "")


def test_the_gateway_pays_for_a_warm_session_until_it_is_taken_over(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        warm = Subject("warm", "s1")
        books.hold(c, warm, asked(100, "", ""), T0)
        books.settle(c, warm, "", 25, T0, evidence={})
        held(c, "s1", 75)
        settled(c, "s1", 10)
        assert money(c) == (990, 0, 10)
        assert account(c, "gateway") == -25 and account(c, "centre:alpha") == 35


def test_without_enforcement_the_gateway_gives_what_is_missing(engine: Engine) -> None:
    with engine.begin() as c:
        project(c, 30)
        budgets.set_limit(c, SEA, 1, T0, person="bob")
        hold = books.hold(c, session(), asked(100), T0, enforce=False)
        assert [(part.grant, part.amount) for part in hold.parts] == [(1, 30), (None, 70)]
        settled(c, "s1", 20)
        assert money(c) == (10, 0, 20) and account(c, "gateway") == 0


def test_what_a_failure_in_the_middle_wrote_is_gone(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
    with pytest.raises(ValueError, match="below zero"), engine.begin() as c:
        held(c)
        settled(c, "s1", -1)
    with engine.begin() as c:
        assert money(c) == (1000, 0, 0)


def test_no_one_thing_holds_more_than_the_books_can_count(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        for enforce in (True, False):
            with pytest.raises(TooDear) as refused:
                books.hold(c, session(), asked(MOST + 1), T0, enforce=enforce)
        assert (refused.value.needed, refused.value.most) == (MOST + 1, MOST)
