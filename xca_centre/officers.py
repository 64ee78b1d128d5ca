# SPDX-License-Identifier: Apache-2.0
"""Officers: who reviews applications (註冊窗口審驗人員), who runs the centre, and their cards.

An officer who leaves is made inactive, and never removed: the events name him.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cryptography import x509
from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from xca_centre import organisations
from xca_centre.applications import Officer
from xca_centre.errors import BadOfficer, ForeignCounter, OfficerCardTaken, OfficerUnknown
from xca_centre.i18n import text
from xca_centre.life.application import Reviewer
from xca_centre.life.transitions import OFFICERS as REVIEWERS
from xca_centre.life.transitions import Actor, Role
from xca_centre.organisations import Organisation
from xca_centre.plain_text import objection
from xca_centre.store.database import Change
from xca_centre.store.events import Event, read_facts
from xca_centre.store.restored import Loss
from xca_centre.store.tables import OFFICERS, STAFF_CHANGES
from xca_login.keys import key_of

ROLES: Final = (*sorted(REVIEWERS), Role.OPERATOR)
"""What an officer may be; one may be several."""
_ID: Final = re.compile("[a-z0-9][a-z0-9-]{0,31}")
_LONGEST: Final = 64
_RECORDED: Final = "officer_recorded"
_CARD_GIVEN: Final = "officer_card_given"
_DEACTIVATED: Final = "officer_deactivated"
CHANGE_DROPPED: Final = "staff_change_dropped"
"""The kind of the event that says that nothing becomes of a proposal about an officer."""
_KINDS: Final = frozenset({_RECORDED, _CARD_GIVEN, _DEACTIVATED, CHANGE_DROPPED})


@dataclass(frozen=True)
class RegisteredOfficer:
    """An officer, as the centre knows him.

    Attributes:
        id: by which events name him.
        name: as people call him.
        roles: of ROLES.
        counter: the registration counter of his first reviews; None: all, or none.
        card: number of the card that he logs in with; None: he has none yet.
        key: SHA-256 of its key for signatures (Account.key), hexadecimal; None: likewise.
        is_active: whether he may act.
    """

    id: str
    name: str
    roles: frozenset[Role]
    counter: str | None
    card: str | None
    key: str | None
    is_active: bool

    @property
    def own_counter(self) -> str | None:
        """The only registration counter for whose organisations he acts; None: he acts for all."""
        return self.counter if self.roles == {Role.FIRST_REVIEWER} else None

    def acting(self, role: Role) -> Officer | None:
        """Return him as one who reviews in a role; None: he may not."""
        if not self.is_active or self.key is None or role not in self.roles & REVIEWERS:
            return None
        counter = self.counter if role is Role.FIRST_REVIEWER else None
        return Officer(Reviewer(self.id, self.key), role, counter)


def record(
    change: Change, officer: str, name: str, roles: Collection[Role], counter: str | None, by: Actor
) -> RegisteredOfficer:
    """Record an officer, or what has changed of one. His card stays; he is active.

    Args:
        change: the change.
        officer: his id: 1 to 32 small letters, digits and hyphens.
        name: as people call him.
        roles: of ROLES.
        counter: the registration counter of his first reviews; None: all.
        by: who records him.

    Raises:
        BadOfficer: something cannot be recorded.
    """
    check(officer, name, roles, counter)
    written = " ".join(sorted(role.value for role in roles))
    _record(change, officer, {"name": name, "roles": written, "counter": counter})
    change.event(_RECORDED, officer, by, {"name": name, "roles": written, "counter": counter or ""})
    return find(change.connection, officer)


def check(officer: str, name: str, roles: Collection[Role], counter: str | None) -> None:
    """Refuse what record() cannot record.

    Raises:
        BadOfficer: something cannot be recorded.
    """
    if not _ID.fullmatch(officer):
        detail = text("{value} is no id of an officer: small letters, digits and hyphens, 32 at most")
        raise BadOfficer(detail=detail.format(value=officer))
    for value, what in ((name, text("the name")), (counter, text("the registration counter"))):
        if value is not None and (wrong := objection(value, what, _LONGEST)):
            raise BadOfficer(detail=wrong)
    if not roles or not set(roles) <= set(ROLES):
        raise BadOfficer(detail=text("the roles are of {roles}").format(roles=[role.value for role in ROLES]))


def give_card(change: Change, officer: str, card: str, key: str, by: Actor) -> None:
    """Let an officer log in with a card; not with the one before any more. A second time changes nothing.

    Args:
        change: the change.
        officer: his id.
        card: card number.
        key: SHA-256 of its key for signatures, hexadecimal.
        by: who gives it.

    Raises:
        OfficerUnknown: there is no such officer.
        OfficerCardTaken: it is another officer's.
    """
    before = find(change.connection, officer)
    if (before.card, before.key) == (card, key):
        return
    require_free(change.connection, officer, card, key)
    change.connection.execute(_own(officer).values(card=card, key=key))
    change.event(_CARD_GIVEN, officer, by, {"card": card, "key": key})


def require_free(connection: Connection, officer: str, card: str, key: str) -> None:
    """See that a card is no other officer's.

    Raises:
        OfficerCardTaken: it is.
    """
    taken = (OFFICERS.c.card == card) | (OFFICERS.c.key == key)
    other = select(OFFICERS.c.id).where(taken, OFFICERS.c.id != officer)
    if (name := connection.execute(other).scalar()) is not None:
        raise OfficerCardTaken(officer=name)


def require_counter(connection: Connection, organisation: str, officer: RegisteredOfficer) -> Organisation:
    """Return an organisation, for an officer who may act for it.

    Raises:
        OrganisationUnknown: the register has none of this OID.
        ForeignCounter: it belongs to another counter.
    """
    found = organisations.organisation(connection, organisation)
    if officer.own_counter not in (None, found.counter):
        raise ForeignCounter(counter=found.counter)
    return found


def key_digest(certificate: x509.Certificate) -> str:
    """Return SHA-256 of a certified key, as Account.key has it."""
    return sha256(key_of(certificate)).hexdigest()


def deactivate(change: Change, officer: str, by: Actor) -> None:
    """Let an officer act no more. A second time changes nothing.

    Raises:
        OfficerUnknown: there is no such officer.
    """
    if find(change.connection, officer).is_active:
        change.connection.execute(_own(officer).values(is_active=False))
        change.event(_DEACTIVATED, officer, by, {})


def redo(change: Change, events: Sequence[Event]) -> Sequence[Loss]:
    """Record again who became an officer, has another card, or acts no more (restored.merge).

    What was proposed about one of them before is gone: it was decided, and is proposed again if it was not.
    """
    told = [(event.kind, event.subject, read_facts(event.facts)) for event in events if event.kind in _KINDS]
    for kind, officer, facts in told:
        change.connection.execute(delete(STAFF_CHANGES).where(STAFF_CHANGES.c.officer == officer))
        if kind == _RECORDED:
            counter = facts["counter"] or None
            _record(change, officer, {"name": facts["name"], "roles": facts["roles"], "counter": counter})
        elif kind == _DEACTIVATED:
            change.connection.execute(_own(officer).values(is_active=False))
    # Somebody is recorded and given a card in one change: events of one moment have no order.
    for kind, officer, facts in told:
        if kind == _CARD_GIVEN:
            was = (OFFICERS.c.card == facts["card"]) | (OFFICERS.c.key == facts["key"])
            change.connection.execute(update(OFFICERS).where(was).values(card=None, key=None))
            change.connection.execute(_own(officer).values(card=facts["card"], key=facts["key"]))
    return ()


def find(connection: Connection, officer: str) -> RegisteredOfficer:
    """Return an officer.

    Raises:
        OfficerUnknown: there is no such officer.
    """
    row = connection.execute(_all().where(OFFICERS.c.id == officer)).one_or_none()
    if row is None:
        raise OfficerUnknown(officer=officer)
    return _read(row)


def lock(change: Change, *officers: str) -> dict[str, RegisteredOfficer]:
    """Return those of some officers who are recorded, by id. They stay as they are until the change ends."""
    chosen = _all().where(OFFICERS.c.id.in_(officers)).order_by(OFFICERS.c.id).with_for_update()
    return {row.id: _read(row) for row in change.connection.execute(chosen)}


def of_key(connection: Connection, key: str) -> RegisteredOfficer | None:
    """Return the active officer whose card has a key (Account.key of his login); None: it is nobody's."""
    row = connection.execute(_all().where(OFFICERS.c.key == key, OFFICERS.c.is_active)).one_or_none()
    return None if row is None else _read(row)


def everybody(connection: Connection) -> Sequence[RegisteredOfficer]:
    """Return all officers, by id."""
    return [_read(row) for row in connection.execute(_all().order_by(OFFICERS.c.id))]


def _record(change: Change, officer: str, values: Mapping[str, object]) -> None:
    active = {**values, "is_active": True}
    if not change.connection.execute(_own(officer).values(active)).rowcount:
        change.connection.execute(insert(OFFICERS).values(id=officer, **active))


def _all() -> Select[Any]:
    return select(OFFICERS)


def _own(officer: str) -> Any:
    return update(OFFICERS).where(OFFICERS.c.id == officer)


def _read(row: Row[Any]) -> RegisteredOfficer:
    roles = frozenset(map(Role, row.roles.split()))
    return RegisteredOfficer(row.id, row.name, roles, row.counter, row.card, row.key, row.is_active)
