"""What was settled is corrected: the centre's accounting, or an operator, says another charge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from perijove.hub.ledger import parts as shares
from perijove.hub.ledger.grants import purses, sweep
from perijove.hub.ledger.holding import one_hold, save
from perijove.hub.ledger.journal import Journal, about_hold
from perijove.hub.ledger.records import Hold, Part, Subject
from perijove.hub.ledger.tables import grants, ledger_entries
from sqlalchemy import Connection, func, select


class Settled(NamedTuple):
    """What entries say of a subject or of one of its tasks: micro-credits and seconds."""

    charged: int
    absorbed: int
    core_seconds: int
    gpu_seconds: int


def settled(c: Connection, subject: Subject, part: str | None = None) -> Settled:
    """What was charged for a subject until now; with `part` for that task alone."""
    names = Settled._fields
    query = select(*(func.coalesce(func.sum(ledger_entries.c[name]), 0) for name in names))
    query = query.where(ledger_entries.c.subject == subject.id, ledger_entries.c.subject_kind == subject.kind)
    if part is not None:
        query = query.where(ledger_entries.c.part == part)
    return Settled(*(int(value) for value in c.execute(query).one()))


def adjust(
    c: Connection,
    subject: Subject,
    charge: int,
    by: str,
    now: datetime,
    note: str,
    *,
    part: str | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Hold:
    """What is settled costs `charge` in all: with `part`, that task does.

    Less: the gateway has back first what it paid itself, then the grants. More: from the same grants, as far as they
    can still be spent and have it; the rest is the gateway's. `evidence` may say the right `core_seconds` and
    `gpu_seconds`. The same charge again writes nothing. No limit of members holds here: the use has been.

    Raises:
        LookupError: nothing was ever held for it.
        ValueError: a charge below zero, or it is not settled.
    """
    journal = Journal.open(c, now)
    found = one_hold(c, subject)
    name = f"{subject.kind}:{subject.id}" + (f":{part}" if part else "")
    if found is None:
        raise LookupError(f"nothing is held for {subject.kind} {subject.id}")
    if charge < 0:
        raise ValueError(f"a charge of {charge} micro-credits: it is never below zero")
    if found.state != "settled" and not (part and journal.has(f"settle:{name}")):
        raise ValueError(f"{name} is not settled: it can be settled or decided, not corrected")
    was = settled(c, subject, part)
    used = _used(evidence or {}, was)
    more = charge - was.charged - was.absorbed
    if not more and not any(used.values()):
        return found
    key = f"adjust:{name}:{_number(c, subject)}"
    about = {**about_hold(found, part or "", evidence), **used, "by": by, "note": note}
    new = _more(journal, found, key, about, more) if more >= 0 else _less(journal, found, key, about, was, -more)
    journal.use(found, spent=new.charged - found.charged)
    return save(c, new)


def _used(evidence: Mapping[str, Any], was: Settled) -> dict[str, int]:
    """How much the use that is counted changes."""
    names = [name for name in ("core_seconds", "gpu_seconds") if evidence.get(name) is not None]
    return {name: int(evidence[name]) - getattr(was, name) for name in names}


def _number(c: Connection, subject: Subject) -> int:
    mine = (ledger_entries.c.subject == subject.id) & (ledger_entries.c.subject_kind == subject.kind)
    return 1 + int(c.scalar(select(func.count()).where(mine, ledger_entries.c.kind == "adjust")) or 0)


def _more(journal: Journal, found: Hold, key: str, about: Mapping[str, Any], more: int) -> Hold:
    own = {part.grant for part in found.parts if part.grant is not None}
    left = {purse.account: _left(purse.left, purse.grant.over(journal.now)) for purse in _purses(journal, own)}
    wanted, after = more, []
    moves: dict[int, int] = {journal.account("centre", found.centre): more}
    for part in found.parts:
        give = wanted if part.grant is None else min(wanted, left.get(part.account, 0))
        wanted -= give
        moves[part.account] = moves.get(part.account, 0) - give
        after.append(replace(part, charged=part.charged + give))
    moves[journal.gateway] = moves.get(journal.gateway, 0) - wanted
    moved = _of_grants(found.parts, moves)
    journal.write("adjust", key, moves, {**about, "charged": more - wanted, "absorbed": wanted, "moved": moved})
    return _changed(found, tuple(after), more - wanted, wanted)


def _less(journal: Journal, found: Hold, key: str, about: Mapping[str, Any], was: Settled, less: int) -> Hold:
    relieved = min(less, max(0, was.absorbed), found.absorbed)
    if less - relieved > found.charged:
        raise ValueError(f"{key} would give back more than was paid: it was corrected as a whole, and can be again")
    after = shares.uncharged(found.parts, less - relieved)
    moves = shares.by_account(found.parts, after, "charged")
    moves[journal.gateway] = moves.get(journal.gateway, 0) + relieved
    moves[journal.account("centre", found.centre)] = -less
    moved = _of_grants(found.parts, moves)
    journal.write("adjust", key, moves, {**about, "charged": relieved - less, "absorbed": -relieved, "moved": moved})
    sweep(journal, [part.grant for part in found.parts if part.grant is not None and part.account in moves], key)
    return _changed(found, after, relieved - less, -relieved)


def _changed(found: Hold, parts: tuple[Part, ...], charged: int, absorbed: int) -> Hold:
    return replace(found, parts=parts, charged=found.charged + charged, absorbed=found.absorbed + absorbed)


def _of_grants(parts: tuple[Part, ...], moves: Mapping[int, int]) -> int:
    return sum(moves.get(account, 0) for account in {part.account for part in parts if part.grant is not None})


def _purses(journal: Journal, own: set[int]) -> list[Any]:
    return list(purses(journal.c, grants.c.id.in_(own))) if own else []


def _left(left: int, over: bool) -> int:
    return 0 if over else left


__all__ = ["Settled", "adjust", "settled"]
