# SPDX-License-Identifier: Apache-2.0
"""Requests for a new user code of a card (用戶代碼重設), and the tickets (授權票) that they lead to.

Whoever asks chooses a secret, and gets a number for the letter; nobody is told whether there is such a card.
An officer approves what the letter asks for. The contact person gets a mail with a link. Link and secret
together give the ticket, with which the card takes a new code (xca_common.pki.ticket). The days for the
acceptance are counted on.

A request ends with the acceptance of the certificates, with their end, and with a newer one. Whoever knows
the numbers of a card ends one that waits for its letter; one that was approved ends with another approval.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, func, insert, select, update

from xca_centre import applications, certificate_sets, deadlines, orders, organisations, user_codes
from xca_centre.applications import Officer
from xca_centre.authority.hierarchy import Hierarchy
from xca_centre.errors import CodeResetOver, CodeResetUnknown, TicketRefused, UserCodeRefused
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.transitions import Actor, Role, Word
from xca_centre.mail import Mail, send
from xca_centre.store.database import Change, Database
from xca_centre.store.events import Event, read_facts
from xca_centre.store.restored import Loss
from xca_centre.store.tables import APPLICATIONS, CODE_RESET_LINKS, CODE_RESETS
from xca_centre.user_codes import NewUserCode, UserCodes
from xca_common.pki.ticket import Ticket
from xca_common.secret import Secret

NUMBER_DIGITS: Final = 10
"""Of a request's number."""
_LONGEST_WAIT: Final = timedelta(days=90)
"""How long a request waits for its letter."""


class ResetState(Word):
    """How far a request is."""

    REQUESTED = "requested", text("requested")
    APPROVED = "approved", text("approved")
    ISSUED = "issued", text("the ticket is issued")
    """The same ticket can be fetched again, until it ends."""
    REFUSED = "refused", text("refused")
    CANCELLED = "cancelled", text("cancelled")


_REQUESTED: Final = "user_code_reset_requested"
_UNKNOWN: Final = "user_code_reset_unknown"
_APPROVED: Final = "user_code_reset_approved"
_REFUSED: Final = "user_code_reset_refused"
_CANCELLED: Final = "user_code_reset_cancelled"
_ISSUED: Final = "ticket_issued"
_BECOMES: Final = {_REFUSED: ResetState.REFUSED, _CANCELLED: ResetState.CANCELLED}
_SOMEBODY: Final = Actor(Role.HOLDER, "unknown")
_KINDS: Final = frozenset({_REQUESTED, _APPROVED, _ISSUED, *_BECOMES})
_LOST: Final = text(
    "The request {number} for a new user code of the card {card} is over: what happened to it after the "
    "backup is lost. The holder requests again."
)
_OPEN: Final = (ResetState.REQUESTED, ResetState.APPROVED, ResetState.ISSUED)


@dataclass(frozen=True)
class CodeReset:
    """A request.

    Attributes:
        number: ten digits, by which the letter names it.
        card: card number.
        serial: of the card's certificate for signatures.
        application: id of the application that the card was made for.
        is_activated: how the requester says the card is.
        state: how far it is.
        requested: when it was made.
        until: the first moment at which its ticket is too old; None: it is not approved.
    """

    number: str
    card: str
    serial: str
    application: UUID
    is_activated: bool
    state: ResetState
    requested: datetime
    until: datetime | None


def request(change: Change, card: str, serial: str, secret: NewUserCode, *, is_activated: bool) -> str:
    """Take a request, in place of one for the same card that is not approved; return its number.

    A request for a card that is not there leads nowhere, and has a number, too. It writes an event as another
    one does: to have that on the disk takes the time by which one could tell them apart.

    Args:
        change: the change.
        card: the card number that somebody typed.
        serial: the serial number of cert1, likewise.
        secret: what the requester chose (UserCodes.choose), prepared before the change.
        is_activated: whether the card is activated; of one whose certificates are accepted it is known.
    """
    number = "".join(secrets.choice("0123456789") for _ in range(NUMBER_DIGITS))
    code = applications.find_code_of_card(change, card, serial)
    if code is None:
        change.event(_UNKNOWN, number, _SOMEBODY, {})
        return number
    case = applications.of_code(change.connection, code)
    _lock_card(change, case.id)
    order = orders.of_application(change.connection, case.id)
    assert order.card is not None  # noqa: S101  # find_code_of_card() found it by its card
    current = certificate_sets.of_card(change.connection, order.card)[0]
    if current.standing.is_over or change.now > current.not_after:
        change.event(_UNKNOWN, number, _SOMEBODY, {})
        return number
    by = Actor(Role.HOLDER, order.card)
    cancel(change, order.card, by, (ResetState.REQUESTED,))
    row = {
        "number": number,
        "card": order.card,
        "serial": certificate_sets.canonical(serial),
        "application": case.id,
        "secret": user_codes.add(change, secret),
        "is_activated": is_activated or current.accepted is not None,
        "state": ResetState.REQUESTED.value,
        "requested": change.now,
    }
    change.connection.execute(insert(CODE_RESETS).values(row))
    change.event(_REQUESTED, number, by, {"card": order.card})
    return number


