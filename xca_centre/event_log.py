# SPDX-License-Identifier: Apache-2.0
"""The log that officers read: events by who, when and what about, the newest first.

It shows what the chain of events keeps, but for what is only there to be written again after a restore.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from xca_centre import case_number
from xca_centre.errors import BadCaseNumber
from xca_centre.store.events import Event, read_facts, select_events
from xca_centre.store.tables import (
    APPLICATIONS,
    CERTIFICATE_SETS,
    CERTIFICATES,
    EVENTS,
    OFFICERS,
    ORDERS,
    ORGANISATIONS,
)
from xca_common import taipei

PAGE: Final = 50
"""Events that are read at a time."""
LONGEST: Final = 128
"""Characters of what is searched for."""
_LONGEST_FACT: Final = 120
_MOST_SUBJECTS: Final = 100


@dataclass(frozen=True)
class LogFilter:
    """Which events are looked for; "" and None: whatever it is.

    Attributes:
        person: who did it: id of an officer, card number, case number.
        about: what it happened to: a case number, a card or serial number, an OID, the id of an officer.
        kind: the beginning of the event's kind.
        first_day, last_day: the days, in Taipei, between which it happened.
    """

    person: str = ""
    about: str = ""
    kind: str = ""
    first_day: date | None = None
    last_day: date | None = None


class SubjectKind(Enum):
    """What an event is about, where that has a page."""

    CASE = "case"
    CERTIFICATES = "certificates"
    ORGANISATION = "organisation"
    OFFICER = "officer"


@dataclass(frozen=True)
class Subject:
    """What an event is about, as people know it.

    Attributes:
        kind: what it is.
        id: by which its page is found.
        name: a case number, a card or serial number, the name of an organisation or an officer.
    """

    kind: SubjectKind
    id: str
    name: str


@dataclass(frozen=True)
class Position:
    """A place in the log: that of the last event which was read.

    Attributes:
        at: when it happened.
        id: which of those of this moment it is.
    """

    at: datetime
    id: UUID


def read(
    connection: Connection, wanted: LogFilter, after: Position | None = None, most: int = PAGE
) -> Sequence[Event]:
    """Return events, the newest first.

    Args:
        connection: for reading.
        wanted: which ones.
        after: where the page before this one ended; None: this is the first.
        most: how many at most.
    """
    conditions: list[ColumnElement[bool]] = []
    if wanted.person:
        conditions.append(EVENTS.c.name.in_(_ways(wanted.person)))
    if wanted.about:
        conditions.append(EVENTS.c.subject.in_(_subjects(connection, wanted.about)))
    if wanted.kind:
        conditions.append(EVENTS.c.kind.startswith(wanted.kind, autoescape=True))
    if wanted.first_day:
        conditions.append(EVENTS.c.at >= taipei.midnight(wanted.first_day))
    if wanted.last_day and wanted.last_day < date.max:
        conditions.append(EVENTS.c.at < taipei.midnight(wanted.last_day + timedelta(days=1)))
    if after is not None:
        same_moment = and_(EVENTS.c.at == after.at, EVENTS.c.id < after.id)
        conditions.append(or_(EVENTS.c.at < after.at, same_moment))
    chosen = select_events().where(*conditions).order_by(EVENTS.c.at.desc(), EVENTS.c.id.desc())
    return [Event.of(row) for row in connection.execute(chosen.limit(most))]


def of_subjects(connection: Connection, subjects: Sequence[str], most: int = 2 * PAGE) -> Sequence[Event]:
    """Return what happened to some things, the newest first."""
    chosen = select_events().where(EVENTS.c.subject.in_(subjects))
    newest_first = chosen.order_by(EVENTS.c.at.desc(), EVENTS.c.id.desc())
    return [Event.of(row) for row in connection.execute(newest_first.limit(most))]


def subjects(connection: Connection, events: Sequence[Event]) -> Mapping[str, Subject]:
    """Return what events are about, by their subjects; what has no page is left out."""
    named = {event.subject for event in events}
    found = dict[str, Subject]()
    identities = list(filter(None, map(_identity, named)))
    case, issued = APPLICATIONS.c, CERTIFICATE_SETS.c
    is_it = case.id.in_(identities) | case.code.in_(identities) | case.case_number.in_(named)
    for each in connection.execute(select(case.id, case.code, case.case_number).where(is_it)):
        subject = Subject(SubjectKind.CASE, str(each.id), case_number.shown(each.case_number))
        found |= dict.fromkeys((str(each.id), str(each.code), each.case_number), subject)
    serial = select(func.min(CERTIFICATES.c.serial)).where(CERTIFICATES.c.set == issued.id).scalar_subquery()
    sets = select(issued.id, func.coalesce(issued.card, serial)).where(issued.id.in_(identities))
    for identity, name in connection.execute(sets):
        found[str(identity)] = Subject(SubjectKind.CERTIFICATES, str(identity), name)
    registers = (
        (SubjectKind.ORGANISATION, ORGANISATIONS, ORGANISATIONS.c.oid),
        (SubjectKind.OFFICER, OFFICERS, OFFICERS.c.id),
    )
    for kind, table, key in registers:
        for identity, name in connection.execute(select(key, table.c.name).where(key.in_(named))):
            found[identity] = Subject(kind, identity, name)
    return found


def _identity(subject: str) -> UUID | None:
    try:
        return UUID(subject)
    except ValueError:
        return None


def shown_facts(event: Event) -> list[tuple[str, str]]:
    """Return the facts of an event as they are shown: without certificates, and none very long."""
    facts = [(name, str(value)) for name, value in read_facts(event.facts).items()]
    return [(name, _cut(value)) for name, value in facts if not name.startswith("der")]


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST_FACT else f"{value[:_LONGEST_FACT]}…"


def _ways(typed: str) -> set[str]:
    """Return what was typed, as events may have it."""
    plain = typed.strip()[:LONGEST]
    if not plain.isprintable():  # no event has it, and no database takes all of it
        return set()
    ways = {plain, plain.upper(), plain.lower()}
    with suppress(BadCaseNumber):
        ways.add(case_number.read(plain))
    return ways


def _subjects(connection: Connection, typed: str) -> set[str]:
    """Return the subjects of events about what was typed: of a case also its user code and certificates."""
    ways = _ways(typed)
    found = set(ways)
    cases = select(APPLICATIONS.c.id, APPLICATIONS.c.code, ORDERS.c.certificates).outerjoin_from(
        APPLICATIONS, ORDERS
    )
    about_case = or_(
        APPLICATIONS.c.case_number.in_(ways), ORDERS.c.card.in_(ways), APPLICATIONS.c.organisation.in_(ways)
    )
    sets = select(CERTIFICATE_SETS.c.id).join(CERTIFICATES, CERTIFICATES.c.set == CERTIFICATE_SETS.c.id)
    about_set = or_(
        CERTIFICATE_SETS.c.card.in_(ways),
        CERTIFICATES.c.serial.in_(ways),
        CERTIFICATE_SETS.c.organisation.in_(ways),
    )
    for chosen in (cases.where(about_case), sets.where(about_set)):
        for row in connection.execute(chosen.limit(_MOST_SUBJECTS)):
            found.update(str(value) for value in row if value is not None)
    return found
