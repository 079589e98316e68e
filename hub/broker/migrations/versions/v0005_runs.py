"""Apps: runs, copies of their files, links that share them, and what is known of where apps run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("app", sa.String(length=32), nullable=False),
        sa.Column("app_version", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("title", sa.JSON(), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("needs", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("wanted", sa.String(length=16)),
        sa.Column("asked_by", sa.String(length=255)),
        sa.Column("problem", sa.JSON()),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("report", sa.JSON()),
        sa.Column("folder", sa.String(length=1000), nullable=False),
        sa.Column("seen", sa.DateTime()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("own_session", sa.Boolean(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("resumed", sa.Integer(), nullable=False),
        sa.Column("session", sa.String(length=32)),
        sa.Column("server", sa.String(length=255), nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger()),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("started", sa.DateTime()),
        sa.Column("ended", sa.DateTime()),
        sa.Column("parent", sa.String(length=32)),
        sa.Column("relation", sa.String(length=16)),
        sa.Column("agreement", sa.JSON()),
        sa.UniqueConstraint("owner", "key", name=op.f("uq_runs_owner_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_owner_created", "runs", ["owner", "created"])
    op.create_index("ix_runs_app_ended", "runs", ["app", "ended"])
    op.create_index("ix_runs_settled", "runs", ["settled"])
    op.create_index("ix_runs_session", "runs", ["session"])
    op.create_index("ix_runs_parent", "runs", ["parent"])
    op.create_table(
        "run_files",
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("file", sa.String(length=300), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("media", sa.String(length=100), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("kept", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_run_files_run")),
        sa.PrimaryKeyConstraint("run", "file", name=op.f("pk_run_files")),
    )
    op.create_table(
        "shares",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=False),
        sa.Column("revoked", sa.DateTime()),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name=op.f("fk_shares_run")),
        sa.UniqueConstraint("token", name=op.f("uq_shares_token")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shares")),
    )
    op.create_index("ix_shares_run", "shares", ["run"])
    op.create_table(
        "app_places",
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("app", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("seen", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("centre", "app", name=op.f("pk_app_places")),
    )


def downgrade() -> None:
    """Back to the one before."""
    for table in ("app_places", "shares", "run_files", "runs"):
        op.drop_table(table)
