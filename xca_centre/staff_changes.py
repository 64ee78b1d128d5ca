# SPDX-License-Identifier: Apache-2.0
"""Appointments and dismissals of officers: by two other officers, or by an operator alone.

One proposes, and another person with another card supports it; then it takes effect. An officer of first
reviews has a say about those of his own counter, one of second reviews about all registration officers, and
an operator about everybody; nobody has one about himself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from cryptography import x509
from sqlalchemy import ColumnElement, Connection, Row, delete, select

from xca_centre import certificate_sets, officers
from xca_centre.errors import (
    AboutYourself,
    OfficerCardUnusable,
    OfficerUnknown,
    SameProposer,
    StaffChangeGone,
    StaffChangeNotYours,
    StaffChangeOpen,
    StaffChangeRefused,
)
from xca_centre.i18n import text
from xca_centre.life.certificate import CertificateState
from xca_centre.life.transitions import Actor, Role, Word
from xca_centre.officers import RegisteredOfficer
from xca_centre.store.database import Change
from xca_centre.store.tables import STAFF_CHANGES

LIFE: Final = timedelta(days=14)
"""How long a proposal waits for its supporter."""
_STANDING: Final = (Role.OPERATOR, Role.SECOND_REVIEWER, Role.FIRST_REVIEWER)
"""In which of his roles an officer has his say: the first that he has."""


class StaffAct(Word):
    """What becomes of an officer."""

    APPOINT = "appoint", text("Appointment")
    """Also with other roles, or another card, than before."""
    DISMISS = "dismiss", text("Dismissal")


@dataclass(frozen=True)
class Appointment:
    """What an officer is to be.

    Attributes:
        officer: his id.
        name: as people call him.
        roles: of officers.ROLES.
        counter: the registration counter of his first reviews; None: all, or none.
        card: number of his card: one of this centre's, with valid certificates.
    """

    officer: str
    name: str
    roles: frozenset[Role]
    counter: str | None
    card: str


@dataclass(frozen=True)
class StaffChange:
    """A proposal that waits for its supporter.

    Attributes:
        id: by which it is supported.
        act: what is proposed.
        officer: the id of the officer whom it is about.
        appointment: what he is to be; None: he is to be dismissed.
        proposer: id of the officer who proposed it.
        proposer_key: the key of the card with which he did.
        until: when it ends, if nobody supports it.
    """

    id: UUID
    act: StaffAct
    officer: str
    appointment: Appointment | None
    proposer: str
    proposer_key: str
    until: datetime


def appoint(change: Change, wanted: Appointment, by: RegisteredOfficer) -> StaffChange | None:
    """Propose that somebody becomes an officer, or has other roles or another card.

    Returns:
        The proposal; None: an operator asked for it, and it took effect.

    Raises:
        BadOfficer: something cannot be recorded.
        OfficerCardUnusable, OfficerCardTaken: the card cannot be his.
        AboutYourself, StaffChangeNotYours: who asks has no say about him.
        StaffChangeOpen: another proposal about him is waiting.
    """
    officers.check(wanted.officer, wanted.name, wanted.roles, wanted.counter)
    officers.require_free(change.connection, wanted.officer, wanted.card, key_of_card(change, wanted.card))
    return _propose(change, StaffAct.APPOINT, wanted.officer, wanted, by)


def give_card(change: Change, officer: str, card: str, by: RegisteredOfficer) -> StaffChange | None:
    """Propose that an officer who acts logs in with another card, and stays what he is otherwise.

    Returns, and raises what appoint() does; also:
        OfficerUnknown: there is no such officer, or he acts no more.
    """
    found = _locked(change, by, officer).get(officer)
    if found is None or not found.is_active:
        raise OfficerUnknown(officer=officer)
    return appoint(change, Appointment(officer, found.name, found.roles, found.counter, card), by)


def dismiss(change: Change, officer: str, by: RegisteredOfficer) -> StaffChange | None:
    """Propose that an officer acts no more.

    Returns:
        The proposal; None: an operator asked for it, and it took effect.

    Raises:
        OfficerUnknown: there is no such officer, or he acts no more.
        AboutYourself, StaffChangeNotYours: who asks has no say about him.
        StaffChangeOpen: another proposal about him is waiting.
    """
    if not officers.find(change.connection, officer).is_active:
        raise OfficerUnknown(officer=officer)
    return _propose(change, StaffAct.DISMISS, officer, None, by)


def support(change: Change, proposal: UUID, by: RegisteredOfficer) -> None:
    """Support a proposal: it takes effect.

    Raises:
        StaffChangeGone: it took effect, was dropped, or has ended.
        SameProposer: who proposed it does not support it, and neither does his card.
        AboutYourself, StaffChangeNotYours: who supports has no say about the officer.
        OfficerCardUnusable, OfficerCardTaken: the card cannot be his any more.
    """
    waiting, staff = _taken(change, proposal, by)
    who = staff[by.id]
    if _proposed(who, waiting):
        raise SameProposer
    role = _entitled(who, staff, waiting.officer, waiting.appointment)
    # Who proposed it may have left, or have another role now.
    _entitled(staff[waiting.proposer], staff, waiting.officer, waiting.appointment)
    _take_effect(change, waiting.officer, waiting.appointment, Actor(role, who.id))


def drop(change: Change, proposal: UUID, by: RegisteredOfficer) -> None:
    """Drop a proposal.

    Raises:
        StaffChangeGone: it took effect, was dropped, or has ended.
        AboutYourself, StaffChangeNotYours: who drops it has no say about the officer.
    """
    waiting, staff = _taken(change, proposal, by)
    role = _entitled(staff[by.id], staff, waiting.officer, waiting.appointment)
    change.event(officers.CHANGE_DROPPED, waiting.officer, Actor(role, by.id), {"act": waiting.act.value})


def waiting(connection: Connection, now: datetime) -> Sequence[StaffChange]:
    """Return the proposals that wait for a supporter, the oldest first."""
    chosen = select(STAFF_CHANGES).where(STAFF_CHANGES.c.until > now).order_by(STAFF_CHANGES.c.until)
    return [_read(row) for row in connection.execute(chosen)]


def has_a_say(by: RegisteredOfficer, about: RegisteredOfficer) -> bool:
    """Tell whether an officer may propose, support or drop something about another one."""
    return by.id != about.id and _role(by, [(about.roles, about.counter)]) is not None


def sees(officer: RegisteredOfficer, other: RegisteredOfficer) -> bool:
    """Tell whether an officer is shown another one: who acts for one counter sees those of that counter."""
    return officer.own_counter is None or officer.id == other.id or has_a_say(officer, other)


def roles_to_give(by: RegisteredOfficer) -> Sequence[Role]:
    """Return the roles that an officer may propose others for."""
    return [role for role in officers.ROLES if _role(by, [(frozenset({role}), by.counter)]) is not None]


@dataclass(frozen=True)
class Waiting:
    """A proposal, as an officer who has a say about it looks at it.

    Attributes:
        change: the proposal.
        before: the officer whom it is about, as he is; None: he is none yet.
        proposer: who proposed it.
        is_own: whether it is his own, or of his card: he does not support it.
    """

    change: StaffChange
    before: RegisteredOfficer | None
    proposer: RegisteredOfficer
    is_own: bool


def waiting_for(connection: Connection, by: RegisteredOfficer, now: datetime) -> Sequence[Waiting]:
    """Return the proposals that an officer may support or drop, the oldest first."""
    staff = {each.id: each for each in officers.everybody(connection)}
    found = []
    for each in waiting(connection, now):
        try:
            _entitled(by, staff, each.officer, each.appointment)
        except StaffChangeRefused:
            continue
        is_own = _proposed(by, each)
        found.append(Waiting(each, staff.get(each.officer), staff[each.proposer], is_own))
    return found


def _propose(
    change: Change, act: StaffAct, officer: str, wanted: Appointment | None, by: RegisteredOfficer
) -> StaffChange | None:
    staff = _locked(change, by, officer)
    role = _entitled(staff[by.id], staff, officer, wanted)
    if role is Role.OPERATOR:
        _take_effect(change, officer, wanted, Actor(role, by.id))
        return None
    change.connection.execute(delete(STAFF_CHANGES).where(STAFF_CHANGES.c.until <= change.now))
    identity = uuid4()
    row = {
        "id": identity,
        "act": act.value,
        "officer": officer,
        "proposer": by.id,
        "proposer_key": by.key,
        "until": change.now + LIFE,
        **(_columns(wanted) if wanted else {}),
    }
    added = change.insert(STAFF_CHANGES).values(row).on_conflict_do_nothing(index_elements=["officer"])
    if change.connection.execute(added.returning(STAFF_CHANGES.c.id)).one_or_none() is None:
        raise StaffChangeOpen(officer=officer)
    facts = {"act": act.value, **({"card": wanted.card, "roles": _written(wanted.roles)} if wanted else {})}
    change.event("staff_change_proposed", officer, Actor(role, by.id), facts)
    return _read(change.connection.execute(select(STAFF_CHANGES).where(_is(identity))).one())


def _take_effect(change: Change, officer: str, wanted: Appointment | None, by: Actor) -> None:
    change.connection.execute(delete(STAFF_CHANGES).where(STAFF_CHANGES.c.officer == officer))
    if wanted is None:
        officers.deactivate(change, officer, by)
        return
    officers.record(change, officer, wanted.name, wanted.roles, wanted.counter, by)
    officers.give_card(change, officer, wanted.card, key_of_card(change, wanted.card), by)


def _locked(change: Change, by: RegisteredOfficer, *officers_too: str) -> Mapping[str, RegisteredOfficer]:
    """Return officers as they are now: who acts may have been dismissed, or have another card."""
    staff = officers.lock(change, by.id, *officers_too)
    if by.id not in staff or staff[by.id].key != by.key:
        raise StaffChangeNotYours
    return staff


def _entitled(
    who: RegisteredOfficer, staff: Mapping[str, RegisteredOfficer], officer: str, wanted: Appointment | None
) -> Role:
    """Return in which role an officer has his say about another one, as he is and as he is to be."""
    if who.id == officer:
        raise AboutYourself
    about = [] if wanted is None else [(wanted.roles, wanted.counter)]
    if officer in staff:
        about.append((staff[officer].roles, staff[officer].counter))
    role = _role(who, about)
    if role is None or not who.is_active or who.key is None:
        raise StaffChangeNotYours
    return role


def _proposed(who: RegisteredOfficer, proposal: StaffChange) -> bool:
    """Tell whether an officer, or his card, made a proposal."""
    return who.id == proposal.proposer or who.key == proposal.proposer_key


def _role(who: RegisteredOfficer, about: Sequence[tuple[frozenset[Role], str | None]]) -> Role | None:
    """Return in which role an officer has his say about what others are."""
    role = next((each for each in _STANDING if each in who.roles), None)
    if role is Role.OPERATOR:
        return role
    if any(Role.OPERATOR in roles for roles, _ in about):
        return None
    if role is Role.FIRST_REVIEWER:
        its_own = (frozenset({Role.FIRST_REVIEWER}), who.counter)
        return role if all(each == its_own for each in about) else None
    return role


def key_of_card(change: Change, card: str) -> str:
    """Return the key of a card with which an officer can log in, as Account.key has it.

    Raises:
        OfficerCardUnusable: it is no card of this centre, or its certificates are not valid.
    """
    for issued in certificate_sets.of_card(change.connection, card):
        if issued.standing.state is CertificateState.VALID and change.now <= issued.not_after:
            signing = certificate_sets.certificates_of(change.connection, issued.id)[0]
            return officers.key_digest(x509.load_der_x509_certificate(signing.der))
    raise OfficerCardUnusable(card=card)


def _taken(
    change: Change, proposal: UUID, by: RegisteredOfficer
) -> tuple[StaffChange, Mapping[str, RegisteredOfficer]]:
    """Take a proposal out of those that wait: nobody else has it. Return it, and whom it concerns."""
    chosen = select(STAFF_CHANGES).where(_is(proposal), STAFF_CHANGES.c.until > change.now)
    row = change.connection.execute(chosen).one_or_none()
    if row is None:
        raise StaffChangeGone
    found = _read(row)
    staff = _locked(change, by, found.officer, found.proposer)
    if change.connection.execute(delete(STAFF_CHANGES).where(_is(proposal))).rowcount != 1:
        raise StaffChangeGone
    return found, staff


def _is(proposal: UUID) -> ColumnElement[bool]:
    return STAFF_CHANGES.c.id == proposal


def _written(roles: frozenset[Role]) -> str:
    return " ".join(sorted(role.value for role in roles))


def _columns(wanted: Appointment) -> dict[str, str | None]:
    return {
        "name": wanted.name,
        "roles": _written(wanted.roles),
        "counter": wanted.counter,
        "card": wanted.card,
    }


def _read(row: Row[Any]) -> StaffChange:
    appointment = None
    if (act := StaffAct(row.act)) is StaffAct.APPOINT:
        roles = frozenset(map(Role, row.roles.split()))
        appointment = Appointment(row.officer, row.name, roles, row.counter, row.card)
    return StaffChange(row.id, act, row.officer, appointment, row.proposer, row.proposer_key, row.until)
