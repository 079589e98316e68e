"""Who may spend how much of a budget: membership and limits, asked before money is held."""

from __future__ import annotations

from perijove.hub.ledger.records import BudgetKey, Closed, Holding, LimitReached, NoBudget, NotMember
from perijove.hub.ledger.tables import budgets, centre_limits, members, uses
from sqlalchemy import Connection, func, select

MANAGER, MEMBER = "manager", "member"


def role(c: Connection, budget: str, person: str) -> str | None:
    """`manager` or `member`; a person is the manager of its own budget; None: no member."""
    key = BudgetKey.parse(budget)
    if key.kind == "person":
        return MANAGER if key.name == person else None
    mine = (members.c.budget == budget) & (members.c.person == person) & members.c.left.is_(None)
    found = c.scalar(select(members.c.role).where(mine))
    return None if found is None else str(found)


def managers(c: Connection, budget: str) -> tuple[str, ...]:
    """Who manages a project or a course; of a person's own budget nobody: its grants are the operators'."""
    mine = (members.c.budget == budget) & (members.c.role == MANAGER) & members.c.left.is_(None)
    return tuple(c.scalars(select(members.c.person).where(mine).order_by(members.c.person)))


def admit(c: Connection, holding: Holding, *, enforce: bool) -> None:
    """Say whether the person may hold so much; limits only with `enforce`.

    Raises:
        NoBudget (only of one's own), NotMember (also where there is none), Closed, LimitReached.
    """
    found = c.execute(select(budgets.c.closed).where(budgets.c.key == holding.budget)).first()
    if found is None and holding.budget == str(BudgetKey("person", holding.person)):
        raise NoBudget(holding.budget)
    # Who is no member does not learn which budgets there are, nor what became of them.
    if found is None or role(c, holding.budget, holding.person) is None:
        raise NotMember(holding.budget, holding.person)
    if found.closed is not None:
        raise Closed(holding.budget)
    if enforce and holding.amount:
        _within(c, holding)


def _within(c: Connection, holding: Holding) -> None:
    for person, centre, limit in _limits(c, holding):
        query = select(func.coalesce(func.sum(uses.c.held + uses.c.spent), 0)).where(uses.c.budget == holding.budget)
        if person:
            query = query.where(uses.c.person == person)
        if centre:
            query = query.where(uses.c.centre == centre)
        used = int(c.scalar(query) or 0)
        if used + holding.amount > limit:
            raise LimitReached(holding.budget, person, centre, limit, used, holding.amount)


def _limits(c: Connection, holding: Holding) -> list[tuple[str, str | None, int]]:
    """The limits that the holding is held against: (person or "" for all, centre or None for anywhere, limit)."""
    mine = (members.c.budget == holding.budget) & (members.c.person == holding.person)
    own = c.scalar(select(members.c.limit).where(mine))
    found: list[tuple[str, str | None, int]] = [] if own is None else [(holding.person, None, int(own))]
    there = (centre_limits.c.budget == holding.budget) & (centre_limits.c.centre == holding.centre)
    whose = centre_limits.c.person.in_([holding.person, ""])
    for row in c.execute(select(centre_limits).where(there, whose).order_by(centre_limits.c.person.desc())):
        found.append((row.person, row.centre, int(row.limit)))
    return found


__all__ = ["MANAGER", "MEMBER", "admit", "managers", "role"]
