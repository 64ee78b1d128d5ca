# SPDX-License-Identifier: Apache-2.0
"""What happened to applications and their orders after a backup, written again (restored.merge).

Events have the states, the reviewers and the certificates. They do not have what was filled in or scanned:
names and addresses are in no event. So an application that came after the backup is lost, and one whose form
was corrected since goes back to the applicant, unless its certificates are issued.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, update

from xca_centre import applications, certificate_sets, orders, scans, user_codes
from xca_centre.applications import Application
from xca_centre.case_number import shown
from xca_centre.errors import ApplicationUnknown, NoSuchOrder
from xca_centre.i18n import text
from xca_centre.life.application import ApplicationEvent, ApplicationState
from xca_centre.store.database import Change
from xca_centre.store.events import Event, read_facts
from xca_centre.store.restored import Loss
from xca_centre.store.tables import APPLICATIONS, ORDERS

_CASE_LOST: Final = text(
    "The application {case} came after the backup, and is lost. Ask the organisation {organisation} to apply "
    "again; a fee that was paid for it is to be paid back."
)
_CARD_LOST: Final = text(
    "The application {case} of the organisation {organisation} came after the backup, and is lost. The card "
    "{card} was made for it: its certificates are kept as they were, its user code for what is done online "
    "is lost."
)
_CERTIFICATE_LOST: Final = text(
    "The application {case} of the organisation {organisation} came after the backup, and is lost. Its "
    "certificate {serial} is kept as it was, its user code for what is done online is lost."
)
_FORM_LOST: Final = text(
    "The form of the application {case} was changed after the backup; the last version is lost, and the one "
    "before it is back."
)
_RETURNED: Final = text(
    "The form of the application {case} was changed after the backup, and is lost. The application is "
    "returned: the applicant corrects it once more."
)
_REASON: Final = text("The last correction of the form is lost. Correct the form once more.")
_SCAN_LOST: Final = text(
    "What was scanned for the application {case} after the backup is lost. Scan it again."
)
_CODE_LOST: Final = text(
    "The user code of the application {case} for what is done online was replaced after the backup: nobody "
    "has one now. The holder requests a new one."
)
_ISSUED: Final = frozenset({ApplicationState.ISSUED, ApplicationState.MAILED, ApplicationState.CLOSED})
_UNPAID: Final = frozenset({ApplicationState.SUBMITTED, ApplicationState.LETTER_ARRIVED})
_TO_BE_MADE: Final = frozenset({ApplicationState.APPROVED, ApplicationState.MAKING})
_HAPPENED: Final = {f"{applications.HAPPENED}{event.value}": event for event in ApplicationEvent}


def redo(change: Change, events: Sequence[Event]) -> Sequence[Loss]:
    """Write again what happened to applications and orders; certificates were written before."""
    losses = []
    its: dict[UUID, list[Event]] = defaultdict(list)
    lost = {UUID(event.subject): event for event in events if event.kind == applications.SUBMITTED}
    for event in events:
        if event.kind in (*_HAPPENED, applications.CONTACT_CHANGED, scans.SCANNED, *_ORDERS):
            its[UUID(event.subject)].append(event)
        elif event.kind == user_codes.REPLACED and (case := _of_code(change, UUID(event.subject))):
            losses.append(_loss(case, _CODE_LOST))
    for application, happened in its.items():
        if application not in lost and (case := _found(change, application)):
            losses += _redo(change, case, happened)
    return [*losses, *(_lost(change, event, its[application]) for application, event in lost.items())]


def _redo(change: Change, before: Application, events: Sequence[Event]) -> Sequence[Loss]:
    losses = []
    application = before.id
    for event in events:
        if event.kind in _ORDERS:
            _order(change, application, event)
    values, digest = _values(before, events)
    if digest not in (None, applications.form_digest(before.form)):
        values |= _without_its_form(change, before, ApplicationState(values["state"]))
        is_returned = values["state"] == ApplicationState.RETURNED.value
        losses.append(_loss(before, _RETURNED if is_returned else _FORM_LOST))
    if any(event.kind == scans.SCANNED for event in events):
        losses.append(_loss(before, _SCAN_LOST))
    change.connection.execute(
        update(APPLICATIONS)
        .where(APPLICATIONS.c.id == application)
        .values({**values, "version": before.version + len(events)})
    )
    after = applications.read(change.connection, application)
    if after.state in _TO_BE_MADE:
        applications.order(change, after)
    elif after.state in _ISSUED | {ApplicationState.WITHDRAWN}:
        user_codes.forget_sealed(change, after.code)
    return losses


def _values(before: Application, events: Sequence[Event]) -> tuple[dict[str, Any], str | None]:
    """Return the columns that events lead to, and the hash of the last form; None: they name none."""
    values: dict[str, Any] = {"state": before.state.value}
    letter, digest = before.letter, None
    for event in events:
        facts = read_facts(event.facts)
        if event.kind == applications.CONTACT_CHANGED:
            digest = str(facts["form"])
        if event.kind not in _HAPPENED:
            continue
        digest = str(facts["form"])
        values |= {"state": facts["to"], "revision": facts["revision"]}
        match _HAPPENED[event.kind]:
            case ApplicationEvent.RECEIVE:
                letter = letter or event.at
                values |= {"letter": letter, "reason": None}
            case ApplicationEvent.PASS:
                values |= {"first_person": event.name, "first_card": facts["card"]}
            case ApplicationEvent.RETURN | ApplicationEvent.CORRECT:
                letter = None if before.renews is None else letter
                values |= {"letter": letter, "reason": None, **_UNREVIEWED}
            case _:
                pass
    return values, digest


def _without_its_form(change: Change, before: Application, state: ApplicationState) -> Mapping[str, Any]:
    """Return the columns of an application whose form is an older one: nothing is made from that."""
    if state in _ISSUED | {ApplicationState.WITHDRAWN} or _has_order(change, before.id):
        return {}
    if state in _UNPAID:  # a correction of what is returned does not wait for the fee
        return (
            {}
            if before.renews
            else {"state": ApplicationState.SUBMITTED.value, "letter": None, **_UNREVIEWED}
        )
    returned = {"state": ApplicationState.RETURNED.value, "letter": None, "reason": _REASON("zh_TW")}
    return {**returned, **_UNREVIEWED}


_UNREVIEWED: Final = {"first_person": None, "first_card": None}


def _order(change: Change, application: UUID, event: Event) -> None:
    own = update(ORDERS).where(ORDERS.c.application == application)
    if event.kind == orders.CERTIFIED and not _has_order(change, application):
        identity = UUID(str(read_facts(event.facts)["set"]))
        card = certificate_sets.find(change.connection, identity).card
        row = {"application": application, "card": card, "certificates": identity}
        # A certificate without a card is there as soon as it is issued.
        change.connection.execute(insert(ORDERS).values(**row, closed=None if card else event.at))
    elif event.kind == orders.CLOSED:
        change.connection.execute(own.where(ORDERS.c.closed.is_(None)).values(closed=event.at))
    elif event.kind == _MAILED:
        change.connection.execute(own.where(ORDERS.c.mailed.is_(None)).values(mailed=event.at))


_MAILED: Final = f"{applications.HAPPENED}{ApplicationEvent.MAIL.value}"
_ORDERS: Final = (orders.CERTIFIED, orders.CLOSED, _MAILED)


def _has_order(change: Change, application: UUID) -> bool:
    try:
        orders.of_application(change.connection, application)
    except NoSuchOrder:
        return False
    return True


def _found(change: Change, application: UUID) -> Application | None:
    """Return an application; None: the beginning of its events is lost, too."""
    try:
        return applications.read(change.connection, application)
    except ApplicationUnknown:
        return None


def _of_code(change: Change, code: UUID) -> Application | None:
    try:
        return applications.of_code(change.connection, code)
    except ApplicationUnknown:
        return None


def _lost(change: Change, submitted: Event, events: Sequence[Event]) -> Loss:
    """Return what is lost of an application that came after the backup. Its case number is who applied."""
    facts = {"case": shown(submitted.name), "organisation": read_facts(submitted.facts)["organisation"]}
    for event in events:
        if event.kind == orders.CERTIFIED:
            identity = UUID(str(read_facts(event.facts)["set"]))
            card = certificate_sets.find(change.connection, identity).card
            if card is not None:
                return Loss(submitted.name, _CARD_LOST.format(card=card, **facts))
            serial = certificate_sets.certificates_of(change.connection, identity)[0].serial
            return Loss(submitted.name, _CERTIFICATE_LOST.format(serial=serial, **facts))
    return Loss(submitted.name, _CASE_LOST.format(**facts))


def _loss(case: Application, said: Any) -> Loss:
    return Loss(case.case_number, said.format(case=shown(case.case_number)))
