# SPDX-License-Identifier: Apache-2.0
"""Whoever changes, removes or inserts an event is found out, and the journal has what a backup lacks."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, delete, select, update

from support.moved_clock import MovedClock
from xca_centre.errors import JournalAhead, JournalMissing, JournalUnavailable, NotJournalled
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_centre.store.event_chain import Head, audit, chain, head
from xca_centre.store.events import GENESIS, Event, read_facts
from xca_centre.store.journal import Journal
from xca_centre.store.restored import merge
from xca_centre.store.tables import EVENTS

OFFICER = Actor(Role.FIRST_REVIEWER, "07")


def add(database: Database, *subjects: str) -> None:
    """Make a change with an event for each subject."""
    with database.change() as change:
        for subject in subjects:
            change.event("suspended", subject, OFFICER, {"reason": "遺失", "version": 2})


def tamper(address: str, statement: object) -> None:
    """Do what somebody does who can write to the database."""
    with create_engine(address, poolclass=NullPool).begin() as connection:
        connection.execute(statement)  # type: ignore[call-overload]  # one of SQLAlchemy's


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a journal."""
    made = tmp_path / "journal"
    made.mkdir(0o700)
    Journal.begin(made)
    return made


def test_event_is_chained_after_its_change(database: Database, clock: MovedClock) -> None:
    add(database, "one", "two")
    clock.move(timedelta(seconds=1))
    add(database, "three")
    with database.read() as connection:
        before = audit(connection)
    assert (before.head, before.broken, len(before.unchained)) == (Head(0, GENESIS), None, 3)
    assert [chain(database, most=2), chain(database, most=2), chain(database)] == [2, 1, 0]
    with database.read() as connection:
        after = audit(connection)
        assert after.head == head(connection)
        numbered = select(EVENTS.c.subject).order_by(EVENTS.c.number)
        assert connection.execute(numbered).scalars().all()[-1] == "three"
    assert (after.head.number, after.broken, after.unchained) == (3, None, [])


def test_chain_of_many_chainers_and_writers_is_one(database: Database) -> None:
    def write(_: int) -> None:
        add(database, "one")

    def chained(_: int) -> None:
        chain(database, most=7)

    with ThreadPoolExecutor(8) as pool:
        [*pool.map(lambda number: (write, chained)[number % 2](number), range(100))]
    while chain(database):
        pass
    with database.read() as connection:
        found = audit(connection)
    assert (found.head.number, found.broken, found.unchained) == (50, None, [])


@pytest.mark.parametrize(
    "statement",
    [
        update(EVENTS).where(EVENTS.c.number == 3).values(facts='{"reason":"none"}'),
        update(EVENTS).where(EVENTS.c.number == 3).values(at=MovedClock().at + timedelta(seconds=1)),
        update(EVENTS).where(EVENTS.c.number == 3).values(hash="0" * 64),
        update(EVENTS).where(EVENTS.c.number == 3).values(number=None),
        delete(EVENTS).where(EVENTS.c.number == 3),
    ],
    ids=["facts", "time", "hash", "number", "deleted"],
)
def test_audit_names_the_first_event_that_was_tampered_with(
    address: str, database: Database, statement: object
) -> None:
    add(database, *"abcde")
    chain(database)
    tamper(address, statement)
    with database.read() as connection:
        found = audit(connection)
    assert (found.head.number, found.broken) == (2, 3)


def test_audit_misses_the_last_events_with_a_head_that_was_kept(address: str, database: Database) -> None:
    add(database, *"abc")
    chain(database)
    with database.read() as connection:
        kept = head(connection)
    tamper(address, delete(EVENTS).where(EVENTS.c.number == 3))
    with database.read() as connection:
        assert audit(connection).broken is None
        assert audit(connection, [kept]).broken == 3


def test_audit_finds_a_chain_that_was_written_anew(address: str, database: Database) -> None:
    add(database, *"abc")
    chain(database)
    with database.read() as connection:
        kept = head(connection)
    tamper(address, update(EVENTS).values(number=None, hash=None, name="somebody else"))
    chain(database)
    with database.read() as connection:
        assert audit(connection).broken is None
        assert audit(connection, [kept]).broken == 3


