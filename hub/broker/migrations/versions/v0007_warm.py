"""When a session that was kept warm was taken over by its person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("sessions", sa.Column("taken", sa.DateTime()))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_column("sessions", "taken")
