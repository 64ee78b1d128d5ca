# SPDX-License-Identifier: Apache-2.0
"""How the centre talks to SQLite and PostgreSQL: their settings, and what their failures mean."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    TimeoutError,
)

from xca_centre.errors import ChangeUncertain, DatabaseExposed, DatabaseUnknown, StoreUnavailable, TextNotKept

_CONNECT_SECONDS: Final = 5
_LOCK_SECONDS: Final = 10
_STATEMENT_SECONDS: Final = 60
_IDLE_SECONDS: Final = 60
_CONNECTIONS: Final = 16
# Of libpq (34.1.2): a machine that says nothing any more would else be waited for a quarter of an hour.
_SILENCE: Final = {
    "connect_timeout": _CONNECT_SECONDS,
    "tcp_user_timeout": 1000 * _LOCK_SECONDS,
    "keepalives_idle": _LOCK_SECONDS,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_BEGIN: Final = "xca_centre_begin"

_DOWN: Final = (InterfaceError, InternalError, OperationalError, TimeoutError)
"""What SQLAlchemy raises when a database is away, full, read-only, or held by others for too long."""


@dataclass(frozen=True)
class Engines:
    """A pool of connections, seen in two ways. Neither connects before it is used.

    Attributes:
        changing: its transactions write.
    """

    _reading: Engine
    changing: Engine

    @property
    def is_postgresql(self) -> bool:
        """Whether it is PostgreSQL; else it is SQLite."""
        return self.changing.dialect.name == "postgresql"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database, and cannot write.

        Raises:
            StoreUnavailable: the database did not answer.
            TextNotKept: a text has characters that no database takes.
        """
        with _failures(), self._reading.connect() as connection:
            connection.begin()
            yield connection

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that is committed at the end of the block.

        Raises:
            StoreUnavailable: the database did not answer; nothing was changed.
            ChangeUncertain: it did not answer to the commit.
            TextNotKept: a text has characters that no database takes, or too many; nothing was changed.
        """
        with _failures(), self.changing.connect() as connection:
            connection.begin()
            yield connection
            try:
                connection.commit()
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise ChangeUncertain from error
                raise

    def dispose(self) -> None:
        """Close the connections that nobody uses."""
        self.changing.dispose()


def make_engines(address: str, *, is_new: bool = False) -> Engines:
    """Return the engines of a database.

    Args:
        address: sqlite:///FILE, or postgresql://….
        is_new: the file of SQLite may be made, for its user alone.

    Raises:
        DatabaseUnknown: it is another address.
        DatabaseExposed: others may read the file.
        StoreUnavailable: there is no such file, or it cannot be made.
    """
    try:
        url = make_url(address)
    except ArgumentError:
        raise DatabaseUnknown from None
    match url.get_backend_name():
        case "sqlite" if url.database and url.database != ":memory:":
            return _sqlite(Path(url.database), is_new=is_new)
        case "postgresql":
            return _postgresql(url)
    raise DatabaseUnknown


def _sqlite(path: Path, *, is_new: bool) -> Engines:
    try:
        os.close(os.open(path, os.O_RDWR | (os.O_CREAT if is_new else 0), 0o600))
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise StoreUnavailable from error
    if mode & 0o077:
        raise DatabaseExposed(path=path)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _LOCK_SECONDS},
        pool_size=_CONNECTIONS,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        # sqlite3 would begin a transaction at the first write only, and _begin() does.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # An answer that was given is true after a loss of power, too: each commit waits for the disk.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    def _begin(connection: Connection) -> None:
        begin = connection.get_execution_options()[_BEGIN]
        connection.exec_driver_sql(f"PRAGMA query_only={begin == 'BEGIN'}")
        connection.exec_driver_sql(begin)

    event.listen(engine, "begin", _begin)
    # A writer that began as a reader cannot wait for another one: it fails at once.
    return Engines(
        engine.execution_options(**{_BEGIN: "BEGIN"}), engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
    )


def _postgresql(url: URL) -> Engines:
    settings = {
        "timezone": "UTC",
        "lock_timeout": f"{_LOCK_SECONDS}s",
        "statement_timeout": f"{_STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={
            **_SILENCE,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
        pool_pre_ping=True,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=_LOCK_SECONDS,
    )
    # Each statement of a change sees what others have committed, and FOR UPDATE the newest of it.
    return Engines(
        engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
        engine.execution_options(isolation_level="READ COMMITTED"),
    )


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except _DOWN as error:
        raise StoreUnavailable from error
    except (DataError, UnicodeEncodeError) as error:
        # What a stranger typed, in a place where nobody has looked at it before.
        raise TextNotKept from error
