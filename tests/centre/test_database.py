# SPDX-License-Identifier: Apache-2.0
"""Changes of the centre's database happen as a whole or not at all; another program's schema is refused."""

import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError, StatementError

from support.moved_clock import MovedClock
from support.postgresql import crash, postgresql, programs
from xca_centre.errors import (
    ChangeUncertain,
    DatabaseExposed,
    DatabaseUnknown,
    SchemaMissing,
    SchemaNewer,
    StoreProblem,
    StoreUnavailable,
    TextNotKept,
)
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Change, Database
from xca_centre.store.schema import migrate
from xca_centre.store.tables import EVENTS, JOBS, METADATA

OFFICER = Actor(Role.FIRST_REVIEWER, "07")


def written(database: Database) -> tuple[int, int]:
    """How many events and jobs there are."""
    with database.read() as connection:
        events = connection.execute(select(func.count()).select_from(EVENTS)).scalar_one()
        jobs = connection.execute(select(func.count()).select_from(JOBS)).scalar_one()
    return events, jobs


def write(change: Change) -> None:
    change.event("suspended", "card 1", OFFICER, {"reason": "遺失", "version": 2})
    change.enqueue("list", {"partition": 3})


def do(database: Database, *steps: Callable[[Change], None]) -> None:
    """Make one change."""
    with database.change() as change:
        for step in steps:
            step(change)


def test_change_is_written_with_its_event_and_job(database: Database, clock: MovedClock) -> None:
    with database.change() as change:
        write(change)
        clock.move(timedelta(seconds=1))
        assert change.now == clock.at - timedelta(seconds=1)
    with database.read() as connection:
        event = connection.execute(select(EVENTS)).one()
        job = connection.execute(select(JOBS)).one()
    assert (event.at, event.kind, event.role, event.name) == (change.now, "suspended", "first_reviewer", "07")
    assert (event.number, event.hash) == (None, None)
    assert (job.kind, job.due, job.attempts) == ("list", change.now, 0)


def test_change_that_is_broken_off_leaves_nothing(database: Database) -> None:
    def break_off() -> None:
        with database.change() as change:
            write(change)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert written(database) == (0, 0)


def test_read_sees_one_state_while_others_write(database: Database) -> None:
    counted = select(func.count()).select_from(EVENTS)
    with database.read() as connection:
        assert connection.execute(counted).scalar_one() == 0
        with database.change() as change:
            write(change)
        assert connection.execute(counted).scalar_one() == 0
    assert written(database) == (1, 1)


def test_read_cannot_write(database: Database) -> None:
    row = {"id": "0" * 32, "at": datetime.now(UTC)}
    with pytest.raises((SQLAlchemyError, StoreProblem)), database.read() as connection:
        connection.execute(insert(EVENTS).values(row))
    with database.change() as change:
        write(change)
    assert written(database) == (1, 1)


def test_changes_of_many_threads_are_all_kept(database: Database) -> None:
    def one(_: int) -> None:
        with database.change() as change:
            write(change)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(80)))
    assert written(database) == (80, 80)


def test_moment_comes_back_in_utc_and_sorts_by_time(database: Database, clock: MovedClock) -> None:
    taipei = timezone(timedelta(hours=8))
    first = clock.at
    for moment in (first.astimezone(taipei), first + timedelta(microseconds=1)):
        clock.at = moment
        with database.change() as change:
            write(change)
    with database.read() as connection:
        found = connection.execute(select(EVENTS.c.at).order_by(EVENTS.c.at)).scalars().all()
        since = select(func.count()).select_from(EVENTS).where(EVENTS.c.at > first.astimezone(taipei))
        assert connection.execute(since).scalar_one() == 1
    assert found == [first, first + timedelta(microseconds=1)]
    assert {moment.tzinfo for moment in found} == {UTC}


def test_moment_without_a_time_zone_is_refused(database: Database, clock: MovedClock) -> None:
    clock.at = datetime(2026, 11, 2)
    with pytest.raises(StatementError, match="without a time zone"), database.change() as change:
        write(change)


