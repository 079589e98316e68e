"""What was known of the queue at a submission, and the forecast that was given: what forecasts learn from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("sessions", sa.Column("situation", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("sessions", sa.Column("forecast", sa.JSON(none_as_null=True), nullable=True))
    op.create_index("ix_sessions_history", "sessions", ["centre", "queue", "submitted"], unique=False)


def downgrade() -> None:
    """Back to the one before."""
    op.drop_index("ix_sessions_history", "sessions")
    op.drop_column("sessions", "forecast")
    op.drop_column("sessions", "situation")