def test_event_is_in_the_journal_when_its_change_returns(
    address: str, clock: MovedClock, folder: Path
) -> None:
    database = Database(address, clock, Journal(folder))
    add(database, "one", "two")
    assert [line.event and line.event.subject for line in Journal(folder).read()] == ["one", "two"]
    with pytest.raises(ZeroDivisionError), database.change() as change:
        change.event("suspended", "three", OFFICER, {"by": 1 // 0})
    assert len([*Journal(folder).read()]) == 2
    database.close()


def test_events_of_many_threads_are_in_the_journal(
    sqlite_address: str, clock: MovedClock, folder: Path
) -> None:
    journal = Journal(folder)

    def append(number: int) -> None:
        journal.append([Event.new(clock.at, "kind", str(number), OFFICER, {})])

    with ThreadPoolExecutor(8) as pool:
        [*pool.map(append, range(200))]
    found = {line.event.subject for line in Journal(folder).read() if line.event}
    assert found == {str(number) for number in range(200)}


def test_journal_that_cannot_be_written_stops_changes_before_they_happen(
    sqlite_address: str, clock: MovedClock, folder: Path
) -> None:
    database = Database(sqlite_address, clock, Journal(folder))
    shutil.move(folder, folder.with_name("elsewhere"))
    with pytest.raises(JournalUnavailable):
        add(database, "one")
    with pytest.raises(JournalUnavailable):
        Database(sqlite_address, clock, Journal(folder))
    shutil.move(folder.with_name("elsewhere"), folder)
    add(database, "two")
    with database.read() as connection:
        assert connection.execute(select(EVENTS.c.subject)).scalars().all() == ["two"]


def test_folder_of_a_journal_whose_disk_is_not_mounted_is_no_empty_journal(
    tmp_path: Path, sqlite_address: str, clock: MovedClock, folder: Path
) -> None:
    backup = shutil.copy(tmp_path / "centre.db", tmp_path / "backup.db")
    database = Database(sqlite_address, clock, Journal(folder))
    add(database, "one")
    database.close()
    disk = tmp_path / "disk"
    shutil.move(folder, disk)
    folder.mkdir(0o700)
    for journal in (Journal(folder), Journal(tmp_path / "nowhere")):
        with pytest.raises(JournalMissing):
            Database(f"sqlite:///{backup}", clock, journal)
        with pytest.raises(JournalMissing):
            [*journal.read()]
        with pytest.raises(JournalMissing):
            journal.append([Event.new(clock.at, "kind", "two", OFFICER, {})])
    assert [*folder.iterdir()] == []
    assert [line.event and line.event.subject for line in Journal.begin(disk).read()] == ["one"]


def test_journal_that_fails_after_the_commit_is_told_of_and_completed_by_the_chainer(
    sqlite_address: str, clock: MovedClock, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(sqlite_address, clock, Journal(folder))
    add(database, "one")
    clock.move(timedelta(seconds=1))

    def fail(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(NotJournalled):
        add(database, "two")
    with pytest.raises(JournalUnavailable):
        add(database, "three")
    monkeypatch.undo()
    assert len([*folder.glob("*.journal")]) == 1  # none for each change that was refused
    chain(database)
    chain(database)
    found = [line.event.subject for line in Journal(folder).read() if line.event and line.event.number]
    assert found == ["one", "two"]
    with database.read() as connection:
        heads = [
            Head(e.number, e.hash)
            for line in Journal(folder).read()
            if (e := line.event) and e.number and e.hash
        ]
        assert audit(connection, heads).broken is None


def test_restored_database_is_known_and_completed_from_the_journal(
    tmp_path: Path, sqlite_address: str, clock: MovedClock, folder: Path
) -> None:
    database = Database(sqlite_address, clock, Journal(folder))
    add(database, *"ab")
    chain(database)
    database.close()
    backup = shutil.copy(tmp_path / "centre.db", tmp_path / "backup.db")
    add(database, *"cd")
    chain(database)
    chain(database)
    add(database, "e")
    with database.read() as connection:
        kept = head(connection)
    database.close()
    Database(sqlite_address, clock, Journal(folder)).close()

    with pytest.raises(JournalAhead):
        Database(f"sqlite:///{backup}", clock, Journal(folder))
    restored = Database(f"sqlite:///{backup}", clock)
    assert merge(restored, Journal(folder), [], OFFICER).count == 3
    assert merge(restored, Journal(folder), [], OFFICER).count == 0
    Database(f"sqlite:///{backup}", clock, Journal(folder)).close()
    with restored.read() as connection:
        assert head(connection) == kept
    chain(restored)
    with restored.read() as connection:
        found = audit(connection, [kept])
    assert (found.head.number, found.broken) == (5, None)


def test_last_line_of_a_killed_process_is_left_out(folder: Path, clock: MovedClock) -> None:
    journal = Journal(folder)
    journal.append([Event.new(clock.at, "kind", name, OFFICER, {}) for name in "ab"])
    (path,) = folder.glob("*.journal")
    whole = path.read_bytes()
    for cut in range(len(whole.splitlines(keepends=True)[-1])):
        path.write_bytes(whole[: len(whole) - 1 - cut])
        events = [line.event.subject for line in Journal(folder).read() if line.event]
        assert events == ["a"]


def test_event_in_the_journal_is_the_event(clock: MovedClock) -> None:
    event = Event.new(clock.at, "suspended", "card\n1", OFFICER, {"reason": "遺失\u0000", "version": 2})
    assert Event.parse(event.document()) == event
    assert event.document().isascii()
    assert b"\n" not in event.document()
    assert read_facts(event.facts) == {"reason": "遺失\u0000", "version": 2}