def waiting(connection: Connection, officer: Officer, now: datetime) -> Sequence[CodeReset]:
    """Return the requests that an officer may decide about, the oldest first."""
    wanted = select(CODE_RESETS).where(
        CODE_RESETS.c.state == ResetState.REQUESTED.value, CODE_RESETS.c.requested > now - _LONGEST_WAIT
    )
    rows = connection.execute(wanted.order_by(CODE_RESETS.c.requested, CODE_RESETS.c.number))
    return [each for each in map(_reset, rows) if _is_of(connection, officer, each)]


def find(connection: Connection, number: str, officer: Officer) -> CodeReset:
    """Return a request, for an officer who may decide about it.

    Raises:
        CodeResetUnknown: there is none of this number, or another counter's.
    """
    row = connection.execute(select(CODE_RESETS).where(CODE_RESETS.c.number == number)).one_or_none()
    if row is None or not _is_of(connection, officer, found := _reset(row)):
        raise CodeResetUnknown
    return found


def approve(change: Change, rules: IssuerRules, number: str, officer: Officer) -> CodeReset:
    """Let a request have its ticket, and mail the link to the contact person. A second time changes nothing.

    Raises:
        CodeResetUnknown: there is none of this number, or another counter's.
        CodeResetOver: it was refused, or it has ended.
    """
    before = _locked(change, number, officer)
    if before.state in (ResetState.APPROVED, ResetState.ISSUED):
        return before
    if _has_ended(change, before):
        raise CodeResetOver(state=(ResetState.CANCELLED if before.state in _OPEN else before.state).said)
    cancel(change, before.card, officer.actor, (ResetState.APPROVED, ResetState.ISSUED))
    until = deadlines.ticket_ends(change.now, rules)
    _set(change, number, state=ResetState.APPROVED.value, until=until)
    change.event(_APPROVED, number, officer.actor, {"card": before.card})
    case = applications.read(change.connection, before.application)
    facts = {"card": before.card, "last_day": deadlines.last_day(until).isoformat(), "reset": number}
    send(change, Mail.USER_CODE_RESET, case.form.contact.email, number, facts)
    return find(change.connection, number, officer)


def refuse(change: Change, number: str, officer: Officer) -> CodeReset:
    """Refuse a request. A second time changes nothing.

    Raises:
        CodeResetUnknown: there is none of this number, or another counter's.
        CodeResetOver: it was approved, or it has ended.
    """
    before = _locked(change, number, officer)
    if before.state is ResetState.REFUSED:
        return before
    if before.state is not ResetState.REQUESTED:
        raise CodeResetOver(state=before.state.said)
    _set(change, number, state=ResetState.REFUSED.value)
    change.event(_REFUSED, number, officer.actor, {"card": before.card})
    return find(change.connection, number, officer)


def cancel(change: Change, card: str, by: Actor, states: Sequence[ResetState] = _OPEN) -> None:
    """End the requests of a card in some states, if there are any: at the acceptance, or for a newer one."""
    is_open = CODE_RESETS.c.state.in_([state.value for state in states])
    cancelled = (
        update(CODE_RESETS)
        .where(CODE_RESETS.c.card == card, is_open)
        .values(state=ResetState.CANCELLED.value)
        .returning(CODE_RESETS.c.number)
    )
    for number in change.connection.execute(cancelled).scalars().all():
        change.event(_CANCELLED, number, by, {"card": card})


def redo(change: Change, events: Sequence[Event]) -> Sequence[Loss]:
    """End the requests to which something happened after the backup (restored.merge).

    No event has the secret that was chosen, nor the mailed link. The counters of their tickets are used up.
    """
    last = {event.subject: event for event in events if event.kind in _KINDS}
    for event in events:
        if event.kind == _ISSUED:
            _set(change, event.subject, counter=read_facts(event.facts)["counter"])
    losses = []
    for number, event in last.items():
        state = _BECOMES.get(event.kind)
        _set(change, number, state=(state or ResetState.CANCELLED).value)
        if state is None:
            card = read_facts(event.facts)["card"]
            losses.append(Loss(number, _LOST.format(number=number, card=card)))
    return losses


def new_link(change: Change, number: str) -> str:
    """Return a secret that leads to the ticket of a request, for a link in a mail. Only its hash is kept."""
    secret = secrets.token_urlsafe(32)
    change.connection.execute(insert(CODE_RESET_LINKS).values(hash=_digest(secret), reset=number))
    return secret


