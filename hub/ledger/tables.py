"""The ledger's tables. Money is whole micro-credits everywhere; times are UTC.

Nothing is ever removed from entries and postings: what was wrong is corrected by another entry. `balance`, `held` and
`spent` are sums that are kept beside what they are sums of; `perijove.hub.ledger.books.check` compares them.
"""

from __future__ import annotations

from perijove.hub.broker.store import Moment, metadata
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

#: SQLite counts only an INTEGER PRIMARY KEY by itself.
_Number = BigInteger().with_variant(Integer(), "sqlite")
_Budget = String(300)
_Person = String(255)

budgets = Table(
    "budgets",
    metadata,
    #: `person:NAME`, `project:SLUG` or `course:SLUG`.
    Column("key", _Budget, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("title", String(200), nullable=False),
    Column("created", Moment, nullable=False),
    Column("closed", Moment),
    #: A person's, that has had its starting grant.
    Column("starting", Boolean, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("budget", _Budget, ForeignKey("budgets.key"), primary_key=True),
    Column("person", _Person, primary_key=True),
    Column("role", String(16), nullable=False),
    #: The most that the person may ever have spent and on hold of it.
    Column("limit", BigInteger),
    Column("joined", Moment, nullable=False),
    Column("left", Moment),
    Index("ix_members_person", "person"),
)

centre_limits = Table(
    "centre_limits",
    metadata,
    Column("budget", _Budget, ForeignKey("budgets.key"), primary_key=True),
    #: Empty: of all together.
    Column("person", _Person, primary_key=True),
    Column("centre", String(32), primary_key=True),
    Column("limit", BigInteger, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("budget", _Budget, ForeignKey("budgets.key"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("starts", Moment, nullable=False),
    Column("ends", Moment),
    Column("by", _Person, nullable=False),
    Column("note", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("expired", Moment),
    Column("withdrawn", Moment),
    Column("withdrawn_by", _Person),
    Index("ix_grants_budget", "budget"),
    Index("ix_grants_expired_ends", "expired", "ends"),
    sqlite_autoincrement=True,
)

ledger_accounts = Table(
    "ledger_accounts",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    #: `held`, `source` and `gateway` (the migration makes them), `grant:ID`, `centre:NAME`.
    Column("key", String(64), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("grant", _Number, ForeignKey("grants.id"), unique=True),
    #: The sum of its postings.
    Column("balance", BigInteger, nullable=False),
)

prices = Table(
    "prices",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("centre", String(32), nullable=False),
    Column("queue", String(32), nullable=False),
    Column("valid_from", Moment, nullable=False),
    #: Micro-credits an hour of a core, of a GPU, of a GiB.
    Column("core_hour", BigInteger, nullable=False),
    Column("gpu_hour", BigInteger, nullable=False),
    Column("memory_hour", BigInteger, nullable=False),
    Index("ix_prices_queue", "centre", "queue", "valid_from"),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    #: What it is the entry of: a second one of the same key cannot be.
    Column("key", String(400), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("time", Moment, nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("part", String(32), nullable=False),
    #: Empty: the gateway's own.
    Column("budget", _Budget, nullable=False),
    Column("person", _Person, nullable=False),
    Column("centre", String(32), nullable=False),
    Column("queue", String(32), nullable=False),
    Column("grant", _Number, ForeignKey("grants.id")),
    Column("price_version", _Number, ForeignKey("prices.id")),
    #: What it changes: the money of the budget's grants, what the budget has spent, what the gateway paid instead,
    #: and the use that was paid for. The centre's income grows by `charged` and `absorbed`.
    Column("moved", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    Column("absorbed", BigInteger, nullable=False),
    Column("core_seconds", BigInteger, nullable=False),
    Column("gpu_seconds", BigInteger, nullable=False),
    Column("by", _Person, nullable=False),
    Column("note", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Index("ix_ledger_entries_budget", "budget", "id"),
    Index("ix_ledger_entries_person", "person", "id"),
    Index("ix_ledger_entries_centre", "centre", "id"),
    Index("ix_ledger_entries_subject", "subject", "subject_kind"),
    Index("ix_ledger_entries_time", "kind", "time"),
    sqlite_autoincrement=True,
)

ledger_postings = Table(
    "ledger_postings",
    metadata,
    Column("entry", _Number, ForeignKey("ledger_entries.id"), primary_key=True, autoincrement=False),
    Column("account", _Number, ForeignKey("ledger_accounts.id"), primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
    Index("ix_ledger_postings_account", "account"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    #: Empty: the gateway pays.
    Column("budget", _Budget, nullable=False),
    Column("person", _Person, nullable=False),
    Column("centre", String(32), nullable=False),
    Column("queue", String(32), nullable=False),
    #: Micro-credits an hour of one of them, and how many there are.
    Column("hourly", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("price_version", _Number, ForeignKey("prices.id")),
    Column("amount", BigInteger, nullable=False),
    Column("parts", JSON, nullable=False),
    Column("open", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    #: What the gateway paid the centre beyond it.
    Column("absorbed", BigInteger, nullable=False),
    #: How many of `count` are settled.
    Column("done", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("why", Text, nullable=False),
    Column("ends", Moment),
    Column("created", Moment, nullable=False),
    Column("settled", Moment),
    UniqueConstraint("kind", "subject"),
    Index("ix_holds_budget_state", "budget", "state"),
    Index("ix_holds_person_state", "person", "state"),
    Index("ix_holds_state", "state"),
)

#: What is on hold and spent, summed up: what limits and balances ask for, however long the history.
uses = Table(
    "uses",
    metadata,
    Column("budget", _Budget, primary_key=True),
    Column("person", _Person, primary_key=True),
    Column("centre", String(32), primary_key=True),
    Column("held", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
)

refusals = Table(
    "refusals",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("time", Moment, nullable=False),
    Column("person", _Person, nullable=False),
    Column("budget", _Budget, nullable=False),
    Column("centre", String(32), nullable=False),
    Column("queue", String(32), nullable=False),
    Column("code", String(40), nullable=False),
    #: Micro-credits, where it was for money.
    Column("missing", BigInteger),
    Index("ix_refusals_time", "time"),
)

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("centre", String(32), nullable=False),
    Column("day", Date, nullable=False),
    Column("begun", Moment, nullable=False),
    Column("ended", Moment),
    Column("jobs_ours", Integer, nullable=False),
    Column("jobs_theirs", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    #: Why it could not be, or what is to be said of it.
    Column("detail", Text, nullable=False),
    Index("ix_reconciliations_centre_day", "centre", "day"),
)

differences = Table(
    "differences",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("reconciliation", _Number, ForeignKey("reconciliations.id"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("job_id", String(160), nullable=False),
    #: Seconds; none where one side does not know the job.
    Column("ours", BigInteger),
    Column("theirs", BigInteger),
    Column("detail", Text, nullable=False),
    Column("decided_by", _Person),
    Column("decided", Moment),
    Index("ix_differences_reconciliation", "reconciliation"),
)

__all__ = [
    "budgets",
    "centre_limits",
    "differences",
    "grants",
    "holds",
    "ledger_accounts",
    "ledger_entries",
    "ledger_postings",
    "members",
    "prices",
    "reconciliations",
    "refusals",
    "uses",
]
