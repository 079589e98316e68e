"""Alembic's environment: it is given a connection by `perijove.hub.broker.migrations.upgrade`."""

from __future__ import annotations

from alembic import context
from perijove.hub.broker.database import engine_for
from perijove.hub.broker.store import metadata
from perijove.hub.ledger import tables as _ledger  # noqa: F401 - its tables are of this metadata
from sqlalchemy import Connection


def run(connection: Connection) -> None:
    """Run the migrations that are asked for over `connection`."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with engine_for(context.get_x_argument(as_dictionary=True)["url"], writes=True).begin() as opened:
        run(opened)