def issue(
    database: Database,
    hierarchy: Hierarchy,
    codes: UserCodes,
    link: str,
    secret: Secret,
    network: str,
    new: NewUserCode | None = None,
) -> bytes:
    """Return the ticket for who has link and secret; the same one each time.

    Args:
        database: the centre's.
        hierarchy: signs the ticket.
        codes: judge the secret; three wrong ones in a row end the request.
        link: what stands in the mailed link.
        secret: what the requester chose.
        network: of who asks (user_codes.network_of).
        new: the code for what is done online, which takes the place of the old one; None: that stays.

    Raises:
        TicketRefused: they do not belong together, or the ticket is over.
        BadUserCode, TooManyTries: the secret cannot be one, or no more tries are taken.
    """
    try:
        proved = codes.prove(lambda change: _secret_of(change, link), secret, network, Role.HOLDER)
    except UserCodeRefused:
        raise TicketRefused from None
    with database.change() as change:
        wanted = select(CODE_RESETS).where(CODE_RESETS.c.secret == proved)
        _lock_card(change, change.connection.execute(wanted).one().application)
        row = change.connection.execute(wanted.with_for_update()).one()
        reset = _reset(row)
        if reset.until is None or _has_ended(change, reset):
            raise TicketRefused
        by = Actor(Role.HOLDER, reset.card)
        counter: int = row.counter or _next_counter(change, reset.card)
        if row.counter is None:
            _set(change, reset.number, state=ResetState.ISSUED.value, counter=counter)
            change.event(_ISSUED, reset.number, by, {"card": reset.card, "counter": counter})
        if new is not None:
            code = applications.read(change.connection, reset.application).code
            user_codes.replace(change, code, new, by, reset.number)
        own = certificate_sets.certificate(change.connection, reset.serial)
        now = change.now
    digest = hashlib.sha256(own.der).digest()
    # Whatever fails from here on, the same ticket can be fetched again.
    office = hierarchy.ticket_signer(now)
    return Ticket(reset.card, digest, reset.is_activated, counter, reset.until).sign(
        office.certificate, office.key
    )


def _secret_of(change: Change, link: str) -> UUID | None:
    """Return the id of the secret that goes with a mailed link."""
    chosen = (
        select(CODE_RESETS.c.secret)
        .join(CODE_RESET_LINKS, CODE_RESET_LINKS.c.reset == CODE_RESETS.c.number)
        .where(CODE_RESET_LINKS.c.hash == _digest(link))
    )
    found: UUID | None = change.connection.execute(chosen).scalar()
    return found


def _has_ended(change: Change, reset: CodeReset) -> bool:
    """Tell whether a request ended by itself, whatever its row says: by time, or with its certificates."""
    if reset.state not in _OPEN or (reset.until or reset.requested + _LONGEST_WAIT) <= change.now:
        return True
    current = certificate_sets.of_card(change.connection, reset.card)[0]
    is_accepted = current.accepted is not None
    return current.standing.is_over or change.now > current.not_after or is_accepted > reset.is_activated


def _next_counter(change: Change, card: str) -> int:
    """Return a number that no ticket of the card has had, also if the database was restored: it is a time."""
    last = select(func.max(CODE_RESETS.c.counter)).where(CODE_RESETS.c.card == card)
    return max((change.connection.execute(last).scalar() or 0) + 1, int(change.now.timestamp()))


def _lock_card(change: Change, application: UUID) -> None:
    """Let nobody else ask, decide or fetch a ticket for a card until the change ends: it has one application.

    It comes before a request is locked, so that nobody waits for who waits for him.
    """
    own = select(APPLICATIONS.c.id).where(APPLICATIONS.c.id == application)
    change.connection.execute(own.with_for_update())


def _locked(change: Change, number: str, officer: Officer) -> CodeReset:
    _lock_card(change, find(change.connection, number, officer).application)
    row = select(CODE_RESETS.c.number).where(CODE_RESETS.c.number == number).with_for_update()
    change.connection.execute(row)
    return find(change.connection, number, officer)


def _is_of(connection: Connection, officer: Officer, reset: CodeReset) -> bool:
    case = applications.read(connection, reset.application)
    counter = organisations.organisation(connection, case.organisation).counter
    return officer.counter in (None, counter)


def _set(change: Change, number: str, **values: object) -> None:
    change.connection.execute(update(CODE_RESETS).where(CODE_RESETS.c.number == number).values(values))


def _reset(row: Row[Any]) -> CodeReset:
    return CodeReset(
        row.number,
        row.card,
        row.serial,
        row.application,
        row.is_activated,
        ResetState(row.state),
        row.requested,
        row.until,
    )


def _digest(link: str) -> str:
    return hashlib.sha256(link.encode("utf-8", "surrogatepass")).hexdigest()
