# SPDX-License-Identifier: Apache-2.0
"""Who is logged in with a card: a row of the database for each login, judged anew at each request.

The browser holds an id that nobody can guess, and the database its digest. A session ends when it was not
used for a while, when its time is over, when the card's certificates are suspended or revoked, and when
somebody logs out.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, delete, insert, select, update

from xca_centre import certificate_sets, officers
from xca_centre.certificate_sets import CertificateSet
from xca_centre.life.certificate import CertificateState
from xca_centre.life.transitions import Actor, Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.store.database import Change
from xca_centre.store.tables import SESSIONS
from xca_login.http import new_id
from xca_login.login import Login

IDLE: Final = timedelta(minutes=30)
"""A session ends when it was not used for so long."""
LIFE: Final = timedelta(hours=8)
"""It ends then, however much it is used."""
MOST_OF_A_CARD: Final = 8
"""Open sessions of one card; the next one ends the oldest."""
_TOUCHED: Final = timedelta(minutes=1)
_LONGEST_NAME: Final = 64


class Kind(Enum):
    """Whose card it is."""

    HOLDER = "holder"
    OFFICER = "officer"


@dataclass(frozen=True)
class Session:
    """Who is logged in.

    Attributes:
        id: what the database keeps it under; opens nothing.
        certificates: the id of the certificates that logged in.
        card: card number; None: their key is on no card.
        organisation: its OID.
        rank: `primary` (正卡) or `secondary` (附卡).
        holder_name: the holder as people say it.
        is_accepted: whether the certificates are accepted. If not, that is all that may be done.
        officer: the officer whose card it is; None: it is none's.
        began: when.
        expires: when it ends, if it is not used any more.
    """

    id: str
    certificates: UUID
    card: str | None
    organisation: str
    rank: str
    holder_name: str
    is_accepted: bool
    officer: RegisteredOfficer | None
    began: datetime
    expires: datetime

    @property
    def kind(self) -> Kind:
        """Whose card it is."""
        return Kind.HOLDER if self.officer is None else Kind.OFFICER

    @property
    def actor(self) -> Actor:
        """Who acts as the holder."""
        return Actor(Role.HOLDER, self.card or str(self.certificates))


def stands(found: CertificateSet, now: datetime) -> bool:
    """Tell whether one may log in with certificates: they are valid, or can be accepted still.

    The database says so. Lists and OCSP call what is not accepted yet suspended.
    """
    if now > found.not_after:
        return False
    if found.standing.state is CertificateState.ISSUED:
        return now < found.lapses_at
    return found.standing.state is CertificateState.VALID


def begin(change: Change, login: Login) -> str:
    """Begin a session, and return what the browser keeps of it.

    Args:
        change: the change.
        login: verified. Whether its certificates stand is judged at each use, too.

    Raises:
        NoSuchCertificates: the centre did not issue them.
    """
    issued = certificate_sets.of_serial(change.connection, login.serial)
    own = SESSIONS.c.set == issued.id
    over = (SESSIONS.c.until <= change.now) | (SESSIONS.c.seen <= change.now - IDLE)
    change.connection.execute(delete(SESSIONS).where(over))
    others = select(SESSIONS.c.id).where(own).order_by(SESSIONS.c.at.desc(), SESSIONS.c.id)
    kept = change.connection.execute(others.limit(MOST_OF_A_CARD - 1)).scalars().all()
    change.connection.execute(delete(SESSIONS).where(own, SESSIONS.c.id.not_in(kept)))
    secret = new_id()
    row = {
        "id": digest_of(secret),
        "set": issued.id,
        "key": login.account.key,
        "holder_name": login.holder_name[:_LONGEST_NAME],
        "token": None if issued.accepted else login.evidence.token,
        "at": change.now,
        "seen": change.now,
        "until": change.now + LIFE,
    }
    change.connection.execute(insert(SESSIONS).values(row))
    officer = officers.of_key(change.connection, login.account.key)
    facts = {"card": issued.card or "", "serial": login.serial, "officer": officer.id if officer else ""}
    change.event("logged_in", str(issued.id), Actor(Role.HOLDER, issued.card or login.serial), facts)
    return secret


def find(connection: Connection, secret: str, now: datetime) -> Session | None:
    """Return the session that a browser's secret opens; None: there is none, or it has ended."""
    row = connection.execute(select(SESSIONS).where(SESSIONS.c.id == digest_of(secret))).one_or_none()
    if row is None or now >= (expires := _expiry(row)):
        return None
    issued = certificate_sets.find(connection, row.set)
    if not stands(issued, now):
        return None
    return Session(
        id=row.id,
        certificates=issued.id,
        card=issued.card,
        organisation=issued.organisation,
        rank=issued.rank,
        holder_name=row.holder_name,
        is_accepted=issued.accepted is not None,
        officer=officers.of_key(connection, row.key),
        began=row.at,
        expires=expires,
    )


def login_token(connection: Connection, session: Session) -> bytes | None:
    """Return what the card signed to log in, kept while its certificates are not accepted; None: they are."""
    token: bytes | None = connection.execute(
        select(SESSIONS.c.token).where(SESSIONS.c.id == session.id)
    ).scalar()
    return token


def is_stale(session: Session, now: datetime) -> bool:
    """Tell whether it is to be noted that a session is used: it was not for a minute."""
    return session.expires < min(now + IDLE - _TOUCHED, session.began + LIFE)


def touch(change: Change, session: Session) -> None:
    """Note that a session is used."""
    change.connection.execute(
        update(SESSIONS)
        .where(SESSIONS.c.id == session.id, SESSIONS.c.seen < change.now)
        .values(seen=change.now)
    )


def end(change: Change, secret: str) -> None:
    """End a session, if there is one."""
    change.connection.execute(delete(SESSIONS).where(SESSIONS.c.id == digest_of(secret)))


def digest_of(secret: str) -> str:
    """Return what is kept of a browser's secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _expiry(row: Row[Any]) -> datetime:
    expires: datetime = min(row.until, row.seen + IDLE)
    return expires
