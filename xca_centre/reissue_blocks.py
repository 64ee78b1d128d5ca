# SPDX-License-Identifier: Apache-2.0
"""Organisations that get no card for a while, because certificates of theirs lapsed."""

from datetime import datetime

from sqlalchemy import Connection, select

from xca_centre.deadlines import blocked_until, last_day
from xca_centre.errors import OrganisationBlocked
from xca_centre.issuer_rules import IssuerRules
from xca_centre.store.database import Change
from xca_centre.store.tables import REISSUE_BLOCKS


def block(change: Change, organisation: str, lapsed: datetime, rules: IssuerRules) -> None:
    """Give an organisation no card for as long as the issuer's rules say.

    A block that ends later stays.

    Args:
        change: the change in which the certificates lapse.
        organisation: its OID.
        lapsed: when they lapsed.
        rules: the issuer's.
    """
    until = blocked_until(lapsed, rules)
    if until <= change.now:
        return
    added = change.insert(REISSUE_BLOCKS).values(organisation=organisation, until=until)
    column = REISSUE_BLOCKS.c.organisation
    replaced = added.on_conflict_do_update(
        index_elements=[column], set_={"until": until}, where=REISSUE_BLOCKS.c.until < until
    )
    change.connection.execute(replaced)


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
