# SPDX-License-Identifier: Apache-2.0
"""Revocation lists as views of the database: what it says is numbered, signed and kept.

Number and content are read under the lock of the list, so that a list with a higher number never knows less.
It is signed without a lock: who comes with a lower number than the one that is published publishes nothing.
The complete list of a generation joins the entries of the lists of its partitions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from cryptography import x509
from sqlalchemy import ColumnElement, select, update

from xca_centre.authority.hierarchy import Hierarchy
from xca_centre.authority.lists import Revocation, entry, revocation_list
from xca_centre.authority.repository import partition_of
from xca_centre.certificate_sets import PUBLISH
from xca_centre.errors import KeyTokenError
from xca_centre.status.renewal import renew_at
from xca_centre.store.database import Change, Clock, Database
from xca_centre.store.events import Event
from xca_centre.store.job_queue import Job, finish
from xca_centre.store.restored import Loss
from xca_centre.store.tables import CERTIFICATE_SETS, CERTIFICATES, PUBLISHED_LISTS, SEQUENCES

COMPLETE: Final = -1
"""The partition of the complete list."""
LIFE: Final = timedelta(hours=24)
"""How long a list counts. The next one is there at half of it."""
_COMPLETE_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class PublishedList:
    """A list that was published.

    Attributes:
        der: the list.
        number: its cRLNumber.
        at: thisUpdate.
        until: nextUpdate.
    """

    der: bytes
    number: int
    at: datetime
    until: datetime


class PublishedLists:
    """The lists of a centre."""

    def __init__(self, database: Database, hierarchy: Hierarchy, clock: Clock) -> None:
        self._database, self._hierarchy, self._clock = database, hierarchy, clock
        self._publishing = {generation: Lock() for generation in hierarchy.generations}

    def find(self, generation: int, partition: int) -> PublishedList | None:
        """Return a list. It is published first if there is none, or if half of its life is over.

        Args:
            generation: number of the generation.
            partition: number of the partition, or COMPLETE.

        Returns:
            The list; None: there is no such generation or partition.

        Raises:
            KeyTokenError: the token cannot be used, and there is no list that still counts.
            StoreProblem: as of Database.
        """
        if generation not in self._hierarchy.generations or partition >= self._partitions(generation):
            return None
        if not self._is_fresh(generation, partition):
            with self._publishing[generation]:  # one of many who ask at once signs
                if not self._is_fresh(generation, partition):
                    self._try_to_publish(generation, partition)
        return self._kept(generation, partition)

    def _try_to_publish(self, generation: int, partition: int) -> None:
        try:
            self.publish(generation, partition)
        except KeyTokenError:
            kept = self._kept(generation, partition)
            if kept is None or not kept.at <= self._clock() < kept.until:
                raise

    def work(self, _: Database, job: Job) -> None:
        """Do a job of the kind certificate_sets.PUBLISH: publish a list, of which something has changed.

        The complete list follows within a minute, once for all that changes until then.
        """
        generation, partition = int(job.facts["generation"]), int(job.facts["partition"])

        def done(change: Change) -> None:
            finish(change, job)
            if partition != COMPLETE:
                _enqueue_complete(change, generation)

        self.publish(generation, partition, done)

    def publish(
        self, generation: int, partition: int, with_it: Callable[[Change], None] = lambda change: None
    ) -> None:
        """Publish a list anew.

        Args:
            generation: number of the generation.
            partition: number of the partition, or COMPLETE.
            with_it: what else happens in the change that publishes it.

        Raises:
            KeyTokenError: the token cannot be used.
            StoreProblem: as of Database.
        """
        if partition == COMPLETE:
            for part in range(self._partitions(generation)):
                if not self._is_fresh(generation, part):
                    self.publish(generation, part)
        with self._database.change() as change:
            number = _take_number(change, generation, partition)
            if partition == COMPLETE:
                blocks, revocations = _blocks(change, generation), []
            else:
                blocks, revocations = [], _revocations(change, generation, partition)
            at = change.now.replace(microsecond=0)
        entries = b"".join([*blocks, *map(entry, revocations)])
        issuer, until = self._hierarchy.generations[generation], at + LIFE
        repository = issuer.repository
        path = (
            repository.complete_path(generation)
            if partition == COMPLETE
            else repository.partition_path(generation, partition)
        )
        der = revocation_list(issuer, [entries], number, at, until, repository.address(path))
        values = {
            "number": number,
            "at": at,
            "until": until,
            "der": der,
            "entries": None if partition == COMPLETE else entries,
        }
        is_newer = PUBLISHED_LISTS.c.number.is_(None) | (PUBLISHED_LISTS.c.number < number)
        with self._database.change() as change:
            change.connection.execute(
                update(PUBLISHED_LISTS).where(_is(generation, partition), is_newer).values(values)
            )
            with_it(change)

    def _partitions(self, generation: int) -> int:
        """Return how many partitions a generation has begun."""
        with self._database.read() as connection:
            following = connection.execute(
                select(SEQUENCES.c.next).where(SEQUENCES.c.generation == generation)
            ).scalar()
        return partition_of(following - 1) + 1 if following else 0

    def _is_fresh(self, generation: int, partition: int) -> bool:
        """Say whether a list is published, and less than about half of its life is over."""
        moments = (PUBLISHED_LISTS.c.at, PUBLISHED_LISTS.c.until)
        with self._database.read() as connection:
            row = connection.execute(select(*moments).where(_is(generation, partition))).one_or_none()
        if row is None or row.at is None:
            return False
        name = f"list {generation} {partition}"
        is_fresh: bool = row.at <= self._clock() < renew_at(row.at, row.until, name)
        return is_fresh

    def _kept(self, generation: int, partition: int) -> PublishedList | None:
        columns = (PUBLISHED_LISTS.c[name] for name in ("der", "number", "at", "until"))
        is_published = PUBLISHED_LISTS.c.number.is_not(None)
        with self._database.read() as connection:
            row = connection.execute(
                select(*columns).where(_is(generation, partition), is_published)
            ).one_or_none()
        return PublishedList(**row._mapping) if row else None


def redo(change: Change, _: Sequence[Event]) -> Sequence[Loss]:
    """Forget the lists of a restored database (restored.merge): others have newer ones. Numbers go on."""
    none = dict.fromkeys(("number", "at", "until", "entries", "der"))
    change.connection.execute(update(PUBLISHED_LISTS).values(none))
    return ()


def number_above(change: Change, number: int) -> None:
    """Give every list a number above that of a list that was published before a restore.

    The clock sees to it, too, unless more lists than one a second were published, or it was put back.
    """
    for generation, following in change.connection.execute(
        select(SEQUENCES.c.generation, SEQUENCES.c.next)
    ).all():
        for partition in range(COMPLETE, partition_of(following - 1) + 1 if following else 0):
            taken = change.insert(PUBLISHED_LISTS).values(
                generation=generation, partition=partition, taken=number
            )
            raised = taken.on_conflict_do_update(
                index_elements=[PUBLISHED_LISTS.c.generation, PUBLISHED_LISTS.c.partition],
                set_={"taken": number},
                where=PUBLISHED_LISTS.c.taken < number,
            )
            change.connection.execute(raised)


def _is(generation: int, partition: int) -> ColumnElement[bool]:
    return (PUBLISHED_LISTS.c.generation == generation) & (PUBLISHED_LISTS.c.partition == partition)


def _take_number(change: Change, generation: int, partition: int) -> int:
    """Return the next cRLNumber of a list, which is locked until the change ends.

    It is not lower than the seconds since 1970: after a restore, numbers that were given are not given again.
    """
    begun = change.insert(PUBLISHED_LISTS).values(generation=generation, partition=partition, taken=0)
    change.connection.execute(begun.on_conflict_do_nothing())
    taken: int = change.connection.execute(
        select(PUBLISHED_LISTS.c.taken).where(_is(generation, partition)).with_for_update()
    ).scalar_one()
    number = max(taken + 1, int(change.now.timestamp()))
    change.connection.execute(update(PUBLISHED_LISTS).where(_is(generation, partition)).values(taken=number))
    return number


def _revocations(change: Change, generation: int, partition: int) -> list[Revocation]:
    """Return what a partition's list names: what is revoked, suspended, or not accepted yet."""
    listed = (
        select(
            CERTIFICATES.c.serial,
            *(CERTIFICATE_SETS.c[name] for name in ("since", "listed", "compromised")),
        )
        .join(CERTIFICATE_SETS, CERTIFICATE_SETS.c.id == CERTIFICATES.c.set)
        .where(CERTIFICATES.c.generation == generation, CERTIFICATES.c.partition == partition)
        .where(CERTIFICATE_SETS.c.listed.is_not(None))
        .order_by(CERTIFICATES.c.sequence)
    )
    return [
        Revocation(int(row.serial, 16), row.since, x509.ReasonFlags[row.listed], row.compromised)
        for row in change.connection.execute(listed)
    ]


def _blocks(change: Change, generation: int) -> list[bytes]:
    """Return the entries of all partitions' lists, in DER."""
    parts = (
        select(PUBLISHED_LISTS.c.entries)
        .where(PUBLISHED_LISTS.c.generation == generation, PUBLISHED_LISTS.c.partition != COMPLETE)
        .where(PUBLISHED_LISTS.c.number.is_not(None))
        .order_by(PUBLISHED_LISTS.c.partition)
    )
    return list(change.connection.execute(parts).scalars())


def _enqueue_complete(change: Change, generation: int) -> None:
    facts: dict[str, str | int] = {"generation": generation, "partition": COMPLETE}
    minute = change.now.replace(second=0, microsecond=0)
    key = f"{PUBLISH} {generation} {COMPLETE}"
    change.enqueue(PUBLISH, facts, not_before=minute + _COMPLETE_EVERY, key=key)
