# SPDX-License-Identifier: Apache-2.0
"""Changes of an organisation's name or level, and its end: its certificates say what is no longer true.

The organisation has two weeks from the change to apply for their revocation; then the centre revokes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, select, update

from xca_centre import certificate_sets, deadlines, organisations
from xca_centre.certificate_sets import CertificateSet
from xca_centre.deadlines import name_change_ends
from xca_centre.errors import ChangeInFuture, NotYours, OrganisationUnknown, Refused
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.life.transitions import OFFICERS, Actor, Role, Word
from xca_centre.store.database import Change
from xca_centre.store.events import Event, read_facts
from xca_centre.store.restored import Loss
from xca_centre.store.tables import NAME_CHANGES
from xca_common import taipei

RECORDED: Final = "name_change.recorded"
DISSOLVED: Final = "organisation_dissolved"
SETTLED: Final = "name_change.settled"
TELL_ORGANISATION: Final = "tell_organisation"
"""The job that tells an organisation's contacts.

Facts `organisation`, `change` (the record), `kind`, `last_day`.
"""

_RECORDERS: Final = OFFICERS | {Role.OPERATOR}


class ChangeKind(Word):
    """What has changed."""

    RENAMED = "renamed", text("Record of a change of name or level")
    """What was issued after the record says what is true."""
    DISSOLVED = "dissolved", text("Record of a dissolution")
    """There is no organisation any more that a certificate could be of."""


_REASONS: Final[Mapping[ChangeKind, Reason]] = {
    ChangeKind.RENAMED: Reason.AFFILIATION_CHANGED,
    ChangeKind.DISSOLVED: Reason.CESSATION_OF_OPERATION,
}


_KINDS: Final[Mapping[str, ChangeKind]] = {RECORDED: ChangeKind.RENAMED, DISSOLVED: ChangeKind.DISSOLVED}
_LOST: Final = text(
    "What was recorded of the organisation {oid} after the backup is lost, because it is not in the "
    "register: {change}. Import it, and record that again."
)


@dataclass(frozen=True)
class NameChange:
    """The record of a change.

    Attributes:
        id: by which jobs name it.
        kind: what has changed.
        changed: the day of the change, in Taipei.
        recorded: when it was recorded.
        last_day: the last day for the organisation's own application.
        settled: when the centre revoked what was left; None: it has not yet.
    """

    id: UUID
    kind: ChangeKind
    changed: date
    recorded: datetime
    last_day: date
    settled: datetime | None


def record(
    change: Change, organisation: str, changed: date, by: Actor, rules: IssuerRules, name: str | None = None
) -> NameChange:
    """Record that the name or the level of an organisation changed. A second time it is the same record.

    If the name that was recorded is corrected, certificates with the wrong one are untrue, too.

    Args:
        change: the change in which it is recorded.
        organisation: its OID.
        changed: the day of the change, in Taipei.
        by: a registration officer, or the operator.
        rules: the issuer's.
        name: its new name, which the register gets; None: it stays.

    Raises:
        NotYours: others do not record it.
        ChangeInFuture: the day has not come.
        OrganisationUnknown: the register has none of this OID.
        OrganisationDissolved: it has ended.
        BadOrganisationName: the name cannot stand in a certificate.
    """
    before = _judged(change, ChangeKind.RENAMED, organisation, changed, by)
    facts = dict[str, str]()
    if name is not None and name != before.name:
        organisations.rename(change, organisation, name)
        facts = {"name": name, "before": before.name}
    found, is_new = _record(change, ChangeKind.RENAMED, organisation, changed, rules)
    if facts and not is_new:
        own = (NAME_CHANGES.c.id == found.id) & NAME_CHANGES.c.settled.is_(None)
        change.connection.execute(update(NAME_CHANGES).where(own).values(recorded=change.now))
        found = replace(found, recorded=change.now) if found.settled is None else found
    if is_new or facts:
        change.event(RECORDED, organisation, by, {**_facts(found), **facts})
        _tell(change, organisation, found)
    return found


def dissolve(change: Change, organisation: str, ended: date, by: Actor, rules: IssuerRules) -> NameChange:
    """Record that an organisation has ended: nobody applies for it any more.

    Args:
        change: the change in which it is recorded.
        organisation: its OID.
        ended: the day on which it ended, in Taipei.
        by: a registration officer, or the operator.
        rules: the issuer's.

    Raises:
        NotYours: others do not record it.
        ChangeInFuture: the day has not come.
        OrganisationUnknown: the register has none of this OID.
        OrganisationDissolved: it has ended already.
    """
    _judged(change, ChangeKind.DISSOLVED, organisation, ended, by)
    organisations.note_end(change, organisation)
    found, _ = _record(change, ChangeKind.DISSOLVED, organisation, ended, rules)
    change.event(DISSOLVED, organisation, by, _facts(found))
    _tell(change, organisation, found)
    return found


def of_organisation(connection: Connection, organisation: str) -> Sequence[NameChange]:
    """Return what was recorded of an organisation, the newest change first."""
    chosen = select(NAME_CHANGES).where(NAME_CHANGES.c.organisation == organisation)
    newest_first = chosen.order_by(NAME_CHANGES.c.changed.desc(), NAME_CHANGES.c.recorded.desc())
    return [_read(row) for row in connection.execute(newest_first)]


def running(connection: Connection, counter: str | None, most: int) -> Sequence[tuple[str, NameChange]]:
    """Return the records whose days run, each with the OID, those that end first before the others.

    Args:
        connection: for reading.
        counter: the registration counter whose organisations are looked at; None: all.
        most: how many at most.
    """
    chosen = select(NAME_CHANGES).where(NAME_CHANGES.c.settled.is_(None))
    if counter is not None:
        chosen = chosen.where(NAME_CHANGES.c.organisation.in_(organisations.oids_of_counter(counter)))
    rows = connection.execute(chosen.order_by(NAME_CHANGES.c.ends, NAME_CHANGES.c.id).limit(most))
    return [(row.organisation, _read(row)) for row in rows]


def last_day(changed: date, rules: IssuerRules) -> date:
    """Return the last day for the organisation's own application, if it changed on a day."""
    return deadlines.last_day(name_change_ends(changed, rules))


