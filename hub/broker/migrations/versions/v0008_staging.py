"""Files that are brought to where a run is to be."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("runs", sa.Column("staging", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_column("runs", "staging")
