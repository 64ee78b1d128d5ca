# SPDX-License-Identifier: Apache-2.0
"""Databases of the centre for its tests: SQLite, and PostgreSQL for those that are run on both."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from support.moved_clock import MovedClock
from support.postgresql import WITH_POSTGRESQL, postgresql
from xca_centre.store.database import Database
from xca_centre.store.schema import migrate

_numbers = count()


@pytest.fixture
def clock() -> MovedClock:
    """The clock of a test's databases."""
    return MovedClock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of SQLite with all tables, and nothing in them."""
    path = tmp_path_factory.mktemp("centre") / "centre.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL server; its database `template` has all tables, and nothing in them."""
    with postgresql() as address:
        _administer(address, "CREATE DATABASE template")
        migrate(_named(address, "template"))
        yield address


@pytest.fixture
def sqlite_address(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a new database of SQLite."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'centre.db')}"


@pytest.fixture
def postgresql_address(postgresql_server: str) -> Iterator[str]:
    """The address of a new database of PostgreSQL."""
    name = f"centre_{next(_numbers)}"
    _administer(postgresql_server, f"CREATE DATABASE {name} TEMPLATE template")
    yield _named(postgresql_server, name)
    _administer(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", WITH_POSTGRESQL])
def address(request: pytest.FixtureRequest) -> str:
    """The address of a new database: a test that asks for it is run on both."""
    found: str = request.getfixturevalue(f"{request.param}_address")
    return found


@pytest.fixture
def backed_up(request: pytest.FixtureRequest, address: str, tmp_path: Path) -> Callable[[], str]:
    """Makes a copy of the database, to which nobody is connected, and returns its address."""

    def copy() -> str:
        url = make_url(address)
        if url.get_backend_name() == "sqlite":
            return f"sqlite:///{shutil.copy(str(url.database), tmp_path / 'backup.db')}"
        server = request.getfixturevalue("postgresql_server")
        name = f"{url.database}_backup"
        _administer(server, f"CREATE DATABASE {name} TEMPLATE {url.database}")
        return _named(server, name)

    return copy


@pytest.fixture
def database(address: str, clock: MovedClock) -> Iterator[Database]:
    """A new database: a test that asks for it is run on SQLite and on PostgreSQL."""
    made = Database(address, clock)
    yield made
    made.close()


def _named(address: str, name: str) -> str:
    return make_url(address).set(database=name).render_as_string(hide_password=False)


def _administer(address: str, statement: str) -> None:
    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
