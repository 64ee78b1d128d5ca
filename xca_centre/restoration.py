# SPDX-License-Identifier: Apache-2.0
"""A centre whose database was restored from a backup: no decision on who is trusted is undone by that.

From the journal comes all that events say: certificates and their states, blocks, locked user codes,
officers, tickets, name changes, and how far applications and payments are. Who was logged in logs in again.
What no event says is lost, and told.
"""

from collections.abc import Sequence

from sqlalchemy import delete

from xca_centre import (
    certificate_sets,
    name_changes,
    officers,
    organisations,
    payments,
    reissue_blocks,
    restored_applications,
    tickets,
    user_codes,
)
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.transitions import Actor
from xca_centre.status import published_lists
from xca_centre.store.database import Change, Database
from xca_centre.store.events import Event
from xca_centre.store.journal import Journal
from xca_centre.store.restored import Loss, Merged, merge
from xca_centre.store.tables import CASE_ACCESSES, CHALLENGES, SESSIONS


def restore(database: Database, journal: Journal | None, rules: IssuerRules, by: Actor) -> Merged:
    """Write again what a restored database lacks, as far as the journal has it. A second time does nothing.

    Args:
        database: the restored one, opened without a journal.
        journal: the centre's; None: it has none.
        rules: the issuer's.
        by: who restores.

    Raises:
        as of restored.merge.
    """

    def by_rules(change: Change, events: Sequence[Event]) -> Sequence[Loss]:
        return [*name_changes.redo(change, events, rules), *payments.redo(change, events, rules)]

    redo = (
        organisations.redo,
        certificate_sets.redo,
        reissue_blocks.redo,
        officers.redo,
        restored_applications.redo,
        by_rules,
        user_codes.redo,
        tickets.redo,
        _end_visits,
        published_lists.redo,
    )
    return merge(database, journal, redo, by)


def _end_visits(change: Change, _: Sequence[Event]) -> Sequence[Loss]:
    """End what browsers may do: a backup has sessions that ended, and challenges that were answered."""
    for table in (SESSIONS, CASE_ACCESSES, CHALLENGES):
        change.connection.execute(delete(table))
    return ()
