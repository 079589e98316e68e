"""A session as the store has it; what is done to it is a `Change` of values with the events that tell of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from perijove.hub.broker import store
from perijove.spawners.job import job_name
from perijove.spawners.link import Account
from perijove.spawners.session import Stage
from sqlalchemy import Row


@dataclass(frozen=True, slots=True)
class Record:
    """One row of `sessions`; immutable, replaced with every change. Memory in MiB, walltime in seconds."""

    id: str
    owner: str
    server: str
    live: bool | None
    kind: str
    centre: str
    queue: str
    request: Mapping[str, Any]
    cores: int
    memory: int
    gpus: int
    walltime: int
    price: int
    account: Mapping[str, str]
    created: datetime
    stage: Stage = Stage.CHECKED
    reason: str = ""
    raw_reason: str = ""
    detail: str = ""
    job_id: str | None = None
    node: str | None = None
    restarts: int = 0
    #: Public halves, the newest first and the one before, a line each; private halves are in the job's hands alone.
    host_key: str = ""
    #: The job has the private half of `host_key`.
    handed: bool = False
    #: How many times a submission was begun, and when the one began whose answer is not known.
    attempt: int = 0
    attempted: datetime | None = None
    local_port: int | None = None
    prefix: str = ""
    connected: bool = False
    unknown_since: datetime | None = None
    submitted: datetime | None = None
    started: datetime | None = None
    ready: datetime | None = None
    ended: datetime | None = None
    ends_by: datetime | None = None
    expected: datetime | None = None
    asked_by: str | None = None
    asked_at: datetime | None = None
    outcome: str | None = None
    exit_code: int | None = None
    core_seconds: int | None = None
    log_tail: str = ""
    hub_cleared: bool = False
    forgotten: bool = False
    last_event: int = 0
    #: What was known of the queue when it was asked for, and the forecast that was given (see `perijove.hub.offers`).
    situation: Mapping[str, Any] | None = None
    forecast: Mapping[str, Any] | None = None
    #: When its person took it over, of a session that was kept warm for nobody (`perijove.hub.broker.warm`).
    taken: datetime | None = None

    @classmethod
    def of(cls, row: Row[Any]) -> Record:
        """From a row of the store."""
        values = dict(row._mapping)
        return cls(**values | {"stage": Stage(values["stage"])})

    @property
    def job(self) -> str:
        """The name of its job."""
        return job_name(self.id)

    @property
    def warm(self) -> bool:
        """It is kept for whoever opens an app next, and is nobody's yet."""
        return not self.owner

    @property
    def login(self) -> Account:
        """Whose account its job runs under."""
        return Account(**self.account)

    @property
    def over(self) -> bool:
        """Ended, and nothing more is to be done for it."""
        return self.stage is Stage.ENDED and self.hub_cleared and self.forgotten

    def row(self) -> dict[str, Any]:
        """Its values for the store."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened, to be kept as an event: a code of `perijove.hub.broker.events`, and its values."""

    code: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, code: str, **values: Any) -> News:
        """A shorthand."""
        return cls(code, values)


@dataclass(frozen=True, slots=True)
class Change:
    """New values of a record, and the news of it."""

    values: Mapping[str, Any]
    news: tuple[News, ...] = ()
    #: Of an end: nobody says when or how it came, so that what it cost is not known yet.
    unknown: bool = False


#: A pure function of the record as it is when the change is made: it is run inside the transaction.
Transition = Callable[[Record], Change | None]

SESSION_COLUMNS = tuple(column.name for column in store.sessions.columns)
