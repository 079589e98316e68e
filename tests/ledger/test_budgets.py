"""Budgets: a person's own with its starting grant; projects with members, roles and limits that hold."""

from __future__ import annotations

import pytest
from ledger.bookkeeping import DAY, SEA, T0, asked, held, money, project, session, settled
from perijove.hub.ledger import books, budgets
from perijove.hub.ledger.records import BudgetKey
from perijove.hub.ledger.rules import managers
from sqlalchemy import Engine

BOB = "person:bob"


@pytest.mark.parametrize("text", ["", "bob", "person:", "thing:x", "project"])
def test_what_is_no_budget_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no budget"):
        BudgetKey.parse(text)
    assert str(BudgetKey.parse("person:a:b")) == "person:a:b"


def test_a_new_person_has_one_starting_grant_however_often_it_comes(engine: Engine) -> None:
    with engine.begin() as c:
        assert budgets.ensure_person(c, "bob", 0, T0) is None
        first = budgets.ensure_person(c, "bob", 500, T0, T0 + DAY)
        assert first is not None and (first.amount, first.ends) == (500, T0 + DAY)
        assert budgets.ensure_person(c, "bob", 500, T0) is None
        assert money(c, BOB) == (500, 0, 0)
        books.withdraw(c, first.id, "root", T0)
        assert budgets.ensure_person(c, "bob", 700, T0 + DAY) is None and money(c, BOB) == (0, 0, 0)


