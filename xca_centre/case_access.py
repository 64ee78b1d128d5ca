# SPDX-License-Identifier: Apache-2.0
"""Which browser may look at which application, and for how long: case number and user code were given in it.

A browser is known by a secret that it alone has. The id of an access stands in addresses, and opens nothing
elsewhere.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, delete, insert, select

from xca_centre import applications
from xca_centre.applications import Application
from xca_centre.drafts import FORGET, digest_of
from xca_centre.errors import CaseClosedToBrowser
from xca_centre.store.database import Change, Clock
from xca_centre.store.tables import CASE_ACCESSES

LIFE: Final = timedelta(minutes=30)
"""How long an access lasts."""
_MINUTES: Final = LIFE // timedelta(minutes=1)


def grant(change: Change, application: UUID, browser: str) -> UUID:
    """Let a browser look at an application; return the access's id.

    Args:
        change: the change.
        application: whose user code was proved.
        browser: what the browser alone knows. Only its digest is kept.
    """
    identity, until = uuid4(), change.now + LIFE
    row = {"id": identity, "browser": digest_of(browser), "application": application, "until": until}
    change.connection.execute(insert(CASE_ACCESSES).values(row))
    change.enqueue(FORGET, {}, not_before=until, key=FORGET)
    return identity


def application(connection: Connection, access: UUID, browser: str, clock: Clock) -> Application:
    """Return the application of an access.

    Raises:
        CaseClosedToBrowser: this browser has no such access, or not any more.
    """
    chosen = select(CASE_ACCESSES.c.application).where(
        CASE_ACCESSES.c.id == access,
        CASE_ACCESSES.c.browser == digest_of(browser),
        CASE_ACCESSES.c.until > clock(),
    )
    found = connection.execute(chosen).scalar()
    if found is None:
        raise CaseClosedToBrowser(minutes=_MINUTES)
    return applications.read(connection, found)


def find(connection: Connection, application: UUID, browser: str, clock: Clock) -> UUID:
    """Return the access that lets a browser look at an application for longest.

    Raises:
        CaseClosedToBrowser: this browser has none, or not any more.
    """
    accesses = CASE_ACCESSES.c
    chosen = (
        select(accesses.id)
        .where(accesses.application == application, accesses.browser == digest_of(browser))
        .where(accesses.until > clock())
        .order_by(accesses.until.desc(), accesses.id)
    )
    found: UUID | None = connection.execute(chosen.limit(1)).scalar()
    if found is None:
        raise CaseClosedToBrowser(minutes=_MINUTES)
    return found


def end(change: Change, access: UUID, browser: str) -> None:
    """End an access, if this browser has it, and all others that it has to the same application."""
    accesses = CASE_ACCESSES.c
    mine = accesses.browser == digest_of(browser)
    its = select(accesses.application).where(mine, accesses.id == access).scalar_subquery()
    change.connection.execute(delete(CASE_ACCESSES).where(mine, accesses.application == its))
