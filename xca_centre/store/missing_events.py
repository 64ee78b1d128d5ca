# SPDX-License-Identifier: Apache-2.0
"""Which events of the journal a database lacks: if there are any, it was restored from a backup."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, select

from xca_centre.store.events import Event
from xca_centre.store.tables import EVENTS

_AT_ONCE: Final = 500


def missing_events(connection: Connection, events: Iterable[Event]) -> Sequence[Event]:
    """Return the events that a database lacks, each once: the chained ones in their order, then by time.

    Those of one moment are in the order of the journal.

    Args:
        connection: of the database.
        events: of a journal. While others write, they are read before the connection is opened: an event is
            in the journal after it is in the database.
    """
    missing: dict[UUID, Event] = {}
    waiting: dict[UUID, Event] = {}
    for event in events:
        _put(waiting, event)
        if len(waiting) == _AT_ONCE:
            _keep_missing(connection, waiting, missing)
    _keep_missing(connection, waiting, missing)
    return sorted(missing.values(), key=_order)


def _order(event: Event) -> tuple[bool, int, datetime]:
    return event.number is None, event.number or 0, event.at


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
