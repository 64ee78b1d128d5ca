# SPDX-License-Identifier: Apache-2.0
"""Organisations that get no card for a while, because certificates of theirs lapsed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from xca_centre.deadlines import blocked_until, last_day
from xca_centre.errors import OrganisationBlocked
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.transitions import Actor
from xca_centre.store.database import Change
from xca_centre.store.events import Event, read_facts
from xca_centre.store.restored import Loss
from xca_centre.store.tables import REISSUE_BLOCKS

BLOCKED: Final = "organisation_blocked"
"""The kind of the event with which a block begins."""


def block(change: Change, organisation: str, lapsed: datetime, rules: IssuerRules, by: Actor) -> None:
    """Give an organisation no card for as long as the issuer's rules say.

    A block that ends later stays.

    Args:
        change: the change in which the certificates lapse.
        organisation: its OID.
        lapsed: when they lapsed.
        rules: the issuer's.
        by: who lets them lapse.
    """
    until = blocked_until(lapsed, rules)
    if until > change.now and _block(change, organisation, until):
        change.event(BLOCKED, organisation, by, {"until": until.isoformat()})


def redo(change: Change, events: Sequence[Event]) -> Sequence[Loss]:
    """Block again whom a restored database does not know as blocked (restored.merge)."""
    for event in events:
        if event.kind == BLOCKED:
            _block(change, event.subject, datetime.fromisoformat(str(read_facts(event.facts)["until"])))
    return ()


def _block(change: Change, organisation: str, until: datetime) -> bool:
    """Write a block, unless there is one that ends later; return whether it was written."""
    added = change.insert(REISSUE_BLOCKS).values(organisation=organisation, until=until)
    column = REISSUE_BLOCKS.c.organisation
    replaced = added.on_conflict_do_update(
        index_elements=[column], set_={"until": until}, where=REISSUE_BLOCKS.c.until < until
    )
    return change.connection.execute(replaced.returning(column)).scalar() is not None


def require_unblocked(connection: Connection, organisation: str, now: datetime) -> None:
    """See that an organisation may have a card.

    Args:
        connection: of the change in which an application is made.
        organisation: its OID.
        now: the moment of the change.

    Raises:
        OrganisationBlocked: certificates of it lapsed, and the block has not ended.
    """
    found = select(REISSUE_BLOCKS.c.until).where(REISSUE_BLOCKS.c.organisation == organisation)
    until = connection.execute(found).scalar_one_or_none()
    if until is not None and now < until:
        raise OrganisationBlocked(last_day=last_day(until))
