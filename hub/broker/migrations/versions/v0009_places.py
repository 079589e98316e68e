"""For whom what was found at a place counts: a person's session speaks for that person alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version. What was known is forgotten: nobody can tell who may have said it, and it is soon found anew."""
    _make(sa.Column("person", sa.String(length=255), nullable=False))


def downgrade() -> None:
    """Back to the one before."""
    _make()


def _make(*person: sa.Column[str]) -> None:
    op.drop_table("app_places")
    op.create_table(
        "app_places",
        sa.Column("centre", sa.String(length=32), nullable=False),
        sa.Column("app", sa.String(length=32), nullable=False),
        *person,
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("seen", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("centre", "app", *(column.name for column in person), name=op.f("pk_app_places")),
    )
