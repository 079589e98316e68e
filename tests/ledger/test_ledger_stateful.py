"""Any history, with crashes between any two statements: the books balance and say what the plain model says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger.bookkeeping import T0
from ledger.model import Grant, Model
from perijove.hub.broker.store import metadata
from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.books import Hold, Holding, Subject
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.records import LedgerError
from perijove.hub.ledger.statements import entries, owed
from perijove.hub.ledger.tables import ledger_accounts
from sqlalchemy import Connection, Engine, delete, event, select, update

BUDGETS = ("project:sea", "person:bob")
PEOPLE = {"project:sea": ("ada", "bob"), "person:bob": ("bob",), "": ("",)}
CENTRES = ("alpha", "beta")
AMOUNTS = st.integers(0, 90)
#: How one step goes: a crash after so many statements and another try; said twice; beside one that fails.
FATES = st.one_of(st.none(), st.integers(0, 14), st.sampled_from(["twice", "beside"]))


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


class Ledger(RuleBasedStateMachine):
    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        emptied(self.engine)
        self.model = Model(T0)
        self.keys = 0

    def do(self, work: Callable[[Connection], Any], fate: int | str | None) -> Any:
        """What `work` returns or is refused with, in the end."""
        if isinstance(fate, int):
            with contextlib.suppress(Crash, LedgerError), crashing(self.engine, fate), self.engine.begin() as c:
                work(c)
                raise Crash
            self.balanced()
        with self.engine.begin() as c:
            if fate == "beside":
                with pytest.raises(Crash), c.begin_nested():
                    books.hold(
                        c, Subject("session", "never"), Holding("", "", "alpha", "cpu", 1, 9, None), self.model.now
                    )
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

    @initialize(amounts=st.lists(st.integers(10, 60), min_size=4, max_size=6), ends=st.permutations(range(24, 144, 12)))
    def begin_with_several_small_grants(self, amounts: list[int], ends: list[int]) -> None:
        for number, amount in enumerate(amounts):
            self.grant(BUDGETS[number % 3 // 2], amount, 0, ends[number], None)

    @rule(hours=st.integers(1, 12))
    def time_goes_on(self, hours: int) -> None:
        self.model.now += timedelta(hours=hours)

    @rule(
        budget=st.sampled_from(BUDGETS), amount=st.integers(1, 100), wait=st.integers(0, 20),
        lasts=st.none() | st.integers(21, 60), fate=FATES,
    )  # fmt: skip
    def grant(self, budget: str, amount: int, wait: int, lasts: int | None, fate: Any) -> None:
        starts = self.model.now + timedelta(hours=wait)
        ends = None if lasts is None else self.model.now + timedelta(hours=lasts)
        self.keys += 1
        given = self.do(
            lambda c: books.grant(c, budget, amount, starts, ends, "root", "", self.model.now, key=f"k{self.keys}"),
            fate,
        )
        self.model.grants[given.id] = Grant(budget, amount, amount, starts, ends)

    @precondition(lambda self: self.model.grants)
    @rule(which=st.integers(0, 99), fate=FATES)
    def withdraw(self, which: int, fate: Any) -> None:
        number = list(self.model.grants)[which % len(self.model.grants)]
        one = self.model.grants[number]
        left = self.do(lambda c: books.withdraw(c, number, "root", self.model.now), fate)
        assert one.over(self.model.now) or left == one.left
        one.withdrawn = True

    @rule(fate=FATES)
    def expire(self, fate: Any) -> None:
        for one in self.do(lambda c: books.expire(c, self.model.now), fate):
            assert self.model.grants[one.id].over(self.model.now)

    @rule(
        kind=st.sampled_from(["session", "workers", "workers"]), budget=st.sampled_from([*BUDGETS, *BUDGETS, ""]),
        person=st.integers(0, 1), centre=st.sampled_from(CENTRES), amount=AMOUNTS, count=st.integers(1, 4),
        enforce=st.sampled_from([True, True, True, False]), fate=FATES,
    )  # fmt: skip
    def hold(
        self, kind: str, budget: str, person: int, centre: str, amount: int, count: int, enforce: bool, fate: Any
    ) -> None:
        who = PEOPLE[budget][person % len(PEOPLE[budget])]
        count = count if kind == "workers" else 1
        name = f"{kind}:{len(self.model.holds)}"
        holding = Holding(budget, who, centre, "cpu", 60, amount, None, None, count)
        expected = self.model.refusal(budget, who, centre, amount, enforce) if budget else ""
        made = self.do(lambda c: books.hold(c, subject(name), holding, self.model.now, enforce=enforce), fate)
        if expected:
            assert type(made).__name__ == expected
            if isinstance(made, books.Insufficient):
                assert made.missing == amount - self.model.available(budget)
        else:
            assert isinstance(made, Hold)
            self.model.hold(name, budget, who, centre, amount, count)

    @precondition(lambda self: self.model.holds)
    @rule(which=st.integers(0, 99), task=st.integers(1, 4), charge=AMOUNTS, fate=FATES)
    def settle(self, which: int, task: int, charge: int, fate: Any) -> None:
        name, one = self.pick(which)
        part = str(1 + task % one.count) if name.startswith("workers") else ""
        self.do(lambda c: books.settle(c, subject(name), part, charge, self.model.now, evidence={}), fate)
        self.model.settle(name, part, charge)

    @precondition(lambda self: self.model.holds)
    @rule(which=st.integers(0, 99), fate=FATES)
    def undecide(self, which: int, fate: Any) -> None:
        name, one = self.pick(which)
        self.do(lambda c: books.undecide(c, subject(name), self.model.now, "nobody knows"), fate)
        one.state = one.state if one.state == "settled" else "undecided"

    @precondition(lambda self: any(one.state == "undecided" for one in self.model.holds.values()))
    @rule(which=st.integers(0, 99), charge=AMOUNTS, fate=FATES)
    def decide(self, which: int, charge: int, fate: Any) -> None:
        waiting = [name for name, one in self.model.holds.items() if one.state == "undecided"]
        name = waiting[which % len(waiting)]
        charge = min(charge, self.model.holds[name].open)
        self.do(lambda c: books.decide(c, subject(name), charge, "root", self.model.now, "so"), fate)
        self.model.settle(name, "", charge)

    @precondition(lambda self: any(one.charged for one in self.model.holds.values()))
    @rule(which=st.integers(0, 99), whole=st.booleans(), charge=st.integers(0, 200), fate=FATES)
    def adjust(self, which: int, whole: bool, charge: int, fate: Any) -> None:
        some = [name for name, one in self.model.holds.items() if one.charged]
        name = some[which % len(some)]
        one = self.model.holds[name]
        part = None if whole and one.state == "settled" else next(iter(one.charged))
        if part == "" and one.count > 1:
            part = None
        less = self.model.cost(name, part) - charge
        if less > 0 and part is not None:
            charge += max(0, less - one.total - min(max(0, one.absorbed.get(part, 0)), one.extra))
        self.do(lambda c: books.adjust(c, subject(name), charge, "root", self.model.now, "sacct", part=part), fate)
        self.model.adjust(name, part, charge)

    @rule(budget=st.sampled_from(BUDGETS), person=st.sampled_from(["", "bob"]), centre=st.sampled_from(["", *CENTRES]),
          limit=st.none() | AMOUNTS, fate=FATES)  # fmt: skip
    def limit(self, budget: str, person: str, centre: str, limit: int | None, fate: Any) -> None:
        if not centre and (not person or budget.startswith("person")):
            return
        self.do(lambda c: budgets.set_limit(c, budget, limit, T0, person=person, centre=centre), fate)
        self.model.limits.pop((budget, person, centre), None)
        if limit is not None:
            self.model.limits[budget, person, centre] = limit

    @rule(back=st.booleans(), fate=FATES)
    def leave(self, back: bool, fate: Any) -> None:
        sea, now = BUDGETS[0], self.model.now
        if back:
            self.do(lambda c: budgets.add_member(c, sea, "bob", "member", now), fate)
        else:
            self.do(lambda c: budgets.remove_member(c, sea, "bob", now), fate)
        (self.model.gone.discard if back else self.model.gone.add)((sea, "bob"))

    def pick(self, which: int) -> Any:
        return list(self.model.holds.items())[which % len(self.model.holds)]

    def balanced(self) -> None:
        with self.engine.begin() as c:
            assert books.check(c) == []

    @invariant()
    def the_books_balance_and_say_what_the_model_says(self) -> None:
        model, now = self.model, self.model.now
        with self.engine.begin() as c:
            assert books.check(c) == []
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


def play(engine: Engine, examples: int, steps: int) -> None:
    machine = type("Ledger", (Ledger,), {"engine": engine})
    quiet = list(HealthCheck)
    how = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=quiet)
    run_state_machine_as_test(machine, settings=how)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_books_balance_whatever_happens(engine: Engine) -> None:
    play(engine, 40, 30)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_books_balance_whatever_happens_for_long(engine: Engine) -> None:
    play(engine, 1000, 60)
