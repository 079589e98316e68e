"""What reconciling reads from the store, and the reports that it leaves there. Functions of a connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from perijove.hub.broker.store import clusters, sessions, worker_jobs, workers
from perijove.hub.ledger.holding import one_hold
from perijove.hub.ledger.reconcile import Difference, Ours
from perijove.hub.ledger.records import Subject
from perijove.hub.ledger.tables import differences, holds, ledger_entries, reconciliations
from perijove.spawners.link import Account
from sqlalchemy import Connection, func, insert, select, update

#: What a report says of itself. `partial`: nothing differs, but the centre told of some jobs only.
RUNNING, SOUND, PARTIAL, DIFFERS, FAILED = "running", "sound", "partial", "differences", "failed"
OF_SESSION = ("session", "warm")


@dataclass(frozen=True, slots=True)
class Mine:
    """Our side of a window: jobs that ended in it, and the accounts that they ran under."""

    jobs: tuple[Ours, ...]
    accounts: tuple[Account, ...]


def mine(c: Connection, centre: str, since: datetime, until: datetime) -> Mine:
    """The jobs of a centre that ended from `since` until before `until`."""
    ended = (sessions.c.ended >= since) & (sessions.c.ended < until) & sessions.c.job_id.is_not(None)
    query = select(sessions).where(sessions.c.centre == centre, ended)
    found: list[Ours] = []
    accounts: list[Account] = []
    for row in c.execute(query):
        accounts.append(Account(**row.account))
        seconds = _charged(c, OF_SESSION, row.id) // max(row.cores, 1)
        subject, unknown = _session(c, row.id)
        if subject is not None:  # older than the ledger otherwise
            found.append(Ours(subject, row.job_id, None, seconds, row.ended, unknown, row.cores, row.gpus))
    joined = workers.join(worker_jobs, worker_jobs.c.id == workers.c.job)
    joined = joined.join(clusters, clusters.c.id == worker_jobs.c.cluster)
    columns = (workers.c.task, workers.c.ended, worker_jobs.c.id, worker_jobs.c.job_id, worker_jobs.c.array)
    theirs = select(*columns, clusters.c.cores, clusters.c.gpus, clusters.c.account).select_from(joined)
    over = (workers.c.ended >= since) & (workers.c.ended < until) & worker_jobs.c.job_id.is_not(None)
    for row in c.execute(theirs.where(clusters.c.centre == centre, over)):
        accounts.append(Account(**row.account))
        subject = Subject("workers", row.id)
        hold = one_hold(c, subject)
        if hold is None:
            continue
        part, task = str(row.task), row.task if row.array else None
        settled = _settled(c, row.id, part)
        seconds = _charged(c, ("workers",), row.id, part) // max(row.cores, 1)
        unknown = hold.state == "undecided" and not settled
        found.append(Ours(subject, row.job_id, task, seconds, row.ended, unknown, row.cores, row.gpus))
    return Mine(tuple(found), tuple(dict.fromkeys(accounts)))


def known(c: Connection, subjects: Iterable[str]) -> set[str]:
    """Of these sessions and worker jobs, `subject/number` of those whose job the store has."""
    wanted = list(set(subjects))
    found: set[str] = set()
    for table in (sessions, worker_jobs):
        for first in range(0, len(wanted), 500):
            some = table.c.id.in_(wanted[first : first + 500])
            rows = c.execute(select(table.c.id, table.c.job_id).where(some, table.c.job_id.is_not(None)))
            found |= {f"{row.id}/{row.job_id}" for row in rows}
    return found


def _session(c: Connection, session: str) -> tuple[Subject | None, bool]:
    """What the ledger calls a session at its end, and whether nobody knows what that cost."""
    for kind in OF_SESSION:
        if (hold := one_hold(c, Subject(kind, session))) is not None:
            return hold.about, hold.state == "undecided"
    return None, False


def _charged(c: Connection, kinds: Iterable[str], subject: str, part: str | None = None) -> int:
    """Core-seconds that the books have of it."""
    query = select(func.coalesce(func.sum(ledger_entries.c.core_seconds), 0))
    query = query.where(ledger_entries.c.subject == subject, ledger_entries.c.subject_kind.in_(list(kinds)))
    return int(c.scalar(query if part is None else query.where(ledger_entries.c.part == part)) or 0)


def _settled(c: Connection, subject: str, part: str) -> bool:
    key = f"settle:workers:{subject}:{part}"
    return c.scalar(select(ledger_entries.c.id).where(ledger_entries.c.key == key)) is not None


def oldest_undecided(c: Connection, centre: str) -> datetime | None:
    """When the oldest hold at a centre was made of which nobody knows what it cost."""
    query = select(func.min(holds.c.created)).where(holds.c.centre == centre, holds.c.state == "undecided")
    when: datetime | None = c.scalar(query)
    return when


# --- reports -------------------------------------------------------------------------------------------------------


def begin(c: Connection, centre: str, day: date, now: datetime) -> int:
    """A new report, that is being made; its number."""
    row = {"centre": centre, "day": day, "begun": now, "jobs_ours": 0, "jobs_theirs": 0, "state": RUNNING, "detail": ""}
    return int((c.execute(insert(reconciliations).values(**row)).inserted_primary_key or (0,))[0])


def finish(c: Connection, report: int, now: datetime, state: str, detail: str, ours: int = 0, theirs: int = 0) -> None:
    """The report is made, or could not be."""
    values = {"ended": now, "state": state, "detail": detail[:2000], "jobs_ours": ours, "jobs_theirs": theirs}
    c.execute(update(reconciliations).where(reconciliations.c.id == report).values(**values))


def note(c: Connection, report: int, found: Iterable[tuple[Difference, str | None]], now: datetime) -> None:
    """Differences of a report, each with who has decided it already."""
    for one, by in found:
        row: dict[str, Any] = {"reconciliation": report, "kind": one.kind, "job_id": one.job_id[:160]}
        row |= {"subject_kind": one.subject.kind, "subject": one.subject.id, "detail": one.detail[:500]}
        row |= {"ours": one.ours, "theirs": one.theirs, "decided_by": by, "decided": now if by else None}
        c.execute(insert(differences).values(**row))


def done(c: Connection, centre: str, day: date, now: datetime, again: timedelta) -> bool:
    """Whether a day of a centre needs no report: there is one, or it failed or was begun a short while ago."""
    query = select(reconciliations).where(reconciliations.c.centre == centre, reconciliations.c.day == day)
    for row in c.execute(query):
        whole = row.begun.date() > day  # one that was made before the day was over says nothing of the rest of it
        if row.begun > now - again or (whole and row.state in (SOUND, PARTIAL, DIFFERS)):
            return True
    return False


def listing(c: Connection, centre: str | None, limit: int = 100) -> list[dict[str, Any]]:
    """Reports, the newest first, each with its differences."""
    query = select(reconciliations).order_by(reconciliations.c.id.desc()).limit(limit)
    query = query if centre is None else query.where(reconciliations.c.centre == centre)
    rows = [dict(row._mapping) for row in c.execute(query)]
    by_report: dict[int, list[dict[str, Any]]] = {row["id"]: [] for row in rows}
    wanted = select(differences).where(differences.c.reconciliation.in_(list(by_report))).order_by(differences.c.id)
    for one in c.execute(wanted):
        by_report[one.reconciliation].append(_shown(dict(one._mapping)))
    return [_shown(row) | {"differences": by_report[row["id"]]} for row in rows]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, date | datetime) else value for key, value in row.items()}


__all__ = [
    "DIFFERS",
    "FAILED",
    "PARTIAL",
    "RUNNING",
    "SOUND",
    "Mine",
    "begin",
    "done",
    "finish",
    "known",
    "listing",
    "mine",
    "note",
    "oldest_undecided",
]
