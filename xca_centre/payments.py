# SPDX-License-Identifier: Apache-2.0
"""Payment slips (繳費單) for the fees of applications, and the provider through whom they are paid.

What may happen to a slip stands in life.payment. That a payment lets its application go on, is said in
applications. The provider (payment_provider) is told of a slip, and may be told again; paid_slips asks it
about payments.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, Select, insert, select, update
from stdnum import luhn

from xca_centre.deadlines import slip_lapses_at
from xca_centre.errors import SlipUnknown
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.payment import PaymentEvent, PaymentFacts, PaymentState, next_state
from xca_centre.life.transitions import Actor, Role
from xca_centre.payment_provider import PaymentProvider, SlipToPay
from xca_centre.store.database import Change, Database
from xca_centre.store.events import Event, read_facts
from xca_centre.store.job_queue import Handler, Job, finish
from xca_centre.store.restored import Loss
from xca_centre.store.tables import APPLICATIONS, SLIPS

ANNOUNCE: Final = "announce_slip"
"""The job that tells the provider of a slip: fact `number`."""
ASK: Final = "ask_about_slip"
"""The job that asks the provider whether a slip was paid: fact `number`."""
LAPSE: Final = "lapse_slip"
"""The job that ends a slip that was not paid in time: fact `number`."""
_CENTRE: Final = Actor(Role.CENTRE, "payments")
_DIGITS: Final = 16
_EVENTS: Final = "payment_"
_ISSUED: Final = "payment_issued"


@dataclass(frozen=True)
class Slip:
    """A payment slip, as it is.

    Attributes:
        number: what the payer pays to: 16 digits, the last of which checks the others.
        application: what it is for.
        state: where it is.
        due: the fee in NT$.
        issued: when.
        lapses_at: the first moment at which it cannot be paid any more.
        paid_at: when it was paid; None: it was not.
    """

    number: str
    application: UUID
    state: PaymentState
    due: int
    issued: datetime
    lapses_at: datetime
    paid_at: datetime | None

    @property
    def to_pay(self) -> SlipToPay:
        """What its provider knows of it."""
        return SlipToPay(self.number, self.due, self.lapses_at)


def issue(change: Change, rules: IssuerRules, application: UUID, due: int, by: Actor) -> Slip:
    """Return the open slip of an application that waits for its fee, a new one if there is none."""
    for slip in of_application(change.connection, application):
        if slip.state is PaymentState.OPEN:
            if change.now < slip.lapses_at:
                return slip
            lapse(change, rules, slip.number)
    digits = "".join(secrets.choice("0123456789") for _ in range(_DIGITS - 1))
    number = digits + luhn.calc_check_digit(digits)
    _add(change, rules, number, application, due, change.now)
    change.event(_ISSUED, str(application), by, {"slip": number, "due": due})
    return read(change.connection, number)


def confirm(
    change: Change,
    rules: IssuerRules,
    number: str,
    amount: int,
    paid_at: datetime,
    by: Actor,
    *,
    is_fee_open: bool,
) -> tuple[Slip, Slip]:
    """Note that a slip was paid; return it as it was and as it is.

    Money that came too late, or for what waits for none any more, is to be paid back.

    Raises:
        SlipUnknown: there is none of this number.
        WrongAmount: it is another amount.
    """
    before = _lock(change, number)
    facts = _facts(change, before, amount=amount, paid_at=paid_at, is_fee_open=is_fee_open)
    return before, _happen(change, rules, before, PaymentEvent.CONFIRM, by, facts, paid_at=paid_at)


def lapse(change: Change, rules: IssuerRules, number: str) -> Slip:
    """End a slip that was not paid in time. One that was paid or ended otherwise stays as it is."""
    slip = _lock(change, number)
    return _happen(change, rules, slip, PaymentEvent.LAPSE, _CENTRE, _facts(change, slip))


def give_up(change: Change, rules: IssuerRules, application: UUID, by: Actor) -> None:
    """End the slips of an application that was withdrawn: what was paid is to be paid back."""
    for slip in of_application(change.connection, application):
        locked = _lock(change, slip.number)
        if locked.state in (PaymentState.REFUND_DUE, PaymentState.REFUNDED):
            continue
        event = PaymentEvent.REFUND if locked.state is PaymentState.PAID else PaymentEvent.CANCEL
        _happen(change, rules, locked, event, by, _facts(change, locked))


def pay_back(change: Change, rules: IssuerRules, number: str, by: Actor) -> Slip:
    """Note that the money of a slip has gone back.

    Raises:
        SlipUnknown: there is none of this number.
        Refused: nothing is to be paid back.
    """
    slip = _lock(change, number)
    return _happen(change, rules, slip, PaymentEvent.PAY_BACK, by, _facts(change, slip))


def redo(change: Change, events: Sequence[Event], rules: IssuerRules) -> Sequence[Loss]:
    """Write again the slips of applications that are there, and what happened to them (restored.merge)."""
    known = select(APPLICATIONS.c.id)
    for event in events:
        if not event.kind.startswith(_EVENTS):
            continue
        facts, application = read_facts(event.facts), UUID(event.subject)
        if change.connection.execute(known.where(APPLICATIONS.c.id == application)).first() is None:
            continue
        if event.kind == _ISSUED:
            _add(change, rules, str(facts["slip"]), application, int(facts["due"]), event.at)
        else:
            values: dict[str, object] = {"state": facts["to"]}
            if "paid_at" in facts:
                values["paid_at"] = datetime.fromisoformat(str(facts["paid_at"]))
            own = SLIPS.c.number == facts["slip"]
            change.connection.execute(update(SLIPS).where(own).values(values))
    return ()


def announcer(provider: PaymentProvider) -> Handler:
    """Return what tells a provider of new slips."""

    def work(database: Database, job: Job) -> None:
        with database.read() as connection:
            slip = read(connection, str(job.facts["number"]))
        provider.announce(slip.to_pay)
        with database.change() as change:
            finish(change, job)

    return work


def lapser(rules: IssuerRules) -> Handler:
    """Return what ends slips that were not paid in time."""

    def work(database: Database, job: Job) -> None:
        with database.change() as change:
            finish(change, job)
            lapse(change, rules, str(job.facts["number"]))

    return work


def read(connection: Connection, number: str) -> Slip:
    """Return a slip.

    Raises:
        SlipUnknown: there is none of this number.
    """
    return _found(connection, select(SLIPS), number)


def of_application(connection: Connection, application: UUID) -> Sequence[Slip]:
    """Return the slips of an application, the oldest first."""
    chosen = select(SLIPS).where(SLIPS.c.application == application)
    rows = connection.execute(chosen.order_by(SLIPS.c.issued, SLIPS.c.number))
    return [_slip(row) for row in rows]


def _add(
    change: Change, rules: IssuerRules, number: str, application: UUID, due: int, issued: datetime
) -> None:
    """Write an open slip; have its provider told of it, and asked about it."""
    lapses_at = slip_lapses_at(issued, rules)
    row = {"number": number, "application": application, "state": PaymentState.OPEN.value, "due": due}
    change.connection.execute(insert(SLIPS).values(**row, issued=issued, lapses_at=lapses_at))
    change.enqueue(ANNOUNCE, {"number": number})
    change.enqueue(ASK, {"number": number})
    change.enqueue(LAPSE, {"number": number}, not_before=lapses_at)


def _lock(change: Change, number: str) -> Slip:
    return _found(change.connection, select(SLIPS).with_for_update(), number)


def _found(connection: Connection, chosen: Select[Any], number: str) -> Slip:
    row = None
    if number.isascii() and number.isdecimal():
        row = connection.execute(chosen.where(SLIPS.c.number == number)).one_or_none()
    if row is None:
        raise SlipUnknown
    return _slip(row)


def _facts(change: Change, slip: Slip, **more: Any) -> PaymentFacts:
    return PaymentFacts(change.now, slip.lapses_at, slip.due, **more)


def _happen(
    change: Change,
    rules: IssuerRules,
    before: Slip,
    event: PaymentEvent,
    by: Actor,
    facts: PaymentFacts,
    paid_at: datetime | None = None,
) -> Slip:
    """Bring an event about, as the table says; it is the only place where a slip's state is written."""
    state = next_state(before.state, event, by.role, facts, rules.payments)
    if state is before.state:
        return before
    values = {"state": state.value, **({"paid_at": paid_at} if paid_at else {})}
    change.connection.execute(update(SLIPS).where(SLIPS.c.number == before.number).values(values))
    told: dict[str, str | int] = {"slip": before.number, "from": before.state.value, "to": state.value}
    if paid_at:
        told["paid_at"] = paid_at.isoformat()
    change.event(f"{_EVENTS}{event.value}", str(before.application), by, told)
    return read(change.connection, before.number)


def _slip(row: Row[Any]) -> Slip:
    return Slip(
        row.number,
        row.application,
        PaymentState(row.state),
        row.due,
        row.issued,
        row.lapses_at,
        row.paid_at,
    )
