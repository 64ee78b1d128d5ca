# SPDX-License-Identifier: Apache-2.0
"""Scans of what came on paper with an application: the letter, and the form with its stamp.

They are kept in the database with the application, for the second review and for whoever asks later. Nothing
here reads more of one than its first bytes: it is kept as it came, and given out as a file only.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, func, select

from xca_centre import applications
from xca_centre.applications import Application, Officer
from xca_centre.errors import NoScan, ScanUnusable, TooManyScans, WrongState
from xca_centre.i18n import text
from xca_centre.life.application import ApplicationState
from xca_centre.store.database import Change
from xca_centre.store.events import Facts
from xca_centre.store.tables import SCANS

MOST_BYTES: Final = 3 << 20
"""Of one scan."""
MOST: Final = 8
"""Scans of one application."""
SCANNED: Final = "application_scanned"
"""The kind of the event that says that a scan is kept."""
_TYPES: Final = {b"%PDF-": "pdf", b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
"""The first bytes of what is taken, and what it is."""
_KEEPING: Final = text("Keeping of a scan")
_STATES: Final = frozenset(
    {
        ApplicationState.SUBMITTED,
        ApplicationState.PAID,
        ApplicationState.LETTER_ARRIVED,
        ApplicationState.FIRST_REVIEW,
        ApplicationState.SECOND_REVIEW,
        ApplicationState.RETURNED,
    }
)
"""In which paper of an application matters."""


@dataclass(frozen=True)
class Scan:
    """A scan, without its content.

    Attributes:
        id: by which it is read.
        application: the application that it came with.
        kind: pdf, png or jpeg.
        size: in bytes.
        added: when.
        person: id of the officer who added it.
    """

    id: UUID
    application: UUID
    kind: str
    size: int
    added: datetime
    person: str


def add(change: Change, application: UUID, content: bytes, officer: Officer) -> None:
    """Keep a scan. One with the same content, a second time, changes nothing.

    Raises:
        ApplicationUnknown: there is no such application.
        ForeignCounter: its organisation belongs to another counter.
        WrongState: paper does not matter to it now.
        ScanUnusable: it is empty, too big, or neither PDF nor PNG nor JPEG.
        TooManyScans: the application has as many as it may have.
    """
    case = applications.lock(change, application, officer)
    if case.state not in _STATES:
        raise WrongState(state=case.state.said, event=_KEEPING)
    kind = next((kind for start, kind in _TYPES.items() if content.startswith(start)), None)
    if kind is None or len(content) > MOST_BYTES:
        raise ScanUnusable(megabytes=MOST_BYTES >> 20)
    digest = hashlib.sha256(content).hexdigest()
    own = SCANS.c.application == application
    known = select(SCANS.c.id).where(own, SCANS.c.digest == digest)
    if change.connection.execute(known).first() is not None:
        return
    if change.connection.execute(select(func.count()).where(own)).scalar_one() >= MOST:
        raise TooManyScans(most=MOST)
    row = {
        "id": uuid4(),
        "application": application,
        "kind": kind,
        "size": len(content),
        "digest": digest,
        "content": content,
        "added": change.now,
        "person": officer.reviewer.person,
    }
    change.connection.execute(change.insert(SCANS).values(row))
    facts: Facts = {"sha256": digest, "bytes": len(content), "kind": kind}
    change.event(SCANNED, str(application), officer.actor, facts)


def of_application(connection: Connection, application: UUID) -> Sequence[Scan]:
    """Return the scans of an application, the oldest first."""
    own = select(*_OF_A_SCAN).where(SCANS.c.application == application)
    return [_read(row) for row in connection.execute(own.order_by(SCANS.c.added, SCANS.c.id))]


def content(connection: Connection, scan: UUID, officer: Officer) -> tuple[Scan, bytes, Application]:
    """Return a scan, what is in it, and its application.

    Raises:
        NoScan: there is no such scan.
        ForeignCounter: its application is another counter's.
    """
    chosen = select(*_OF_A_SCAN, SCANS.c.content).where(SCANS.c.id == scan)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise NoScan
    return _read(row), row.content, applications.of_officer(connection, row.application, officer)


_OF_A_SCAN: Final = (
    SCANS.c.id,
    SCANS.c.application,
    SCANS.c.kind,
    SCANS.c.size,
    SCANS.c.added,
    SCANS.c.person,
)


def _read(row: Any) -> Scan:
    return Scan(row.id, row.application, row.kind, row.size, row.added, row.person)