def redo(change: Change, events: Sequence[Event], rules: IssuerRules) -> Sequence[Loss]:
    """Write again what was recorded or settled (restored.merge): else nobody revokes what is not true."""
    losses = []
    for event in events:
        facts, kind = read_facts(event.facts), _KINDS.get(event.kind)
        if kind is not None:
            try:
                _redo(change, kind, event, rules)
            except OrganisationUnknown:
                losses.append(Loss(event.subject, _LOST.format(oid=event.subject, change=kind.said)))
        elif event.kind == SETTLED:
            own = NAME_CHANGES.c.id == UUID(str(facts["change"]))
            change.connection.execute(update(NAME_CHANGES).where(own).values(settled=event.at))
    return losses


def _redo(change: Change, kind: ChangeKind, event: Event, rules: IssuerRules) -> None:
    facts = read_facts(event.facts)
    organisations.organisation(change.connection, event.subject)
    if "name" in facts:
        organisations.rename(change, event.subject, str(facts["name"]))
    if kind is ChangeKind.DISSOLVED:
        organisations.note_end(change, event.subject)
    changed = date.fromisoformat(str(facts["changed"]))
    row = {"id": UUID(str(facts["change"])), "kind": kind.value, "organisation": event.subject}
    ends = name_change_ends(changed, rules)
    added = change.insert(NAME_CHANGES).values(**row, changed=changed, recorded=event.at, ends=ends)
    change.connection.execute(
        added.on_conflict_do_update(index_elements=[NAME_CHANGES.c.id], set_={"recorded": event.at})
    )


