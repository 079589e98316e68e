"""The broker's tables. No secret of a session is in any of them.

Times are UTC; `Moment` keeps them as such in every database. `live` and `local_port` are NULL once they no longer
count, so that plain unique constraints say "one live session per server" and "one session per local port" in SQLite
and PostgreSQL alike.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class Moment(TypeDecorator[datetime]):
    """An aware time, kept as UTC without a zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else value.replace(tzinfo=UTC)


#: Constraints have names of their own, so that a migration can change them in every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
#: SQLite counts only an INTEGER PRIMARY KEY by itself.
_Number = BigInteger().with_variant(Integer(), "sqlite")

gateway = Table(
    "gateway",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("tag", String(8), nullable=False),
    Column("created", Moment, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("server", String(255), nullable=False),
    Column("live", Boolean),
    Column("kind", String(32), nullable=False),
    Column("centre", String(32), nullable=False),
    Column("queue", String(32), nullable=False),
    Column("request", JSON, nullable=False),
    Column("cores", Integer, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("walltime", Integer, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("account", JSON, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("raw_reason", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    Column("job_id", String(128)),
    Column("node", String(255)),
    Column("restarts", Integer, nullable=False),
    Column("host_key", String(200), nullable=False),
    Column("handed", Boolean, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("attempted", Moment),
    Column("local_port", Integer, unique=True),
    Column("prefix", String(1000), nullable=False),
    Column("connected", Boolean, nullable=False),
    Column("unknown_since", Moment),
    Column("created", Moment, nullable=False),
    Column("submitted", Moment),
    Column("started", Moment),
    Column("ready", Moment),
    Column("ended", Moment),
    Column("ends_by", Moment),
    Column("expected", Moment),
    Column("asked_by", String(255)),
    Column("asked_at", Moment),
    Column("outcome", String(32)),
    Column("exit_code", Integer),
    Column("core_seconds", BigInteger),
    Column("log_tail", Text, nullable=False),
    Column("hub_cleared", Boolean, nullable=False),
    Column("forgotten", Boolean, nullable=False),
    Column("last_event", _Number, nullable=False),
    Column("situation", JSON(none_as_null=True)),
    Column("forecast", JSON(none_as_null=True)),
    Column("taken", Moment),
    UniqueConstraint("owner", "server", "live"),
    Index("ix_sessions_owner_created", "owner", "created"),
    Index("ix_sessions_centre_stage", "centre", "stage"),
    Index("ix_sessions_ended", "ended"),
    Index("ix_sessions_history", "centre", "queue", "submitted"),
)

events = Table(
    "events",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("session", String(32), ForeignKey("sessions.id"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("code", String(40), nullable=False),
    Column("values", JSON, nullable=False),
    Index("ix_events_session_id", "session", "id"),
    sqlite_autoincrement=True,
)

leases = Table(
    "leases",
    metadata,
    Column("centre", String(32), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until", Moment, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("centre", String(32), primary_key=True),
    Column("owner", String(255), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("key_name", String(80), nullable=False),
    Column("public_key", String(500), nullable=False),
    Column("by", String(255), nullable=False),
    Column("created", Moment, nullable=False),
    Column("checked", Moment),
    Column("problem", String(500), nullable=False),
)

drains = Table(
    "drains",
    metadata,
    Column("centre", String(32), primary_key=True),
    Column("by", String(255), nullable=False),
    Column("since", Moment, nullable=False),
    Column("note", String(500), nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("centre", String(32), primary_key=True),
    Column("en", String(1000), nullable=False),
    Column("zh", String(1000), nullable=False),
    Column("level", String(16), nullable=False),
    Column("by", String(255), nullable=False),
    Column("since", Moment, nullable=False),
)

clusters = Table(
    "clusters",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("name", String(32), nullable=False),
    Column("live", Boolean),
    #: The session in whose job its head is; no foreign key: a session may be removed before its cluster.
    Column("session", String(32), nullable=False),
    Column("server", String(255), nullable=False),
    Column("beside", Boolean, nullable=False),
    Column("centre", String(32), nullable=False),
    Column("queue", String(32), nullable=False),
    Column("cores", Integer, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("walltime", Integer, nullable=False),
    Column("project", String(64)),
    Column("price", BigInteger, nullable=False),
    Column("account", JSON, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("report", JSON(none_as_null=True)),
    Column("seen", Moment),
    Column("created", Moment, nullable=False),
    Column("closed_by", String(255)),
    Column("closed", Moment),
    Column("ended", Moment),
    Column("outcome", String(32)),
    Column("forgotten", Boolean, nullable=False),
    UniqueConstraint("owner", "name", "live"),
    Index("ix_clusters_session", "session"),
    Index("ix_clusters_centre_forgotten", "centre", "forgotten"),
    Index("ix_clusters_ended", "ended"),
)

worker_jobs = Table(
    "worker_jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("cluster", String(32), ForeignKey("clusters.id"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("part", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("array", Boolean, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("tariff", JSON, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("attempted", Moment),
    Column("job_id", String(128)),
    Column("detail", Text, nullable=False),
    Column("unknown_since", Moment),
    Column("created", Moment, nullable=False),
    Column("submitted", Moment),
    Column("ended", Moment),
    Column("forgotten", Boolean, nullable=False),
    UniqueConstraint("cluster", "key", "part"),
)

workers = Table(
    "workers",
    metadata,
    Column("job", String(32), ForeignKey("worker_jobs.id"), primary_key=True),
    Column("task", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("wanted", Boolean, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("raw_reason", String(200), nullable=False),
    Column("detail", Text, nullable=False),
    Column("node", String(255)),
    Column("job_id", String(160)),
    Column("restarts", Integer, nullable=False),
    Column("expected", Moment),
    Column("started", Moment),
    Column("ends_by", Moment),
    Column("ended", Moment),
    Column("exit_code", Integer),
    Column("core_seconds", BigInteger),
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("from_centre", String(32), nullable=False),
    Column("from_path", Text, nullable=False),
    Column("to_centre", String(32), nullable=False),
    Column("to_path", Text, nullable=False),
    #: The gateway's own directories at the centres may be read and written: never for what a person names.
    Column("ours", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("total", BigInteger),
    Column("mtime", Double),
    Column("moved", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("code", String(40), nullable=False),
    Column("detail", String(500), nullable=False),
    Column("created", Moment, nullable=False),
    Column("ended", Moment),
    Index("ix_transfers_owner_created", "owner", "created"),
    Index("ix_transfers_state", "state"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("key", String(64), nullable=False),
    Column("app", String(32), nullable=False),
    Column("app_version", String(40), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("title", JSON, nullable=False),
    Column("label", String(200), nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("language", String(8), nullable=False),
    Column("needs", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("wanted", String(16)),
    Column("asked_by", String(255)),
    Column("problem", JSON(none_as_null=True)),
    Column("progress", Float, nullable=False),
    Column("report", JSON(none_as_null=True)),
    Column("folder", String(1000), nullable=False),
    Column("seen", Moment),
    Column("version", BigInteger, nullable=False),
    Column("own_session", Boolean, nullable=False),
    #: What its own session is asked for with.
    Column("request", JSON, nullable=False),
    #: Sessions that were opened for it, or begun to be; and how often it went on by itself.
    Column("attempt", Integer, nullable=False),
    Column("resumed", Integer, nullable=False),
    #: No foreign key: a session may be removed before its run.
    Column("session", String(32)),
    Column("server", String(255), nullable=False),
    Column("centre", String(32), nullable=False),
    Column("queue", String(32), nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("most", BigInteger),
    Column("settled", Boolean, nullable=False),
    Column("created", Moment, nullable=False),
    Column("started", Moment),
    Column("ended", Moment),
    Column("parent", String(32)),
    Column("relation", String(16)),
    Column("agreement", JSON(none_as_null=True)),
    #: Files of the person that are brought from other centres before its session is opened; see `runstaging`.
    Column("staging", JSON(none_as_null=True)),
    UniqueConstraint("owner", "key"),
    Index("ix_runs_owner_created", "owner", "created"),
    Index("ix_runs_app_ended", "app", "ended"),
    Index("ix_runs_settled", "settled"),
    Index("ix_runs_session", "session"),
    Index("ix_runs_parent", "parent"),
)

run_files = Table(
    "run_files",
    metadata,
    Column("run", String(32), ForeignKey("runs.id"), primary_key=True),
    Column("file", String(300), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("media", String(100), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("kept", Moment, nullable=False),
)

shares = Table(
    "shares",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("run", String(32), ForeignKey("runs.id"), nullable=False),
    #: The hash of the link's token: the store does not have the token.
    Column("token", String(64), nullable=False, unique=True),
    Column("mode", String(8), nullable=False),
    Column("by", String(255), nullable=False),
    Column("created", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Column("revoked", Moment),
    Index("ix_shares_run", "run"),
)

app_places = Table(
    "app_places",
    metadata,
    Column("centre", String(32), primary_key=True),
    Column("app", String(32), primary_key=True),
    #: For whom this counts: "" is everybody, for a word of the operators or of the gateway's own look.
    Column("person", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("found", JSON, nullable=False),
    Column("by", String(255), nullable=False),
    Column("seen", Moment, nullable=False),
)

__all__ = [
    "Moment",
    "app_places",
    "clusters",
    "drains",
    "events",
    "gateway",
    "identities",
    "leases",
    "metadata",
    "notices",
    "run_files",
    "runs",
    "sessions",
    "shares",
    "transfers",
    "worker_jobs",
    "workers",
]
