# SPDX-License-Identifier: Apache-2.0
"""Changes of an organisation's name or level: its certificates say what is no longer true.

The organisation has two weeks from the change to apply for their revocation; then the centre revokes them.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, select, update

from xca_centre import certificate_sets
from xca_centre.deadlines import last_day, name_change_ends
from xca_centre.errors import ChangeInFuture, NotYours, Refused
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.life.transitions import OFFICERS, Actor, Role
from xca_centre.store.database import Change
from xca_centre.store.tables import NAME_CHANGES
from xca_common import taipei

RECORDED: Final = "name_change.recorded"
SETTLED: Final = "name_change.settled"
TELL_ORGANISATION: Final = "tell_organisation"
"""The job that tells an organisation's contacts. Facts `organisation`, `change` (the record), `last_day`."""

_RECORDERS: Final = OFFICERS | {Role.OPERATOR}
_RECORD: Final = text("Record of a change of name or level")


def record(change: Change, organisation: str, changed: date, by: Actor, rules: IssuerRules) -> UUID:
    """Record that an organisation changed. The same change, recorded again, is the same record.

    Args:
        change: the change in which it is recorded.
        organisation: its OID.
        changed: the day of the change, in Taipei.
        by: a registration officer, or the operator.
        rules: the issuer's.

    Returns:
        The id of the record.

    Raises:
        NotYours: others do not record it.
        ChangeInFuture: the day has not come.
    """
    if by.role not in _RECORDERS:
        raise NotYours(event=_RECORD, role=by.role.said)
    if changed > taipei.day(change.now):
        raise ChangeInFuture(day=changed)
    identity, ends = uuid4(), name_change_ends(changed, rules)
    added = change.insert(NAME_CHANGES).values(
        id=identity, organisation=organisation, changed=changed, recorded=change.now, ends=ends
    )
    is_new = added.on_conflict_do_nothing().returning(NAME_CHANGES.c.id)
    if change.connection.execute(is_new).scalar_one_or_none() is None:
        own = (NAME_CHANGES.c.organisation == organisation) & (NAME_CHANGES.c.changed == changed)
        there: UUID = change.connection.execute(select(NAME_CHANGES.c.id).where(own)).scalar_one()
        return there
    facts = {"change": str(identity), "changed": changed.isoformat(), "ends": ends.isoformat()}
    change.event(RECORDED, organisation, by, facts)
    told = {"organisation": organisation, "change": str(identity), "last_day": last_day(ends).isoformat()}
    change.enqueue(TELL_ORGANISATION, told)
    return identity


def overdue(connection: Connection, now: datetime, most: int) -> Sequence[UUID]:
    """Return the records whose two weeks are over, and which had no consequence yet."""
    late = NAME_CHANGES.c.settled.is_(None) & (NAME_CHANGES.c.ends <= now)
    return connection.execute(select(NAME_CHANGES.c.id).where(late).limit(most)).scalars().all()


def settle(change: Change, identity: UUID, by: Actor, rules: IssuerRules) -> None:
    """Revoke what the organisation did not have revoked in its two weeks.

    What was issued after the record says what is true. A record that is settled, or whose two weeks are not
    over, is left alone.

    Args:
        change: the change in which they are revoked.
        identity: the id of the record.
        by: who revokes.
        rules: the issuer's.
    """
    own = NAME_CHANGES.c.id == identity
    found = change.connection.execute(select(NAME_CHANGES).where(own).with_for_update()).one_or_none()
    if found is None or found.settled is not None or change.now < found.ends:
        return
    revoked = 0
    for each in certificate_sets.of_organisation(change.connection, found.organisation):
        if each.issued > found.recorded or each.standing.is_over:
            continue
        try:
            certificate_sets.change_state(
                change, each.id, CertificateEvent.REVOKE, by, rules, Reason.AFFILIATION_CHANGED
            )
        except Refused:
            continue  # it has expired, and no sweep has come by
        revoked += 1
    change.connection.execute(update(NAME_CHANGES).where(own).values(settled=change.now))
    change.event(SETTLED, found.organisation, by, {"change": str(identity), "revoked": revoked})