def overdue(connection: Connection, now: datetime, most: int, skipped: int = 0) -> Sequence[UUID]:
    """Return the records whose two weeks are over, and which had no consequence yet, the oldest first.

    Args:
        connection: for reading.
        now: the time.
        most: so many at once.
        skipped: so many of the first are left out.
    """
    late = NAME_CHANGES.c.settled.is_(None) & (NAME_CHANGES.c.ends <= now)
    found = select(NAME_CHANGES.c.id).where(late).order_by(NAME_CHANGES.c.ends, NAME_CHANGES.c.id)
    return connection.execute(found.limit(most).offset(skipped)).scalars().all()


def settle(change: Change, identity: UUID, by: Actor, rules: IssuerRules) -> None:
    """Revoke what the organisation did not have revoked in its two weeks.

    A record that is settled, or whose two weeks are not over, is left alone.

    Args:
        change: the change in which they are revoked.
        identity: the id of the record.
        by: who revokes.
        rules: the issuer's.
    """
    own = NAME_CHANGES.c.id == identity
    row = change.connection.execute(select(NAME_CHANGES).where(own).with_for_update()).one_or_none()
    if row is None or row.settled is not None or change.now < row.ends:
        return
    found, revoked = _read(row), 0
    for each in untrue(change.connection, row.organisation, found.kind, found.recorded):
        try:
            certificate_sets.change_state(
                change, each.id, CertificateEvent.REVOKE, by, rules, _REASONS[found.kind]
            )
        except Refused:
            continue  # it has expired, and no sweep has come by
        revoked += 1
    change.connection.execute(update(NAME_CHANGES).where(own).values(settled=change.now))
    change.event(SETTLED, row.organisation, by, {"change": str(identity), "revoked": revoked})


def untrue(
    connection: Connection, organisation: str, kind: ChangeKind, recorded: datetime
) -> Sequence[CertificateSet]:
    """Return the certificates, not over yet, that a change which was recorded at a moment makes untrue."""
    sets = certificate_sets.of_organisation(connection, organisation)
    # What was written to a card later says of the holder what the card's first certificates did.
    first = dict[str | UUID, datetime]()
    for each in sets:
        key = each.card or each.id
        first[key] = min(each.issued, first.get(key, each.issued))
    is_end = kind is ChangeKind.DISSOLVED
    alive = (each for each in sets if not each.standing.is_over)
    return [each for each in alive if is_end or first[each.card or each.id] <= recorded]


def _judged(
    change: Change, kind: ChangeKind, organisation: str, changed: date, by: Actor
) -> organisations.Organisation:
    """Return the organisation, which nobody else changes until the change ends."""
    if by.role not in _RECORDERS:
        raise NotYours(event=kind.said, role=by.role.said)
    if changed > taipei.day(change.now):
        raise ChangeInFuture(day=changed)
    return organisations.lock(change, organisation)


def _record(
    change: Change, kind: ChangeKind, organisation: str, changed: date, rules: IssuerRules
) -> tuple[NameChange, bool]:
    """Return the record, and whether it is new."""
    columns = NAME_CHANGES.c
    row = {
        "id": uuid4(),
        "kind": kind.value,
        "organisation": organisation,
        "changed": changed,
        "recorded": change.now,
        "ends": name_change_ends(changed, rules),
    }
    added = change.insert(NAME_CHANGES).values(row).on_conflict_do_nothing()
    is_new = change.connection.execute(added.returning(columns.id)).scalar_one_or_none() is not None
    own = (columns.organisation == organisation) & (columns.changed == changed) & (columns.kind == kind.value)
    return _read(change.connection.execute(select(NAME_CHANGES).where(own)).one()), is_new


def _tell(change: Change, organisation: str, found: NameChange) -> None:
    told = {"organisation": organisation, "change": str(found.id), "kind": found.kind.value}
    change.enqueue(TELL_ORGANISATION, {**told, "last_day": found.last_day.isoformat()})


def _facts(found: NameChange) -> dict[str, str]:
    days = {"changed": found.changed.isoformat(), "last_day": found.last_day.isoformat()}
    return {"change": str(found.id), **days}


def _read(row: Row[Any]) -> NameChange:
    last = deadlines.last_day(row.ends)
    return NameChange(row.id, ChangeKind(row.kind), row.changed, row.recorded, last, row.settled)