@pytest.mark.parametrize("typed", ["\0", "\ud800", "x" * 129])
def test_text_that_no_database_takes_is_refused_or_not_found(
    address: str, database: Database, typed: str
) -> None:
    with suppress(TextNotKept), database.read() as connection:
        assert connection.execute(select(EVENTS).where(EVENTS.c.subject == typed)).all() == []
    if address.startswith("postgresql"):
        with pytest.raises(TextNotKept):
            do(database, lambda change: change.event("suspended", typed, OFFICER, {}))


def test_migrated_database_has_the_tables_of_the_program(address: str) -> None:
    engine = create_engine(address, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_migrated_database_keeps_its_data_when_it_is_migrated_again(address: str, database: Database) -> None:
    with database.change() as change:
        write(change)
    migrate(address)
    assert written(Database(address, lambda: datetime.now(UTC))) == (1, 1)


def test_empty_database_is_refused_until_it_is_migrated(tmp_path: Path, clock: MovedClock) -> None:
    address = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(StoreUnavailable):
        Database(address, clock)
    assert not (tmp_path / "new.db").exists()
    (tmp_path / "new.db").touch(0o600)
    with pytest.raises(SchemaMissing):
        Database(address, clock)
    migrate(address)
    assert written(Database(address, clock)) == (0, 0)


def test_database_of_a_newer_program_is_refused_and_not_migrated(address: str, clock: MovedClock) -> None:
    engine = create_engine(address, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    with pytest.raises(SchemaNewer):
        Database(address, clock)
    with pytest.raises(SchemaNewer):
        migrate(address)


def test_database_in_a_file_is_its_users_alone(tmp_path: Path, clock: MovedClock) -> None:
    path = tmp_path / "centre.db"
    migrate(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(DatabaseExposed):
        Database(f"sqlite:///{path}", clock)


@pytest.mark.parametrize("address", ["", "centre.db", "sqlite://", "sqlite:///:memory:", "mysql://a:b@c/d"])
def test_address_of_another_database_is_refused(address: str, clock: MovedClock) -> None:
    with pytest.raises(DatabaseUnknown) as refused:
        Database(address, clock)
    assert "a:b" not in str(refused.value)


@pytest.mark.integration
def test_server_that_says_nothing_any_more_is_not_waited_for_long(
    postgresql_address: str, clock: MovedClock
) -> None:
    database = Database(postgresql_address, clock)
    with database.read() as connection:
        driver: Any = connection.connection.driver_connection
        asked = driver.info.get_parameters()
    database.close()
    idle, interval, tries = (int(asked[f"keepalives_{name}"]) for name in ("idle", "interval", "count"))
    assert int(asked["connect_timeout"]) <= 5
    assert int(asked["tcp_user_timeout"]) <= 10_000
    assert idle + interval * tries <= 30


def test_writer_that_waits_too_long_is_told_so(
    sqlite_address: str, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xca_centre.store.engine._LOCK_SECONDS", 0)
    one, other = Database(sqlite_address, clock), Database(sqlite_address, clock)
    with one.change() as change:
        write(change)
        with pytest.raises(StoreUnavailable), other.change():
            pass
    assert written(other) == (1, 1)


@pytest.mark.integration
@pytest.mark.skipif(programs() is None, reason="there is no PostgreSQL here")
def test_server_that_crashes_loses_no_change_that_was_answered_for(clock: MovedClock) -> None:
    with postgresql() as address:
        migrate(address)
        database = Database(address, clock)
        with database.change() as change:
            write(change)
        with pytest.raises(StoreUnavailable):
            do(database, lambda _: crash(address), write)
        with database.change() as change:  # with the connections that are there
            write(change)
        with pytest.raises(ChangeUncertain):
            do(database, write, lambda _: crash(address))
        assert written(database) == (2, 2)
    with pytest.raises(StoreUnavailable), database.change():
        pass
