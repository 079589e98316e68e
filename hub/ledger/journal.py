"""The journal: entries whose postings sum to zero, and the accounts that they change.

Whoever writes opens the journal first. That locks it until the transaction is over, so that the books are written by
one at a time, also where several gateways share a PostgreSQL: what was read after it stays true until the commit, and
two that write cannot wait for each other within the ledger. (SQLite has one writer anyhow.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perijove.hub.ledger.records import Grant, Hold, plain
from perijove.hub.ledger.tables import ledger_accounts, ledger_entries, ledger_postings, uses
from sqlalchemy import Connection, CursorResult, bindparam, insert, select, update

#: Statements that every change needs, built once: building them costs more than running them.
SINGLE = (
    select(ledger_accounts.c.key, ledger_accounts.c.id)
    .where(ledger_accounts.c.key.in_(["gateway", "held", "source"]))
    .order_by(ledger_accounts.c.id)
    .with_for_update()
)
USE = (
    update(uses)
    .where(uses.c.budget == bindparam("of"), uses.c.person == bindparam("whose"), uses.c.centre == bindparam("at"))
    .values(held=uses.c.held + bindparam("more_held"), spent=uses.c.spent + bindparam("more_spent"))
)
ADD = (
    update(ledger_accounts)
    .where(ledger_accounts.c.id == bindparam("account"))
    .values(balance=ledger_accounts.c.balance + bindparam("amount"))
)


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal, locked; with the numbers of the accounts that there is one of."""

    c: Connection
    now: datetime
    gateway: int
    held: int
    source: int

    @classmethod
    def open(cls, c: Connection, now: datetime) -> Journal:
        """Nobody else writes until the transaction is over."""
        numbers = {str(key): int(number) for key, number in c.execute(SINGLE)}
        return cls(c, now, **numbers)

    def account(self, kind: str, name: str | int, grant: int | None = None) -> int:
        """The account of a `grant` or a `centre`; made when it is first asked for."""
        key = f"{kind}:{name}"
        known = self.c.scalar(select(ledger_accounts.c.id).where(ledger_accounts.c.key == key))
        if known is not None:
            return int(known)
        made = self.c.execute(insert(ledger_accounts), {"key": key, "kind": kind, "grant": grant, "balance": 0})
        return number(made)

    def has(self, key: str) -> bool:
        """There is such an entry."""
        return self.c.scalar(select(ledger_entries.c.id).where(ledger_entries.c.key == key)) is not None

    def write(self, kind: str, key: str, moves: Mapping[int, int], about: Mapping[str, Any]) -> int:
        """An entry that adds `moves` to accounts. `about` are its other columns; its number is returned.

        Raises:
            ValueError: the moves do not sum to zero.
        """
        if sum(moves.values()):
            raise ValueError(f"{key} does not balance: {dict(moves)}")
        row = {**EMPTY, **about, "kind": kind, "key": key, "time": self.now}
        made = self.c.execute(insert(ledger_entries), row)
        entry = number(made)
        postings = [{"account": account, "amount": moves[account]} for account in sorted(moves) if moves[account]]
        if postings:
            self.c.execute(insert(ledger_postings), [posting | {"entry": entry} for posting in postings])
            self.c.execute(ADD, postings)
        return entry

    def use(self, hold: Hold, *, held: int = 0, spent: int = 0) -> None:
        """What the hold's person has on hold of its budget at its centre, and has spent, grows so much."""
        if not held and not spent:
            return
        whose = {"of": hold.budget, "whose": hold.person, "at": hold.centre}
        if not self.c.execute(USE, {**whose, "more_held": held, "more_spent": spent}).rowcount:
            row = {"budget": hold.budget, "person": hold.person, "centre": hold.centre}
            self.c.execute(insert(uses), {**row, "held": held, "spent": spent})


EMPTY: Mapping[str, Any] = {
    **dict.fromkeys(("subject_kind", "subject", "part", "budget", "person", "centre", "queue", "by", "note"), ""),
    **dict.fromkeys(("moved", "charged", "absorbed", "core_seconds", "gpu_seconds"), 0),
    **{"grant": None, "price_version": None, "evidence": {}},
}


def number(made: CursorResult[Any]) -> int:
    """The number of the row that was inserted."""
    return int((made.inserted_primary_key or (0,))[0])


def about_hold(hold: Hold, part: str = "", evidence: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Columns of an entry that tell of a hold."""
    known = {"subject_kind": hold.kind, "subject": hold.subject, "part": part, "budget": hold.budget}
    known |= {"person": hold.person, "centre": hold.centre, "queue": hold.queue}
    return known | {"price_version": hold.price_version, "evidence": plain(evidence or {})}


def about_grant(grant: Grant, by: str = "") -> dict[str, Any]:
    """Columns of an entry that tell of a grant."""
    return {"budget": grant.budget, "grant": grant.id, "by": by or grant.by, "note": grant.note}


__all__ = ["Journal", "about_grant", "about_hold", "number"]
