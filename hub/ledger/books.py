"""The books: money is held when something is asked for, settled when it has ended, and the rest goes back.

Every function takes a connection and runs in its caller's transaction: what it writes is there when the caller commits,
or nothing of it is. Every one may be called again: it does nothing the second time. Money is whole micro-credits.

    account        what is in it
    grant:ID       a grant's money that is neither on hold nor spent
    held           all that is on hold
    centre:NAME    what a centre has earned
    source         where grants come from and what is left of them goes (never above zero)
    gateway        what the gateway pays itself: warm sessions, and what a job cost beyond what was held for it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from perijove.hub.ledger import parts as shares
from perijove.hub.ledger.balances import balance, burn
from perijove.hub.ledger.checking import check
from perijove.hub.ledger.corrections import adjust
from perijove.hub.ledger.grants import expire, grant, spendable, sweep, withdraw
from perijove.hub.ledger.holding import one_hold, save
from perijove.hub.ledger.journal import Journal, about_hold, number
from perijove.hub.ledger.records import (
    MOST,
    Balance,
    Closed,
    Grant,
    Hold,
    Holding,
    Insufficient,
    LimitReached,
    NoBudget,
    NotMember,
    Part,
    Subject,
    TooDear,
)
from perijove.hub.ledger.rules import admit, managers
from perijove.hub.ledger.tables import holds
from sqlalchemy import Connection, insert


def hold(c: Connection, subject: Subject, holding: Holding, now: datetime, *, enforce: bool = True) -> Hold:
    """Put money aside for a subject; that of grants which end first is taken first. The same subject: the same hold.

    Without `enforce` no limit holds, and what the budget has not got the gateway gives: all is written down, and
    nothing is refused for want of money.

    Raises:
        ValueError: no amount that can be held.
        TooDear, NoBudget, Closed, NotMember, LimitReached, Insufficient.
    """
    journal = Journal.open(c, now)
    if known := one_hold(c, subject):
        return known
    if holding.amount > MOST:
        raise TooDear(holding.budget, holding.amount)
    if holding.amount < 0 or holding.count < 1 or holding.hourly < 0:
        raise ValueError(f"{holding.amount} micro-credits for {holding.count} jobs cannot be held")
    if holding.budget:
        admit(c, holding, enforce=enforce)
    parts = _take(journal, holding, enforce)
    new = Hold(
        id=0,
        kind=subject.kind,
        subject=subject.id,
        budget=holding.budget,
        person=holding.person,
        centre=holding.centre,
        queue=holding.queue,
        hourly=holding.hourly,
        count=holding.count,
        price_version=holding.price_version,
        amount=holding.amount,
        parts=parts,
        open=holding.amount,
        ends=holding.ends,
        created=now,
    )
    new = replace(new, id=number(c.execute(insert(holds), new.row())))
    moves = {journal.held: holding.amount} | {part.account: -part.amount for part in parts}
    moved = -sum(part.amount for part in parts if part.grant is not None)
    journal.write("hold", f"hold:{subject.kind}:{subject.id}", moves, about_hold(new) | {"moved": moved})
    journal.use(new, held=holding.amount)
    return new


def settle(
    c: Connection,
    subject: Subject,
    part: str,
    charge: int,
    now: datetime,
    *,
    evidence: Mapping[str, Any],
    release: int | None = None,
) -> Hold | None:
    """The end of a subject, or of task `part` of its jobs, is known: `charge` to the centre, the rest back.

    A task has its share of what was held: no task can spend another's. What `charge` is beyond that the gateway pays,
    never the person. `release` is what goes back besides the charge (all of the share's rest); with the last task all
    that is still on hold does. Of `evidence` the `core_seconds` and `gpu_seconds` are counted as use.
    None: nothing was ever held for the subject, as for what is older than the ledger.

    Raises:
        ValueError: a charge below zero.
    """
    journal = Journal.open(c, now)
    found = one_hold(c, subject)
    key = _settle_key(subject, part)
    if found is None or found.state == "settled" or journal.has(key):
        return found
    mine = _share(found) if part else found.open
    jobs = 1 if part else found.count - found.done
    about = about_hold(found, part, evidence)
    return _end(journal, found, key, about, charge=charge, share=mine, release=release, jobs=jobs)


def undecide(c: Connection, subject: Subject, now: datetime, why: str) -> Hold | None:
    """Nobody knows yet what it used: what is open stays on hold until that is settled or decided."""
    Journal.open(c, now)
    found = one_hold(c, subject)
    if found is None or found.state == "settled":
        return found
    return save(c, replace(found, state="undecided", why=why))


def decide(c: Connection, subject: Subject, charge: int, by: str, now: datetime, note: str) -> Hold:
    """An operator says what all that is still on hold of an undecided one has cost.

    Raises:
        LookupError: nothing was ever held for it.
        ValueError: a charge below zero or above what is on hold, or what is to be decided may still run.
    """
    journal = Journal.open(c, now)
    found = one_hold(c, subject)
    if found is None:
        raise LookupError(f"nothing is held for {subject.kind} {subject.id}")
    if found.state == "settled":
        return found
    if found.state != "undecided":
        raise ValueError(f"{subject.kind} {subject.id} is not undecided: it is settled when it ends")
    if charge > found.open:
        raise ValueError(f"no more than the {found.open} micro-credits on hold can be charged, not {charge}")
    about = about_hold(found, evidence={"decided": True}) | {"by": by, "note": note}
    jobs = found.count - found.done
    return _end(journal, found, _settle_key(subject, ""), about, charge=charge, share=found.open, jobs=jobs)


def _settle_key(subject: Subject, part: str) -> str:
    return f"settle:{subject.kind}:{subject.id}" + (f":{part}" if part else "")


def _share(found: Hold) -> int:
    """What the next task has of what was held: all together exactly that."""
    before, after = (found.amount * done // found.count for done in (found.done, found.done + 1))
    return min(after - before, found.open)


def _take(journal: Journal, holding: Holding, enforce: bool) -> tuple[Part, ...]:
    """Which grants give how much of it.

    Raises:
        Insufficient.
    """
    wanted, parts = holding.amount, []
    purses = spendable(journal.c, holding.budget, journal.now) if holding.budget else []
    for purse in purses:
        if give := min(purse.left, wanted):
            parts.append(Part(purse.grant.id, purse.account, give, give))
            wanted -= give
    if wanted and enforce and holding.budget:
        available = sum(purse.left for purse in purses)
        raise Insufficient(holding.budget, holding.amount, available, managers(journal.c, holding.budget))
    if wanted:
        parts.append(Part(None, journal.gateway, wanted, wanted))
    return tuple(parts)


def _end(
    journal: Journal,
    found: Hold,
    key: str,
    about: Mapping[str, Any],
    *,
    charge: int,
    share: int,
    jobs: int,
    release: int | None = None,
) -> Hold:
    """`jobs` of a hold have ended and cost `charge`, of a `share` of what is on hold."""
    if charge < 0:
        raise ValueError(f"a charge of {charge} micro-credits: it is never below zero")
    paid, done = min(charge, share), min(found.count, found.done + jobs)
    absorbed, last = charge - paid, done == found.count
    rest = found.open - paid
    back = rest if last else min(rest, share - paid if release is None else max(0, release))
    after_charge = shares.charged(found.parts, paid)
    after = shares.released(after_charge, back)
    used = {name: int(about["evidence"].get(name) or 0) for name in ("core_seconds", "gpu_seconds")}
    moves = {journal.held: -paid, journal.gateway: -absorbed, journal.account("centre", found.centre): charge}
    journal.write("settle", key, moves, {**about, **used, "charged": paid, "absorbed": absorbed})
    new = replace(found, parts=after, open=rest - back, charged=found.charged + paid, done=done)
    new = replace(new, absorbed=found.absorbed + absorbed)
    if last:
        new = replace(new, state="settled", settled=journal.now)
    if back:
        _refund(
            journal, found, key.replace("settle", "refund", 1), about, shares.by_account(after_charge, after, "open")
        )
    journal.use(found, held=-paid - back, spent=paid)
    return save(journal.c, new)


def _refund(journal: Journal, found: Hold, key: str, about: Mapping[str, Any], back: dict[int, int]) -> None:
    own = {part.account: part.grant for part in found.parts if part.grant is not None}
    moved = sum(amount for account, amount in back.items() if account in own)
    moves = back | {journal.held: -sum(back.values())}
    journal.write("refund", key, moves, {**about, "evidence": {}, "moved": moved})
    sweep(journal, (own[account] for account in back if account in own), key)


__all__ = [
    "Balance",
    "Closed",
    "Grant",
    "Hold",
    "Holding",
    "Insufficient",
    "LimitReached",
    "NoBudget",
    "NotMember",
    "Subject",
    "adjust",
    "balance",
    "burn",
    "check",
    "decide",
    "expire",
    "grant",
    "hold",
    "settle",
    "undecide",
    "withdraw",
]