def test_a_budget_is_its_owners_or_its_members(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        budgets.ensure_person(c, "bob", 500, T0)
        assert [one.key for one in budgets.budgets_of(c, "bob")] == [BOB, SEA]
        assert [(one.key, one.role) for one in budgets.budgets_of(c, "ada")] == [(SEA, "manager")]
        assert budgets.may_use(c, BOB, "bob") and not budgets.may_use(c, BOB, "ada")
        assert not budgets.may_use(c, "project:moon", "bob") and not budgets.may_use(c, SEA, "eve")
        for budget in (BOB, SEA):
            with pytest.raises(books.NotMember):
                held(c, "s1", person="eve", budget=budget)
        with pytest.raises(books.NoBudget):
            held(c, "s1", person="eve", budget="person:eve")


def test_who_leaves_can_hold_nothing_more_and_what_runs_goes_on(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        held(c)
        budgets.remove_member(c, SEA, "bob", T0)
        budgets.remove_member(c, SEA, "bob", T0 + DAY)
        assert [one.person for one in budgets.members_of(c, SEA)] == ["ada"]
        with pytest.raises(books.NotMember):
            held(c, "s2")
        settled(c, "s1", 10)
        assert money(c) == (990, 0, 10)
        again = budgets.add_member(c, SEA, "bob", "manager", T0 + DAY, limit=100)
        assert (again.joined, again.role, again.limit) == (T0 + DAY, "manager", 100)
        assert budgets.add_member(c, SEA, "bob", "manager", T0 + DAY).limit == 100
        assert managers(c, SEA) == ("ada", "bob")
        budgets.remove_member(c, SEA, "bob", T0 + DAY)
        assert budgets.add_member(c, SEA, "bob", "manager", T0 + DAY).limit is None
        with pytest.raises(books.NotMember):
            budgets.remove_member(c, SEA, "eve", T0)


def test_a_project_keeps_a_manager(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        with pytest.raises(budgets.LastManager):
            budgets.remove_member(c, SEA, "ada", T0)
        with pytest.raises(budgets.LastManager):
            budgets.add_member(c, SEA, "ada", "member", T0)
        budgets.add_member(c, SEA, "bob", "manager", T0)
        budgets.add_member(c, SEA, "ada", "member", T0)
        assert managers(c, SEA) == ("bob",)


def test_a_closed_budget_pays_for_what_runs_and_for_nothing_new(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        held(c)
        budgets.close(c, SEA, T0)
        budgets.close(c, SEA, T0 + DAY)
        with pytest.raises(books.Closed):
            held(c, "s2")
        with pytest.raises(books.Closed):
            budgets.add_member(c, SEA, "eve", "member", T0)
        assert not budgets.may_use(c, SEA, "bob") and budgets.budgets_of(c, "bob") == []
        (closed,) = budgets.budgets_of(c, "bob", closed=True)
        assert closed.closed == T0 and budgets.listing(c) == [] and len(budgets.listing(c, "project", closed=True)) == 1
        settled(c, "s1", 10)
        assert money(c) == (990, 0, 10)


def test_a_name_is_taken_once_also_by_what_is_closed(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        budgets.close(c, SEA, T0)
        with pytest.raises(budgets.Taken):
            project(c)
        with pytest.raises(budgets.Taken):
            budgets.create_project(c, "sea", "Sea", "eve", T0, kind="course")
        assert budgets.create_project(c, "ice", "Ice", "eve", T0, kind="course").key == "course:ice"
        with pytest.raises(budgets.Taken):
            budgets.create_project(c, "ice", "Ice", "eve", T0)
        for name in ("", "Sea", "1sea", "s" * 33, "a:b", "a b"):
            with pytest.raises(ValueError, match="is named with"):
                budgets.create_project(c, name, "", "eve", T0)


def test_a_members_limit_counts_what_is_held_and_what_is_spent(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        budgets.set_limit(c, SEA, 150, T0, person="bob")
        held(c, "s1")
        settled(c, "s1", 60)
        held(c, "s2", 90)
        with pytest.raises(books.LimitReached) as refused:
            held(c, "s3", 1)
        one = refused.value
        assert (one.person, one.centre, one.limit, one.used, one.needed, one.missing) == ("bob", None, 150, 150, 1, 1)
        held(c, "s3", 0)
        held(c, "s4", 100, person="ada")
        settled(c, "s2", 0)
        held(c, "s5", 90)
        budgets.set_limit(c, SEA, None, T0, person="bob")
        held(c, "s6", 200)
        assert books.check(c) == []


def test_limits_at_a_centre_are_a_members_and_of_all_together(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        budgets.set_limit(c, SEA, 150, T0, centre="alpha")
        budgets.set_limit(c, SEA, 100, T0, centre="alpha", person="bob")
        assert [(one.person, one.limit) for one in budgets.limits_of(c, SEA)] == [("", 150), ("bob", 100)]
        with pytest.raises(books.LimitReached) as own:
            held(c, "s1", 101)
        held(c, "s1", 60)
        with pytest.raises(books.LimitReached) as together:
            held(c, "s2", 91, person="ada")
        assert (own.value.person, together.value.person, together.value.used) == ("bob", "", 60)
        held(c, "s2", 101, centre="beta")
        budgets.set_limit(c, SEA, None, T0, centre="alpha")
        held(c, "s3", 91, person="ada")


def test_limits_that_could_not_be_are_refused(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        budgets.ensure_person(c, "bob", 500, T0)
        for budget, given in (
            (SEA, {"limit": -1, "person": "bob"}),
            (SEA, {"limit": 1}),
            (BOB, {"limit": 1, "person": "bob"}),
        ):
            with pytest.raises(ValueError, match="limit"):
                budgets.set_limit(c, budget, now=T0, **given)  # type: ignore[arg-type]
        with pytest.raises(books.NotMember):
            budgets.set_limit(c, SEA, 1, T0, person="eve")
        with pytest.raises(books.NoBudget):
            budgets.set_limit(c, "project:moon", 1, T0, centre="alpha")
        with pytest.raises(ValueError, match="managers and members"):
            budgets.add_member(c, BOB, "eve", "member", T0)
        budgets.set_limit(c, BOB, 10, T0, centre="alpha")
        with pytest.raises(books.LimitReached):
            books.hold(c, session(), asked(11, budget=BOB), T0)


def test_who_is_no_member_does_not_learn_which_budgets_there_are(engine: Engine) -> None:
    with engine.begin() as c:
        project(c)
        for budget in (SEA, "project:none", "person:eve", "course:sea", "nonsense"):
            with pytest.raises(books.NotMember):
                held(c, "s1", person="bert", budget=budget)
        budgets.close(c, SEA, T0)
        with pytest.raises(books.NotMember):
            held(c, "s1", person="bert")
        with pytest.raises(books.Closed):
            held(c, "s1", person="ada")
        with pytest.raises(books.NoBudget):
            held(c, "s1", person="bert", budget="person:bert")
