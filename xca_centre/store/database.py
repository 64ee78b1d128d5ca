# SPDX-License-Identifier: Apache-2.0
"""The database of the centre: consistent reads, and changes that happen as a whole or not at all."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import uuid4

from sqlalchemy import Connection, insert

from xca_centre.life.transitions import Actor
from xca_centre.store.engine import make_engines
from xca_centre.store.schema import require_current
from xca_centre.store.tables import EVENTS, JOBS

Clock: TypeAlias = Callable[[], datetime]
"""Returns the time, with a time zone."""

Facts: TypeAlias = Mapping[str, str | int]
"""What an event or a job has to say. Never a secret: events are kept for ever."""

_ADD_EVENT: Final = insert(EVENTS)
_ADD_JOB: Final = insert(JOBS)


@dataclass(frozen=True)
class Change:
    """A transaction that writes. What is checked, is checked in it.

    Attributes:
        connection: its connection.
        now: the moment of all that it does.
    """

    connection: Connection
    now: datetime

    def event(self, kind: str, subject: str, by: Actor, facts: Facts) -> None:
        """Add an event. The chainer numbers it after the commit (event_chain).

        Args:
            kind: what happened, a word of the domain.
            subject: to what: the id of a card, a case, an order.
            by: who did it.
            facts: what else is to be known; of a change of state, all that it takes to do it again.
        """
        row = {
            "id": uuid4(),
            "at": self.now,
            "kind": kind,
            "subject": subject,
            "role": by.role.value,
            "name": by.name,
            "facts": write_facts(facts),
        }
        self.connection.execute(_ADD_EVENT, row)

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

    Raises:
        SchemaMissing, SchemaOlder, SchemaNewer: it is to be migrated (schema.migrate), or by another program.
        DatabaseUnknown, DatabaseExposed, StoreUnavailable: it cannot be used.
    """

    def __init__(self, address: str, clock: Clock) -> None:
        self._engines = make_engines(address)
        self._clock = clock
        require_current(self._engines)

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
        """
        with self._engines.change() as connection:
            yield Change(connection, self._clock())

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._engines.dispose()


def write_facts(facts: Facts) -> str:
    """Return facts as the one JSON that stands for them."""
    return json.dumps(dict(facts), sort_keys=True, separators=(",", ":"))
