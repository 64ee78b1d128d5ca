# SPDX-License-Identifier: Apache-2.0
"""The database of the centre: consistent reads, and changes that happen as a whole or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias
from uuid import uuid4

from sqlalchemy import Connection, Engine, Table, insert
from sqlalchemy.dialects import postgresql, sqlite

from xca_centre.errors import JournalAhead, JournalUnavailable, NotJournalled
from xca_centre.life.transitions import Actor
from xca_centre.store.engine import make_engines
from xca_centre.store.events import Event, Facts, write_facts
from xca_centre.store.journal import Journal
from xca_centre.store.missing_events import missing_events
from xca_centre.store.schema import require_current
from xca_centre.store.tables import EVENTS, JOBS

Clock: TypeAlias = Callable[[], datetime]
"""Returns the time, with a time zone."""

_ADD_EVENT: Final = insert(EVENTS)
_ADD_JOB: Final = insert(JOBS)


@dataclass(frozen=True)
class Change:
    """A transaction that writes. What is checked, is checked in it.

    Attributes:
        connection: its connection.
        now: the moment of all that it does.
        events: what was added by event().
    """

    connection: Connection
    now: datetime
    events: list[Event] = field(default_factory=list, init=False)

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """Return INSERT for a table, as the database has it: with ON CONFLICT."""
        is_postgresql = self.connection.dialect.name == "postgresql"
        return postgresql.insert(table) if is_postgresql else sqlite.insert(table)

    def event(self, kind: str, subject: str, by: Actor, facts: Facts) -> None:
        """Add an event. The chainer numbers it after the commit (event_chain).

        Args:
            kind: what happened, a word of the domain.
            subject: to what: the id of a card, a case, an order.
            by: who did it.
            facts: what else is to be known; of a change of state, all that it takes to do it again.
        """
        event = Event.new(self.now, kind, subject, by, facts)
        self.connection.execute(_ADD_EVENT, event.row())
        self.events.append(event)

    def enqueue(
        self, job: str, facts: Facts, not_before: datetime | None = None, key: str | None = None
    ) -> None:
        """Add a job, for the workers of job_queue.

        Args:
            job: its kind.
            facts: what its worker has to know.
            not_before: when it may begin; None: at once.
            key: names the work, whoever asks for it: jobs with one key that are due are done as one. One
                that is added while another is being worked on stays: that may have read before this change.
        """
        row = {
            "id": uuid4(),
            "kind": job,
            "key": key,
            "facts": write_facts(facts),
            "created": self.now,
            "due": not_before or self.now,
            "attempts": 0,
            "fence": 0,
        }
        self.connection.execute(_ADD_JOB, row)


class Database:
    """The database of the centre.

    Args:
        address: sqlite:///FILE, or postgresql://….
        clock: the time of its changes.
        journal: where events are, too, before a change is answered for.

    Raises:
        JournalAhead: it was restored from a backup, and the journal is not merged (restored.merge).
        JournalUnavailable: the journal cannot be read.
        SchemaMissing, SchemaOlder, SchemaNewer: it is to be migrated (schema.migrate), or by another program.
        DatabaseUnknown, DatabaseExposed, StoreUnavailable: it cannot be used.
    """

    def __init__(self, address: str, clock: Clock, journal: Journal | None = None) -> None:
        self._engines = make_engines(address)
        self.clock = clock
        self.journal = journal
        require_current(self._engines)
        if journal:
            recent = journal.recent()
            with self._engines.read() as connection:
                if missing_events(connection, recent):
                    raise JournalAhead

    @property
    def engine(self) -> Engine:
        """For a library that keeps rows of its own in tables of ours: each transaction may write."""
        return self._engines.changing

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database, and cannot write.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        with self._engines.read() as connection:
            yield connection

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Yield a change. At the end of the block it is committed, after an exception nothing of it happened.

        On SQLite one change runs at a time; on PostgreSQL rows are locked by SELECT … FOR UPDATE. What has to
        outlive a refusal is a change of its own, before it.

        Raises:
            StoreUnavailable: the database did not answer; nothing was changed.
            ChangeUncertain: it did not answer to the commit.
            JournalUnavailable: the journal takes no events; nothing was changed.
            NotJournalled: the change was made, and the journal did not take its events.
        """
        if self.journal:
            self.journal.prepare()
        with self._engines.change() as connection:
            change = Change(connection, self.clock())
            yield change
        if self.journal:
            # Only what was committed: a restore would else do what never happened. The chainer brings what is
            # missing because this process ends here.
            try:
                self.journal.append(change.events)
            except JournalUnavailable as error:
                raise NotJournalled from error

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._engines.dispose()
