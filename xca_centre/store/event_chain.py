# SPDX-License-Identifier: Apache-2.0
"""The chain of events: who changes, removes or inserts one is found out, although the database lets him.

A change adds its events unchained: to number them there, all changes would have to wait for one another. One
chainer at a time numbers and hashes what was committed. A head that was kept elsewhere proves all before it;
the journal keeps them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Column, Connection, Select, bindparam, func, insert, select, update

from xca_centre.store.database import Change, Database
from xca_centre.store.events import GENESIS, Event, select_events
from xca_centre.store.journal import Journal
from xca_centre.store.tables import EVENTS, JOURNALLED

_CHAINING: Final = 0x78636102
"""The number of the advisory lock of PostgreSQL that the chainer holds."""
_MOST: Final = 5000

_NUMBER: Final = (
    update(EVENTS)
    .where(EVENTS.c.id == bindparam("event"))
    .values(number=bindparam("next"), hash=bindparam("new"))
)


class Head(NamedTuple):
    """The last link of a chain.

    Attributes:
        number: how many events are chained.
        hash: of the last of them.
    """

    number: int
    hash: str


@dataclass(frozen=True)
class Audit:
    """What the chain proves.

    Attributes:
        head: the last link that is whole, with all before it.
        broken: the number of the first event that is missing or not what was chained; None: there is none.
        unchained: the ids of the events that were not chained yet, the oldest first.
    """

    head: Head
    broken: int | None
    unchained: Sequence[UUID]


def chain(database: Database, most: int = _MOST) -> int:
    """Chain what was committed, and bring what the last call chained to the journal. Of several, one works.

    Args:
        database: with its journal, if there is one.
        most: how many events at once.

    Returns:
        How many events were chained; 0: all are, or somebody else is at it.

    Raises:
        JournalUnavailable: nothing was chained.
        StoreUnavailable, ChangeUncertain: as of Database.change().
    """
    with database.change() as change:
        if not _is_alone(change.connection):
            return 0
        if database.journal:
            _bring(change.connection, database.journal)
        return _chain(change.connection, most)


def head(connection: Connection) -> Head:
    """Return the last link."""
    last = select(EVENTS.c.number, EVENTS.c.hash).order_by(EVENTS.c.number.desc())
    found = connection.execute(last.where(EVENTS.c.number.is_not(None)).limit(1)).one_or_none()
    return Head(*found) if found else Head(0, GENESIS)


def audit(connection: Connection, kept: Iterable[Head] = ()) -> Audit:
    """Compute the chain anew. It reads every event.

    Args:
        connection: of Database.read().
        kept: heads that were kept elsewhere. Without one nobody sees that the last events are gone.
    """
    expected: dict[int, set[str]] = {}
    for each in kept:
        expected.setdefault(each.number, set()).add(each.hash)
    ordered = select_events().where(EVENTS.c.number.is_not(None)).order_by(EVENTS.c.number)
    whole, broken = Head(0, GENESIS), None
    for row in connection.execution_options(yield_per=1000).execute(ordered):
        event = Event.of(row)
        number = whole.number + 1
        link = Head(number, event.hash_after(whole.hash, number))
        if (event.number, event.hash) != link or expected.get(number, set()) - {link.hash}:
            broken = number
            break
        whole = link
    if broken is None and any(number > whole.number for number in expected):
        broken = whole.number + 1
    return Audit(whole, broken, connection.execute(_unchained(EVENTS.c.id)).scalars().all())


def put_back(change: Change, events: Iterable[Event]) -> None:
    """Add events that a restored database does not have, as they were: the chain goes on where it was.

    Args:
        change: the change that does it.
        events: of missing_events(), in their order.
    """
    if change.connection.dialect.name == "postgresql":
        change.connection.execute(select(func.pg_advisory_xact_lock(_CHAINING)))
    last = head(change.connection)
    rows = []
    for event in events:
        link = Head(last.number + 1, event.hash_after(last.hash, last.number + 1))
        if (event.number, event.hash) == link:
            last = link
        else:  # nobody chained it, or only after another event that is lost
            event = replace(event, number=None, hash=None)
        rows.append(event.row())
    if rows:
        change.connection.execute(insert(EVENTS), rows)


def _is_alone(connection: Connection) -> bool:
    """Tell whether nobody else chains until this transaction ends. On SQLite nobody else writes."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(_CHAINING))).scalar_one())


def _unchained(*columns: Column[Any]) -> Select[Any]:
    return select(*columns).where(EVENTS.c.number.is_(None)).order_by(EVENTS.c.at, EVENTS.c.id)


def _chain(connection: Connection, most: int) -> int:
    last = head(connection)
    links = []
    for row in connection.execute(_unchained(*select_events().selected_columns).limit(most)).all():
        event = Event.of(row)
        number = last.number + 1
        last = Head(number, event.hash_after(last.hash, number))
        links.append({"event": event.id, "next": last.number, "new": last.hash})
    if links:
        connection.execute(_NUMBER, links)
    return len(links)


def _bring(connection: Connection, journal: Journal) -> None:
    """Append the chained events that are not in the journal as such. Once more does no harm.

    It also brings what a process committed and did not append, because it was killed between the two. Only
    what is committed as chained is appended: else the journal could have two events with one number.
    """
    mark = connection.execute(select(JOURNALLED.c.number)).scalar_one_or_none()
    newer = select_events().where(EVENTS.c.number > (mark or 0)).order_by(EVENTS.c.number)
    events = [Event.of(row) for row in connection.execute(newer)]
    if not events:
        return
    journal.append(events)
    write = insert(JOURNALLED) if mark is None else update(JOURNALLED)
    connection.execute(write.values(number=events[-1].number))
