# SPDX-License-Identifier: Apache-2.0
"""A database that was restored from a backup lacks what happened since. The journal has it.

Until it is merged nobody works with it (Database): lists and answers would say "good" of what was revoked.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from xca_centre.store.database import Change, Database
from xca_centre.store.event_chain import put_back
from xca_centre.store.events import Event
from xca_centre.store.journal import Journal
from xca_centre.store.missing_events import missing_events

Redo: TypeAlias = Callable[[Change, Sequence[Event]], None]
"""Writes again what some events did, as far as it was lost."""


def merge(database: Database, journal: Journal, redo: Iterable[Redo]) -> int:
    """Add what the journal has and the database lacks: the events, and what they did. In one change.

    The last published lists are to be merged, too (certificate_sets.merge_list): the disk of the journal
    may be the one that was lost.

    Args:
        database: the restored one, opened without a journal. Nobody else works with it.
        journal: what happened since the backup. A damaged line is left out: the last one of a file was never
            answered for, of others Journal.read() tells.
        redo: what writes again what events did, for each kind of thing that is not to be lost.

    Returns:
        How many events were missing.

    Raises:
        JournalUnavailable: the journal cannot be read.
        StoreUnavailable, ChangeUncertain: as of Database.change().
    """
    with database.change() as change:
        events = (line.event for line in journal.read() if line.event)
        missing = missing_events(change.connection, events)
        put_back(change, missing)
        for each in redo:
            each(change, missing)
    return len(missing)
