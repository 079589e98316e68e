"""Any history, with crashes between any two statements: the books balance and say what the plain model says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.bookkeeping import T0
from ledger.model import Grant, Model
from perijove.hub.broker.store import metadata
from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.books import Hold, Holding, Subject
from perijove.hub.ledger.grants import purses
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.records import LedgerError
from perijove.hub.ledger.statements import entries, owed
from perijove.hub.ledger.tables import ledger_accounts
from sqlalchemy import Connection, Engine, delete, event, select, update

BUDGETS = ("project:sea", "person:bob")
PEOPLE = {"project:sea": ("ada", "bob"), "person:bob": ("bob",), "": ("",)}
CENTRES = ("alpha", "beta")
#: What may happen, and how often beside the others.
STEPS = (
    *("hold", "hold", "hold", "hold", "settle", "settle", "settle", "settle", "grant", "time", "time"),
    *("adjust", "adjust", "undecide", "decide", "withdraw", "expire", "expire", "limit", "leave", "back"),
)


@dataclass(frozen=True)
class Step:
    """One step; what the numbers mean is its own affair."""

    name: str
    which: int
    other: int
    amount: int
    yes: bool
    #: How it goes: a crash after so many statements and another try; said twice; beside one that fails.
    fate: int | str | None


FATES = st.one_of(st.none(), st.integers(0, 14), st.sampled_from(["twice", "beside"]))
NUMBERS = st.integers(0, 60)
HISTORY = st.builds(Step, st.sampled_from(STEPS), NUMBERS, NUMBERS, NUMBERS, st.booleans(), FATES)


class Crash(Exception):
    """The gateway is killed here."""


@contextlib.contextmanager
def crashing(engine: Engine, after: int) -> Iterator[None]:
    """The statement number `after` never comes to be."""
    count = 0

    def stop(*args: Any) -> None:
        nonlocal count
        count += 1
        if count > after:
            raise Crash

    event.listen(engine, "before_cursor_execute", stop)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", stop)


def emptied(engine: Engine) -> None:
    """As after the migration, with the budgets."""
    with engine.begin() as c:
        for table in reversed(metadata.sorted_tables):
            if table is not ledger_accounts:
                c.execute(delete(table))
            else:
                c.execute(delete(table).where(table.c.kind.in_(["grant", "centre"])))
        c.execute(update(ledger_accounts).values(balance=0))
        budgets.create_project(c, "sea", "Sea", "ada", T0)
        budgets.add_member(c, "project:sea", "bob", "member", T0)
        budgets.ensure_person(c, "bob", 0, T0)


class Ledger:
    """The ledger and its model, side by side."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        emptied(engine)
        self.model = Model(T0)
        for number, hours in enumerate((90, 30, 50, 60, 20)):
            self.grant(Step("grant", number, hours, 40, True, None))

    def play(self, history: list[Step]) -> None:
        for step in history:
            getattr(self, step.name)(step)
            self.the_books_balance_and_say_what_the_model_says()

    def do(self, work: Callable[[Connection], Any], fate: int | str | None) -> Any:
        """What `work` returns or is refused with, in the end."""
        if isinstance(fate, int):
            with contextlib.suppress(Crash, LedgerError), crashing(self.engine, fate), self.engine.begin() as c:
                work(c)
                raise Crash
            self.balanced()
        with self.engine.begin() as c:
            if fate == "beside":
                warm = Holding("", "", "alpha", "cpu", 1, 9, None)
                with pytest.raises(Crash), c.begin_nested():
                    books.hold(c, Subject("warm", "never"), warm, self.model.now)
                    with contextlib.suppress(LedgerError):
                        work(c)
                    raise Crash
            try:
                with c.begin_nested():
                    done = work(c)
            except LedgerError as refused:
                return refused
        if fate == "twice":
            with self.engine.begin() as c:
                work(c)
        return done

    def time(self, step: Step) -> None:
        self.model.now += timedelta(hours=step.which % 20)

    def grant(self, step: Step) -> None:
        budget, now, amount = BUDGETS[step.which % 3 // 2], self.model.now, 1 + step.amount
        starts = now + timedelta(hours=0 if step.which < 40 else step.amount % 10)
        ends = now + timedelta(hours=10 + step.other) if step.yes else None
        key = f"k{len(self.model.grants)}"
        made = self.do(lambda c: books.grant(c, budget, amount, starts, ends, "root", "", now, key=key), step.fate)
        self.model.grants[made.id] = Grant(budget, amount, amount, starts, ends)

    def withdraw(self, step: Step) -> None:
        number = list(self.model.grants)[step.which % len(self.model.grants)]
        one = self.model.grants[number]
        left = self.do(lambda c: books.withdraw(c, number, "root", self.model.now), step.fate)
        assert one.over(self.model.now) or left == one.left
        one.withdrawn = True

    def expire(self, step: Step) -> None:
        for one in self.do(lambda c: books.expire(c, self.model.now), step.fate):
            assert self.model.grants[one.id].over(self.model.now)

    def hold(self, step: Step) -> None:
        budget = "" if step.which > 55 else BUDGETS[step.which % 3 // 2]
        who = PEOPLE[budget][step.other % len(PEOPLE[budget])]
        centre, amount, enforce = CENTRES[step.other % 4 // 2], step.amount, step.which % 4 > 0
        kind = "session" if step.yes else "workers"
        count = 1 if step.yes else 2 + step.other % 3
        name = f"{kind}:{len(self.model.holds)}"
        holding = Holding(budget, who, centre, "cpu", 60, amount, None, None, count)
        expected = self.model.refusal(budget, who, centre, amount, enforce) if budget else ""
        made = self.do(lambda c: books.hold(c, subject(name), holding, self.model.now, enforce=enforce), step.fate)
        if expected:
            assert type(made).__name__ == expected
            assert not isinstance(made, books.Insufficient) or made.missing == amount - self.model.available(budget)
        else:
            assert isinstance(made, Hold)
            self.model.hold(name, budget, who, centre, amount, count)

    def settle(self, step: Step) -> None:
        going = [name for name, one in self.model.holds.items() if one.state != "settled"]
        name = self.pick(step, going if step.which > 5 else list(self.model.holds))
        if name is None:
            return
        part = str(1 + step.other % self.model.holds[name].count) if name.startswith("workers") else ""
        charge = step.amount if step.yes else step.amount // 8
        self.do(lambda c: books.settle(c, subject(name), part, charge, self.model.now, evidence={}), step.fate)
        self.model.settle(name, part, charge)

    def undecide(self, step: Step) -> None:
        name = self.pick(step, list(self.model.holds))
        if name is None:
            return
        self.do(lambda c: books.undecide(c, subject(name), self.model.now, "nobody knows"), step.fate)
        one = self.model.holds[name]
        one.state = one.state if one.state == "settled" else "undecided"

    def decide(self, step: Step) -> None:
        name = self.pick(step, [name for name, one in self.model.holds.items() if one.state == "undecided"])
        if name is None:
            return
        charge = min(step.amount, self.model.holds[name].open)
        self.do(lambda c: books.decide(c, subject(name), charge, "root", self.model.now, "so"), step.fate)
        self.model.settle(name, "", charge)

    def adjust(self, step: Step) -> None:
        now = self.model.now
        name = self.pick(step, [name for name, one in self.model.holds.items() if one.charged])
        if name is None:
            return
        one = self.model.holds[name]
        part = None if step.yes and one.state == "settled" else list(one.charged)[step.other % len(one.charged)]
        if part == "" and one.count > 1:
            part = None
        charge = max(step.amount, self.model.least(name, part))
        self.do(lambda c: books.adjust(c, subject(name), charge, "root", now, "sacct", part=part), step.fate)
        self.model.adjust(name, part, charge)

    def limit(self, step: Step) -> None:
        budget, centre = BUDGETS[step.which % 2], ("", *CENTRES)[step.other % 3]
        person = "bob" if step.yes else ""
        limit = 2 * step.amount if step.amount < 50 else None
        if not centre and (not person or budget == BUDGETS[1]):
            return
        self.do(lambda c: budgets.set_limit(c, budget, limit, T0, person=person, centre=centre), step.fate)
        self.model.limits.pop((budget, person, centre), None)
        if limit is not None:
            self.model.limits[budget, person, centre] = limit

    def leave(self, step: Step) -> None:
        self.do(lambda c: budgets.remove_member(c, BUDGETS[0], "bob", self.model.now), step.fate)
        self.model.gone.add((BUDGETS[0], "bob"))

    def back(self, step: Step) -> None:
        self.do(lambda c: budgets.add_member(c, BUDGETS[0], "bob", "member", self.model.now), step.fate)
        self.model.gone.discard((BUDGETS[0], "bob"))

    def pick(self, step: Step, names: list[str]) -> str | None:
        """One of them, if there are any."""
        return names[step.which % len(names)] if names else None

    def balanced(self) -> None:
        with self.engine.begin() as c:
            assert books.check(c) == []

    def the_books_balance_and_say_what_the_model_says(self) -> None:
        model, now = self.model, self.model.now
        with self.engine.begin() as c:
            assert books.check(c) == []
            for purse in purses(c):
                one_grant = model.grants[purse.grant.id]
                marked = purse.grant.expired is not None or purse.grant.withdrawn is not None
                assert purse.left == (0 if marked else one_grant.left) or (one_grant.over(now) and not marked)
            for budget in BUDGETS:
                mine = [one for one in model.holds.values() if one.budget == budget]
                found = books.balance(c, budget, now)
                expected = (model.available(budget), sum(o.open for o in mine), sum(o.total for o in mine))
                assert (found.available, found.held, found.spent) == expected
                assert found.granted == sum(one.amount for one in model.grants.values() if one.budget == budget)
                assert found.next_end == next_end(model, budget)
                assert sum(entry.charged for entry in entries(c, budget=budget, limit=10**6).entries) == found.spent
            for name, one in model.holds.items():
                kept = one_hold(c, subject(name))
                assert kept is not None
                expected_hold = (one.state, one.open, one.total, one.extra)
                assert (kept.state, kept.open, kept.charged, kept.absorbed) == expected_hold
                in_grants = {part.grant or 0: part.open for part in kept.parts}
                assert in_grants == {number: one.inside[number] for number in one.inside if one.given[number]}
            earned = {
                centre: sum(o.total + o.extra for o in model.holds.values() if o.centre == centre) for centre in CENTRES
            }
            assert {row.centre: row.owed for row in owed(c) if row.owed} == {k: v for k, v in earned.items() if v}
            paid = sum(o.extra + o.spent.get(0, 0) + o.inside.get(0, 0) for o in model.holds.values())
            query = select(ledger_accounts.c.balance).where(ledger_accounts.c.key == "gateway")
            assert c.scalar(query) == -paid


def next_end(model: Model, budget: str) -> datetime | None:
    ends = [model.grants[number].ends for number in model.live(budget) if model.grants[number].left]
    return min((end for end in ends if end is not None), default=None)


def subject(name: str) -> Subject:
    return Subject(*name.split(":"))


def play(engine: Engine, examples: int, longest: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(HISTORY, min_size=longest // 2, max_size=longest))
    def any_history(history: list[Step]) -> None:
        Ledger(engine).play(history)

    any_history()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_books_balance_whatever_happens(engine: Engine) -> None:
    play(engine, 40, 50)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_books_balance_whatever_happens_for_long(engine: Engine) -> None:
    play(engine, 1000, 100)
