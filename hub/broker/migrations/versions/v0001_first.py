"""The first store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "gateway",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tag", sa.String(length=8), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway")),
    )
    op.create_table(
        "identities",
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("key_name", sa.String(length=80), nullable=False),
        sa.Column("public_key", sa.String(length=500), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("checked", sa.DateTime(), nullable=True),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("centre", "owner", name=op.f("pk_identities")),
    )
    op.create_table(
        "leases",
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("centre", name=op.f("pk_leases")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("server", sa.String(length=255), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("walltime", sa.Integer(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.JSON(), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("raw_reason", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String(length=128), nullable=True),
        sa.Column("node", sa.String(length=255), nullable=True),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("host_key", sa.String(length=200), nullable=False),
        sa.Column("handed", sa.Boolean(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempted", sa.DateTime(), nullable=True),
        sa.Column("local_port", sa.Integer(), nullable=True),
        sa.Column("prefix", sa.String(length=1000), nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=False),
        sa.Column("unknown_since", sa.DateTime(), nullable=True),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("submitted", sa.DateTime(), nullable=True),
        sa.Column("started", sa.DateTime(), nullable=True),
        sa.Column("ready", sa.DateTime(), nullable=True),
        sa.Column("ended", sa.DateTime(), nullable=True),
        sa.Column("ends_by", sa.DateTime(), nullable=True),
        sa.Column("expected", sa.DateTime(), nullable=True),
        sa.Column("asked_by", sa.String(length=255), nullable=True),
        sa.Column("asked_at", sa.DateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("core_seconds", sa.BigInteger(), nullable=True),
        sa.Column("log_tail", sa.Text(), nullable=False),
        sa.Column("hub_cleared", sa.Boolean(), nullable=False),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
        sa.Column("last_event", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("local_port", name=op.f("uq_sessions_local_port")),
        sa.UniqueConstraint("owner", "server", "live", name=op.f("uq_sessions_owner_server_live")),
    )
    op.create_index("ix_sessions_centre_stage", "sessions", ["centre", "stage"], unique=False)
    op.create_index("ix_sessions_owner_created", "sessions", ["owner", "created"], unique=False)

    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("session", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_events_session")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_session_id", "events", ["session", "id"], unique=False)


def downgrade() -> None:
    """Back to the one before."""
    op.drop_index("ix_events_session_id", "events")

    op.drop_table("events")
    op.drop_index("ix_sessions_owner_created", "sessions")
    op.drop_index("ix_sessions_centre_stage", "sessions")

    op.drop_table("sessions")
    op.drop_table("leases")
    op.drop_table("identities")
    op.drop_table("gateway")
