# SPDX-License-Identifier: Apache-2.0
"""A database that was restored from a backup lacks what happened since. The journal has it.

Until it is merged nobody works with it (Database): lists and answers would say "good" of what was revoked.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from xca_centre.i18n import text
from xca_centre.life.transitions import Actor
from xca_centre.store.database import Change, Database
from xca_centre.store.event_chain import put_back
from xca_centre.store.events import Event
from xca_centre.store.journal import Journal
from xca_centre.store.missing_events import missing_events
from xca_common.i18n import Text

LOST: Final = "lost_in_restore"
"""The kind of the event that says that something could not be written again."""

_DAMAGED: Final = text(
    "Line {number} of {path} is damaged: what it said is lost. If there is another copy of the journal, "
    "restore the backup again with that. In any case give the last published lists: it may have been a "
    "revocation."
)


@dataclass(frozen=True)
class Loss:
    """What happened after the backup, and cannot be written again: events do not have all of it.

    Attributes:
        subject: what it is about, as the log of events shows it: a case number, a card number.
        said: what is lost, and who does what about it.
    """

    subject: str
    said: Text


Redo: TypeAlias = Callable[[Change, Sequence[Event]], Sequence[Loss]]
"""Writes again what some events did, as far as it was lost, and returns what it cannot."""


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Attributes:
        count: how many events were missing.
        losses: what could not be written again.
    """

    count: int
    losses: Sequence[Loss]


def merge(database: Database, journal: Journal | None, redo: Iterable[Redo], by: Actor) -> Merged:
    """Add what the journal has and the database lacks: the events, and what they did. In one change.

    The last published lists are to be merged, too (certificate_sets.merge_list): the disk of the journal
    may be the one that was lost.

    Args:
        database: the restored one, opened without a journal. Nobody else works with it.
        journal: what happened since the backup; None: nobody knows. What a damaged line said is a loss.
        redo: what writes again what events did, for each kind of thing that is not to be lost.
        by: who restores. Events say in his name what is lost.

    Raises:
        JournalUnavailable: the journal cannot be read.
        StoreUnavailable, ChangeUncertain: as of Database.change().
    """
    damaged: list[Loss] = []

    def events(journal: Journal) -> Iterator[Event]:
        for line in journal.read():
            if line.event:
                yield line.event
            elif not line.is_unfinished:
                damaged.append(Loss("journal", _DAMAGED.format(path=line.path, number=line.number)))

    with database.change() as change:
        missing = missing_events(change.connection, events(journal) if journal else ())
        put_back(change, missing)
        losses = [*damaged, *(loss for each in redo for loss in each(change, missing))]
        for loss in losses:
            change.event(LOST, loss.subject, by, {"lost": loss.said("zh_TW")})
    return Merged(len(missing), losses)
