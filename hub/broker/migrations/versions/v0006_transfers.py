"""Files on their way from one centre to another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "transfers",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("from_centre", sa.String(length=32), nullable=False),
        sa.Column("from_path", sa.Text(), nullable=False),
        sa.Column("to_centre", sa.String(length=32), nullable=False),
        sa.Column("to_path", sa.Text(), nullable=False),
        sa.Column("ours", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("total", sa.BigInteger()),
        sa.Column("mtime", sa.Double()),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("ended", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
    )
    op.create_index("ix_transfers_owner_created", "transfers", ["owner", "created"], unique=False)
    op.create_index("ix_transfers_state", "transfers", ["state"], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_table("transfers")
