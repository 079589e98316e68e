"""Dask clusters: clusters, the jobs of their workers, and each worker."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "clusters",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("live", sa.Boolean()),
        sa.Column("session", sa.String(length=32), nullable=False),
        sa.Column("server", sa.String(length=255), nullable=False),
        sa.Column("beside", sa.Boolean(), nullable=False),
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("walltime", sa.Integer(), nullable=False),
        sa.Column("project", sa.String(length=64)),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.JSON(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("report", sa.JSON()),
        sa.Column("seen", sa.DateTime()),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("closed_by", sa.String(length=255)),
        sa.Column("closed", sa.DateTime()),
        sa.Column("ended", sa.DateTime()),
        sa.Column("outcome", sa.String(length=32)),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clusters")),
        sa.UniqueConstraint("owner", "name", "live", name=op.f("uq_clusters_owner_name_live")),
    )
    op.create_index("ix_clusters_session", "clusters", ["session"], unique=False)
    op.create_index("ix_clusters_centre_forgotten", "clusters", ["centre", "forgotten"], unique=False)
    op.create_index("ix_clusters_ended", "clusters", ["ended"], unique=False)
    op.create_table(
        "worker_jobs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("cluster", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("array", sa.Boolean(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("tariff", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempted", sa.DateTime()),
        sa.Column("job_id", sa.String(length=128)),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("unknown_since", sa.DateTime()),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("submitted", sa.DateTime()),
        sa.Column("ended", sa.DateTime()),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["cluster"], ["clusters.id"], name=op.f("fk_worker_jobs_cluster")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker_jobs")),
        sa.UniqueConstraint("cluster", "key", "part", name=op.f("uq_worker_jobs_cluster_key_part")),
    )
    op.create_table(
        "workers",
        sa.Column("job", sa.String(length=32), nullable=False),
        sa.Column("task", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("raw_reason", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("node", sa.String(length=255)),
        sa.Column("job_id", sa.String(length=160)),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("expected", sa.DateTime()),
        sa.Column("started", sa.DateTime()),
        sa.Column("ends_by", sa.DateTime()),
        sa.Column("ended", sa.DateTime()),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("core_seconds", sa.BigInteger()),
        sa.ForeignKeyConstraint(["job"], ["worker_jobs.id"], name=op.f("fk_workers_job")),
        sa.PrimaryKeyConstraint("job", "task", name=op.f("pk_workers")),
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("workers")
    op.drop_table("worker_jobs")
    op.drop_table("clusters")
