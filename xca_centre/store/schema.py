# SPDX-License-Identifier: Apache-2.0
"""The schema of the database: made and brought up to date by Alembic, and refused when it is another one."""

from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from xca_centre.errors import SchemaMissing, SchemaNewer, SchemaOlder
from xca_centre.store.engine import Engines, make_engines

_MIGRATIONS: Final = Path(__file__).with_name("migrations")
_MIGRATING: Final = 0x78636101
"""The number of the advisory lock of PostgreSQL that who migrates holds."""


def migrate(address: str) -> None:
    """Bring a database to the schema of this program; an empty one gets all tables. Data stays.

    Args:
        address: as of Database. A file of SQLite that is not there is made.

    Raises:
        SchemaNewer: a newer program made it; nothing was changed.
        DatabaseUnknown, DatabaseExposed, StoreUnavailable: it cannot be used.
    """
    engines = make_engines(address, is_new=True)
    try:
        with engines.change() as connection:
            if engines.is_postgresql:
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # much data takes long
            config = _config()
            if _revision(connection) not in (None, *_known()):
                raise SchemaNewer
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engines.dispose()


def require_current(engines: Engines) -> None:
    """See that a database has the schema of this program.

    Raises:
        SchemaMissing: it has no tables.
        SchemaOlder, SchemaNewer: an older or a newer program made it.
        StoreUnavailable: it cannot be reached.
    """
    with engines.read() as connection:
        revision = _revision(connection)
    newest, *older = _known()
    if revision is None:
        raise SchemaMissing
    if revision in older:
        raise SchemaOlder
    if revision != newest:
        raise SchemaNewer


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _known() -> tuple[str, ...]:
    """Return the revisions of this program, the newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _revision(connection: Connection) -> str | None:
    """Return the revision of a database; None: it has none."""
    return MigrationContext.configure(connection).get_current_revision()
