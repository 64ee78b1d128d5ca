# SPDX-License-Identifier: Apache-2.0
"""A database that was restored from a backup lacks what happened since. The journal has it.

Until it is merged the centre signs nothing: its lists and answers would say "good" of what was revoked.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, select

from xca_centre.errors import JournalAhead
from xca_centre.store.database import Change, Database
from xca_centre.store.event_chain import put_back
from xca_centre.store.events import Event
from xca_centre.store.journal import Journal
from xca_centre.store.tables import EVENTS

Redo: TypeAlias = Callable[[Change, Sequence[Event]], None]
"""Writes again what some events did, as far as it was lost."""

_AT_ONCE: Final = 500


def missing_events(connection: Connection, journal: Journal) -> Sequence[Event]:
    """Return the events of a journal that a database lacks: the chained ones in their order, then by time.

    It reads the whole journal. A damaged line is left out: the last one of a file was never answered for, of
    others Journal.read() tells.

    Raises:
        JournalUnavailable: it cannot be read.
    """
    missing: dict[UUID, Event] = {}
    waiting: dict[UUID, Event] = {}
    for line in journal.read():
        if line.event:
            _put(waiting, line.event)
            if len(waiting) == _AT_ONCE:
                _keep_missing(connection, waiting, missing)
    _keep_missing(connection, waiting, missing)
    return sorted(missing.values(), key=_order)


def require_merged(database: Database, journal: Journal) -> None:
    """See that a database has all events of the journal. Who signs calls this when he starts.

    Raises:
        JournalAhead: it lacks some: it was restored from a backup.
        JournalUnavailable: the journal cannot be read.
        StoreUnavailable: as of Database.read().
    """
    with database.read() as connection:
        if missing := missing_events(connection, journal):
            raise JournalAhead(count=len(missing))


def merge(database: Database, redo: Iterable[Redo]) -> int:
    """Add what the journal has and the database lacks: the events, and what they did. In one change.

    The last published lists are to be merged, too (certificate_sets.merge_list): the disk of the journal
    may be the one that was lost.

    Args:
        database: the restored one, with its journal. Nobody else works with it.
        redo: what writes again what events did, for each kind of thing that is not to be lost.

    Returns:
        How many events were missing.

    Raises:
        JournalUnavailable: the journal cannot be read.
        StoreUnavailable, ChangeUncertain: as of Database.change().
    """
    with database.change() as change:
        missing = missing_events(change.connection, database.journal) if database.journal else ()
        put_back(change, missing)
        for each in redo:
            each(change, missing)
    return len(missing)


def _order(event: Event) -> tuple[bool, int, datetime, UUID]:
    return event.number is None, event.number or 0, event.at, event.id


def _put(events: dict[UUID, Event], event: Event) -> None:
    """Put an event among others. It may be there, without its number."""
    if event.id not in events or event.number is not None:
        events[event.id] = event


def _keep_missing(connection: Connection, waiting: dict[UUID, Event], missing: dict[UUID, Event]) -> None:
    found = set(connection.execute(select(EVENTS.c.id).where(EVENTS.c.id.in_(waiting))).scalars())
    for event in waiting.values():
        if event.id not in found:
            _put(missing, event)
    waiting.clear()
