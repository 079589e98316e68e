"""The ledger: budgets, grants, holds, journal, prices, and what reconciliation found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "budgets",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("closed", sa.DateTime()),
        sa.Column("starting", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_budgets")),
    )
    op.create_table(
        "prices",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("valid_from", sa.DateTime(), nullable=False),
        sa.Column("core_hour", sa.BigInteger(), nullable=False),
        sa.Column("gpu_hour", sa.BigInteger(), nullable=False),
        sa.Column("memory_hour", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
    )
    op.create_index("ix_prices_queue", "prices", ["centre", "queue", "valid_from"])
    op.create_table(
        "reconciliations",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("begun", sa.DateTime(), nullable=False),
        sa.Column("ended", sa.DateTime()),
        sa.Column("jobs_ours", sa.Integer(), nullable=False),
        sa.Column("jobs_theirs", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations")),
    )
    op.create_index("ix_reconciliations_centre_day", "reconciliations", ["centre", "day"])
    op.create_table(
        "refusals",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("budget", sa.String(length=300), nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("missing", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusals")),
    )
    op.create_index("ix_refusals_time", "refusals", ["time"])
    op.create_table(
        "uses",
        sa.Column("budget", sa.String(length=300), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("budget", "person", "centre", name=op.f("pk_uses")),
    )
    op.create_table(
        "centre_limits",
        sa.Column("budget", sa.String(length=300), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("limit", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["budget"], ["budgets.key"], name=op.f("fk_centre_limits_budget")),
        sa.PrimaryKeyConstraint("budget", "person", "centre", name=op.f("pk_centre_limits")),
    )
    op.create_table(
        "differences",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("reconciliation", NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject_kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=160), nullable=False),
        sa.Column("ours", sa.BigInteger()),
        sa.Column("theirs", sa.BigInteger()),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.String(length=255)),
        sa.Column("decided", sa.DateTime()),
        sa.ForeignKeyConstraint(["reconciliation"], ["reconciliations.id"], name=op.f("fk_differences_reconciliation")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_differences")),
    )
    op.create_index("ix_differences_reconciliation", "differences", ["reconciliation"])
    op.create_table(
        "grants",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("budget", sa.String(length=300), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("starts", sa.DateTime(), nullable=False),
        sa.Column("ends", sa.DateTime()),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("expired", sa.DateTime()),
        sa.Column("withdrawn", sa.DateTime()),
        sa.Column("withdrawn_by", sa.String(length=255)),
        sa.ForeignKeyConstraint(["budget"], ["budgets.key"], name=op.f("fk_grants_budget")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_grants_budget", "grants", ["budget"])
    op.create_index("ix_grants_expired_ends", "grants", ["expired", "ends"])
    op.create_table(
        "holds",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("budget", sa.String(length=300), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("hourly", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("price_version", NUMBER),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("open", sa.BigInteger(), nullable=False),
        sa.Column("charged", sa.BigInteger(), nullable=False),
        sa.Column("absorbed", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("ends", sa.DateTime()),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("settled", sa.DateTime()),
        sa.ForeignKeyConstraint(["price_version"], ["prices.id"], name=op.f("fk_holds_price_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
        sa.UniqueConstraint("kind", "subject", name=op.f("uq_holds_kind_subject")),
    )
    op.create_index("ix_holds_budget_state", "holds", ["budget", "state"])
    op.create_index("ix_holds_person_state", "holds", ["person", "state"])
    op.create_index("ix_holds_state", "holds", ["state"])
    op.create_table(
        "members",
        sa.Column("budget", sa.String(length=300), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("limit", sa.BigInteger()),
        sa.Column("joined", sa.DateTime(), nullable=False),
        sa.Column("left", sa.DateTime()),
        sa.ForeignKeyConstraint(["budget"], ["budgets.key"], name=op.f("fk_members_budget")),
        sa.PrimaryKeyConstraint("budget", "person", name=op.f("pk_members")),
    )
    op.create_index("ix_members_person", "members", ["person"])
    op.create_table(
        "ledger_accounts",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("grant", NUMBER),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["grant"], ["grants.id"], name=op.f("fk_ledger_accounts_grant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_accounts")),
        sa.UniqueConstraint("grant", name=op.f("uq_ledger_accounts_grant")),
        sa.UniqueConstraint("key", name=op.f("uq_ledger_accounts_key")),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("time", sa.DateTime(), nullable=False),
        sa.Column("subject_kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("part", sa.String(length=32), nullable=False),
        sa.Column("budget", sa.String(length=300), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("grant", NUMBER),
        sa.Column("price_version", NUMBER),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.Column("charged", sa.BigInteger(), nullable=False),
        sa.Column("absorbed", sa.BigInteger(), nullable=False),
        sa.Column("core_seconds", sa.BigInteger(), nullable=False),
        sa.Column("gpu_seconds", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["grant"], ["grants.id"], name=op.f("fk_ledger_entries_grant")),
        sa.ForeignKeyConstraint(["price_version"], ["prices.id"], name=op.f("fk_ledger_entries_price_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
        sa.UniqueConstraint("key", name=op.f("uq_ledger_entries_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ledger_entries_budget", "ledger_entries", ["budget", "id"])
    op.create_index("ix_ledger_entries_centre", "ledger_entries", ["centre", "id"])
    op.create_index("ix_ledger_entries_person", "ledger_entries", ["person", "id"])
    op.create_index("ix_ledger_entries_subject", "ledger_entries", ["subject", "subject_kind"])
    op.create_index("ix_ledger_entries_time", "ledger_entries", ["kind", "time"])
    op.create_table(
        "ledger_postings",
        sa.Column("entry", NUMBER, autoincrement=False, nullable=False),
        sa.Column("account", NUMBER, autoincrement=False, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["ledger_accounts.id"], name=op.f("fk_ledger_postings_account")),
        sa.ForeignKeyConstraint(["entry"], ["ledger_entries.id"], name=op.f("fk_ledger_postings_entry")),
        sa.PrimaryKeyConstraint("entry", "account", name=op.f("pk_ledger_postings")),
    )
    op.create_index("ix_ledger_postings_account", "ledger_postings", ["account"])
    accounts = sa.table("ledger_accounts", *(sa.column(name) for name in ("key", "kind", "balance")))
    singles = ("held", "source", "gateway")
    op.bulk_insert(accounts, [{"key": name, "kind": name, "balance": 0} for name in singles])


def downgrade() -> None:
    """Back."""
    for table in reversed(
        [
            "budgets",
            "prices",
            "reconciliations",
            "refusals",
            "uses",
            "centre_limits",
            "differences",
            "grants",
            "holds",
            "members",
            "ledger_accounts",
            "ledger_entries",
            "ledger_postings",
        ]
    ):
        op.drop_table(table)
