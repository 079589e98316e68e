"""Do the books balance? Everything that is kept beside what it is a sum of is summed up anew."""

from __future__ import annotations

from collections.abc import Iterator

from perijove.hub.ledger.records import Hold
from perijove.hub.ledger.tables import grants, holds, ledger_accounts, ledger_entries, ledger_postings, uses
from sqlalchemy import Connection, Select, func, select

ZERO = (0, 0)


def check(c: Connection) -> list[str]:
    """What does not balance, in words; nothing: the books are sound. Reads them all."""
    return [*_entries(c), *_accounts(c), *_grants(c), *_holds(c), *_uses(c)]


def _entries(c: Connection) -> Iterator[str]:
    """Every entry sums to zero, and what it says beside its postings is what these are."""
    kinds = {int(row.id): str(row.kind) for row in c.execute(select(ledger_accounts.c.id, ledger_accounts.c.kind))}
    sums: dict[int, int] = {}
    moved: dict[int, int] = {}
    earned: dict[int, int] = {}
    for entry, account, amount in c.execute(select(ledger_postings)):
        sums[entry] = sums.get(entry, 0) + amount
        kind = kinds[account]
        if kind in ("grant", "centre"):
            of = moved if kind == "grant" else earned
            of[entry] = of.get(entry, 0) + amount
    columns = ("id", "key", "moved", "charged", "absorbed")
    for number, key, moves, charged, absorbed in c.execute(select(*(ledger_entries.c[name] for name in columns))):
        if sums.get(number, 0):
            yield f"entry {key} sums to {sums[number]}"
        if moved.get(number, 0) != moves:
            yield f"entry {key} says {moves} of grants, its postings {moved.get(number, 0)}"
        if earned.get(number, 0) != charged + absorbed:
            yield f"entry {key} says {charged} + {absorbed} for the centre, its postings {earned.get(number, 0)}"


def _accounts(c: Connection) -> Iterator[str]:
    """Every balance is the sum of the account's postings, and no grant has less than nothing."""
    total = func.coalesce(func.sum(ledger_postings.c.amount), 0)
    joined = ledger_accounts.outerjoin(ledger_postings, ledger_postings.c.account == ledger_accounts.c.id)
    columns = (ledger_accounts.c.key, ledger_accounts.c.kind, ledger_accounts.c.balance)
    query = select(*columns, total).select_from(joined).group_by(ledger_accounts.c.id, *columns)
    held = c.scalar(select(func.coalesce(func.sum(holds.c.open), 0))) or 0
    everything = 0
    for key, kind, balance, postings in c.execute(query):
        everything += balance
        if balance != postings:
            yield f"account {key} has {balance}, its postings sum to {postings}"
        if (kind in ("grant", "held", "centre") and balance < 0) or (kind == "source" and balance > 0):
            yield f"account {key} has {balance}"
        if kind == "held" and balance != held:
            yield f"account held has {balance}, open holds sum to {held}"
    if everything:
        yield f"all accounts sum to {everything}"


def _grants(c: Connection) -> Iterator[str]:
    """What was left of a grant that is over has gone back."""
    joined = grants.join(ledger_accounts, ledger_accounts.c.grant == grants.c.id)
    over = grants.c.expired.is_not(None) | grants.c.withdrawn.is_not(None)
    query = select(grants.c.id, ledger_accounts.c.balance).select_from(joined)
    for number, balance in c.execute(query.where(over, ledger_accounts.c.balance != 0)):
        yield f"grant {number} is over and has {balance}"


def _holds(c: Connection) -> Iterator[str]:
    """Every hold is what its parts and its entries are."""
    charged = _paid(c, select(ledger_entries.c.subject_kind, ledger_entries.c.subject))
    for hold in map(Hold.of, c.execute(select(holds))):
        name = f"hold {hold.kind}:{hold.subject}"
        if sum(part.open for part in hold.parts) != hold.open:
            yield f"{name} has {hold.open} open, its parts {sum(part.open for part in hold.parts)}"
        if sum(part.charged for part in hold.parts) != hold.charged:
            yield f"{name} has {hold.charged} charged, its parts {sum(part.charged for part in hold.parts)}"
        if sum(part.amount for part in hold.parts) != hold.amount:
            yield f"{name} is of {hold.amount}, its parts of {sum(part.amount for part in hold.parts)}"
        if any(not 0 <= part.open <= part.amount or part.charged < 0 for part in hold.parts):
            yield f"{name} has a part that cannot be"
        if (hold.state == "settled") != (hold.done == hold.count) or (hold.state == "settled" and hold.open):
            yield f"{name} is {hold.state} with {hold.open} open and {hold.done} of {hold.count} done"
        paid = charged.pop((hold.kind, hold.subject), ZERO)
        if paid != (hold.charged, hold.absorbed):
            yield f"{name} says {hold.charged} + {hold.absorbed}, its entries {paid[0]} + {paid[1]}"
    yield from (f"entries charge {kind} {subject}, of which there is no hold" for kind, subject in charged)


def _paid(c: Connection, query: Select[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, int]]:
    sums = (func.sum(ledger_entries.c.charged), func.sum(ledger_entries.c.absorbed))
    grouped = query.add_columns(*sums).where(ledger_entries.c.subject != "")
    columns = (ledger_entries.c.subject_kind, ledger_entries.c.subject)
    return {(row[0], row[1]): (int(row[2]), int(row[3])) for row in c.execute(grouped.group_by(*columns))}


def _uses(c: Connection) -> Iterator[str]:
    """What is summed up of each person's use is what the holds are."""
    who = (holds.c.budget, holds.c.person, holds.c.centre)
    query = select(*who, func.sum(holds.c.open), func.sum(holds.c.charged)).group_by(*who)
    found = {tuple(row[:3]): (int(row[3]), int(row[4])) for row in c.execute(query)}
    kept = {(row.budget, row.person, row.centre): (row.held, row.spent) for row in c.execute(select(uses))}
    for key in found.keys() | kept.keys():
        if found.get(key, ZERO) != kept.get(key, ZERO):
            name = " ".join(filter(None, key)) or "the gateway"
            yield f"use of {name} is kept as {kept.get(key, ZERO)}, and is {found.get(key, ZERO)}"


__all__ = ["check"]
