"""What may become of a session: pure functions from the record as it is to the change that is made to it.

They run inside the store's transaction, so a step that was decided on an older view of the session (somebody asked to
stop it meanwhile) cannot undo what happened since: each says for which stages it holds, and does nothing otherwise.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from perijove.hub.broker.charges import times
from perijove.hub.broker.config import TAIL_CHARACTERS, TAIL_LINES
from perijove.hub.broker.records import Change, News, Record, Transition
from perijove.spawners.job import JobStatus, Reason
from perijove.spawners.session import Stage

_WITH_JOB = (Stage.SUBMITTED, Stage.QUEUED, Stage.GRANTED, Stage.STARTING, Stage.READY)


def attempting(host_key: str, now: datetime) -> Transition:
    """A submission is about to be made, with this public host key."""

    def to(record: Record) -> Change | None:
        if record.stage is not Stage.CHECKED or record.attempted is not None:
            return None
        values = {"host_key": _keys(host_key, record), "handed": False, "attempt": record.attempt + 1, "attempted": now}
        return Change(values, (News.of("submitting", centre=record.centre),))

    return to


def attempt_over(detail: str, code: str, reason: str = "") -> Transition:
    """Certain: no job came of the attempt; it may be made again."""

    def to(record: Record) -> Change | None:
        if record.attempted is None:
            return None
        told = () if record.detail == detail else (News.of(code, detail=detail),)
        return Change({"attempted": None, "detail": detail, "raw_reason": reason}, told)

    return to


def in_doubt(detail: str) -> Transition:
    """The answer to the attempt did not come."""

    def to(record: Record) -> Change | None:
        if record.attempted is None or record.job_id is not None:
            return None
        told = () if record.detail == detail else (News.of("answer-lost", detail=detail),)
        return Change({"detail": detail}, told)

    return to


def submitted(job_id: str, now: datetime, *, found: bool = False, hand_again: bool = False) -> Transition:
    """The batch system has the job. Also true of a session that is to be stopped."""

    def to(record: Record) -> Change | None:
        if record.stage is Stage.ENDED or record.job_id == job_id:
            return None
        values: dict[str, Any] = {"job_id": job_id, "attempted": None, "detail": "", "raw_reason": ""}
        values |= {"submitted": record.submitted or now, "handed": not hand_again}
        if record.stage is Stage.CHECKED:
            values["stage"] = Stage.SUBMITTED
        return Change(values, (News.of("found" if found else "submitted", job_id=job_id),))

    return to


def listed(job: JobStatus) -> Transition:
    """The batch system lists the job as waiting."""

    def to(record: Record) -> Change | None:
        if record.stage not in (Stage.SUBMITTED, Stage.QUEUED):
            return None
        values: dict[str, Any] = {}
        for key, value in (("reason", job.reason.value), ("raw_reason", job.raw[:200]), ("expected", job.expected)):
            if getattr(record, key) != value:
                values[key] = value
        told: tuple[News, ...] = ()
        words = {"reason": job.reason.value or "none", "queue": record.queue}
        if record.stage is Stage.SUBMITTED:
            values["stage"] = Stage.QUEUED
            told = (News.of("queued", **words),)
        elif "reason" in values:
            told = (News.of("waiting", **words),)
        return Change(values, told) if values else None

    return to


def granted(job: JobStatus, now: datetime) -> Transition:
    """The job has its node."""

    def to(record: Record) -> Change | None:
        if record.stage not in (Stage.SUBMITTED, Stage.QUEUED) or not job.node:
            return None
        started = job.started or now
        values = {"stage": Stage.GRANTED, "node": job.node[:255], "started": started, "reason": "", "raw_reason": ""}
        values |= {"ends_by": started + timedelta(seconds=record.walltime), "detail": ""}
        return Change(values, (News.of("granted", node=job.node[:255]),))

    return to


def requeued(job: JobStatus) -> Transition:
    """The job runs anew, or is to: it has lost its node, its key and its environment."""

    def to(record: Record) -> Change | None:
        if record.stage not in _WITH_JOB:
            return None
        values: dict[str, Any] = {"stage": Stage.QUEUED, "node": None, "started": None, "ends_by": None, "ready": None}
        values |= {"connected": False, "handed": False, "restarts": job.restarts, "reason": Reason.REQUEUED.value}
        return Change(values, (News.of("requeued"),))

    return to


def restarts_seen(job: JobStatus) -> Transition:
    """Remember how often the batch system says that it started the job."""
    return lambda record: Change({"restarts": job.restarts}) if record.restarts != job.restarts else None


def key_made(host_key: str) -> Transition:
    """A fresh key is about to be handed to the job."""
    return lambda record: None if record.handed else Change({"host_key": _keys(host_key, record)})


def key_handed(host_key: str) -> Transition:
    """The job has the private half of `host_key`."""
    mine = f"{host_key}\n"
    return lambda record: Change({"handed": True}) if record.host_key.startswith(mine) and not record.handed else None


def _keys(new: str, record: Record) -> str:
    """The new public key, and the one before: a job may have started with that one while it was being replaced."""
    return "\n".join([new, *record.host_key.split("\n")[:1]])


def key_lost() -> Transition:
    """Another job took the key that was meant for the session's."""
    return lambda record: Change({"handed": False}) if record.handed else None


