"""What operators say of a centre (drained, a notice), and a way to find the sessions that ended long ago."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "drains",
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("centre", name=op.f("pk_drains")),
    )
    op.create_table(
        "notices",
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("en", sa.String(length=1000), nullable=False),
        sa.Column("zh", sa.String(length=1000), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("centre", name=op.f("pk_notices")),
    )
    op.create_index("ix_sessions_ended", "sessions", ["ended"], unique=False)


def downgrade() -> None:
    """Back to the one before."""
    op.drop_index("ix_sessions_ended", "sessions")
    op.drop_table("notices")
    op.drop_table("drains")
