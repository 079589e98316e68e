"""The store's versions.

`upgrade` brings a store to the newest one; the broker does so at its start.

A new version is a module in `versions/` with the next `revision`, `down_revision` and an `upgrade`; a test compares
what all of them make with the tables of `perijove.hub.broker.store`.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine


def config() -> Config:
    """Alembic's configuration: this package, found wherever it is installed."""
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return found


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the store behind `engine` to `revision`, in one transaction."""
    settings = config()
    with engine.begin() as connection:
        if revision == "head" and _is_newest(settings, connection):
            return
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)


def _is_newest(settings: Config, connection: Connection) -> bool:
    head = ScriptDirectory.from_config(settings).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == head