def starting() -> Transition:
    """The agent answered."""

    def to(record: Record) -> Change | None:
        if record.stage is not Stage.GRANTED:
            return None
        return Change(
            {"stage": Stage.STARTING, "connected": True, "detail": ""}, (News.of("starting", node=record.node),)
        )

    return to


def ready(now: datetime) -> Transition:
    """The server answers."""

    def to(record: Record) -> Change | None:
        if record.stage is not Stage.STARTING:
            return None
        return Change({"stage": Stage.READY, "ready": now, "connected": True, "detail": ""}, (News.of("ready"),))

    return to


def connection(up: bool) -> Transition:
    """The tunnel came up or went down."""

    def to(record: Record) -> Change | None:
        if record.connected == up or record.stage not in (Stage.STARTING, Stage.READY, Stage.ENDING):
            return None
        told = News.of("connection-back" if up else "connection-lost")
        return Change({"connected": up}, (told,) if record.stage is Stage.READY else ())

    return to


def trouble(detail: str, code: str, **values: Any) -> Transition:
    """Something does not work now; said once for each new `detail`."""

    def to(record: Record) -> Change | None:
        if record.stage is Stage.ENDED or record.detail == detail:
            return None
        return Change({"detail": detail}, (News.of(code, detail=detail, **values),))

    return to


def silent(since: datetime, detail: str) -> Transition:
    """The centre does not answer: nothing is known of its sessions since then."""

    def to(record: Record) -> Change | None:
        if record.stage is Stage.ENDED or record.unknown_since is not None:
            return None
        return Change({"unknown_since": since}, (News.of("centre-silent", centre=record.centre, detail=detail),))

    return to


def answers_again() -> Transition:
    """The centre answers."""

    def to(record: Record) -> Change | None:
        if record.unknown_since is None:
            return None
        return Change({"unknown_since": None}, (News.of("centre-back", centre=record.centre),))

    return to


def stop_asked(by: str, now: datetime) -> Transition:
    """Somebody asked that the session be stopped."""

    def to(record: Record) -> Change | None:
        if record.stage in (Stage.ENDING, Stage.ENDED):
            return None
        values = {"stage": Stage.ENDING, "live": None, "asked_by": by, "asked_at": now}
        return Change(values, (News.of("stop-asked", by=by),))

    return to


def gave_up(detail: str, now: datetime) -> Transition:
    """Stated policy: a session that does not come up in time is stopped."""

    def to(record: Record) -> Change | None:
        if record.stage not in (Stage.GRANTED, Stage.STARTING):
            return None
        values = {"stage": Stage.ENDING, "live": None, "asked_by": "policy", "asked_at": now}
        values |= {"outcome": Reason.LAUNCH_FAILED.value, "detail": detail}
        return Change(values, (News.of("gave-up", detail=detail),))

    return to


def ended(
    outcome: Reason,
    now: datetime,
    *,
    detail: str = "",
    tail: str = "",
    job: JobStatus | None = None,
    unknown: bool = False,
) -> Transition:
    """Positive evidence of the end; `unknown`: nobody says when it came. An outcome decided before (policy) stays."""

    def to(record: Record) -> Change | None:
        if record.stage is Stage.ENDED:
            return None
        final = record.outcome or outcome.value
        why = detail or (record.detail if record.outcome else "")
        values: dict[str, Any] = {"stage": Stage.ENDED, "live": None, "local_port": None, "connected": False}
        values |= {"outcome": final, "detail": why[:2000], "log_tail": bounded_tail(tail) or record.log_tail}
        begun, end = times(job, record.started, record.cores, now)
        values |= {"started": begun, "ended": end, "unknown_since": None, "attempted": None}
        # Nothing to remove at the centre where nothing was ever tried.
        values["forgotten"] = record.attempt == 0
        if job is not None:
            values |= {"exit_code": job.exit_code, "core_seconds": job.core_seconds, "raw_reason": job.raw[:200]}
        return Change(values, (News.of("ended", outcome=final, detail=why[:500]),), unknown=unknown)

    return to


def bounded_tail(text: str) -> str:
    """The last lines of a job's log, of bounded length, without control characters."""
    lines = text[-TAIL_CHARACTERS * 4 :].splitlines()[-TAIL_LINES:]
    clean = ("".join(c if c.isprintable() or c == "\t" else "?" for c in line) for line in lines)
    return "\n".join(clean)[-TAIL_CHARACTERS:]
