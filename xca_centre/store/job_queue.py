# SPDX-License-Identifier: Apache-2.0
"""The queue of jobs: what follows from a change, by any number of workers, at least once.

A worker claims a job with a lease, and holds no lock while it works. It writes what it did in one change,
together with finish(): so that happens once, even if others took the job up because the lease was over.
What it does outside of the database may happen again, if it is killed before that change: a mail goes out
under the same Message-ID.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, Row, delete, select, update

from xca_centre.errors import JobLost, JobNotParked, StoreProblem
from xca_centre.life.transitions import Actor
from xca_centre.store.database import Change, Database
from xca_centre.store.events import read_facts
from xca_centre.store.tables import JOBS
from xca_common.errors import XcaError, place_of

LEASE: Final = timedelta(minutes=5)
"""How long a worker has for a job; then others take it up."""
MOST_ATTEMPTS: Final = 48
"""After so many a job is parked: that takes some 40 hours, longer than most servers are down."""
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(hours=1)

_WORKER_ENDED: Final = "its worker ended, or took longer than its lease"


@dataclass(frozen=True)
class Job:
    """A job, as it was claimed.

    Attributes:
        id: the same for each attempt.
        kind: what is to be done.
        key: as of Change.enqueue().
        facts: what its worker has to know.
        created: when the change was made that it follows from.
        attempts: how many there were, this one counted.
        fence: how often it was claimed; who claims it again makes all earlier claims void.
    """

    id: UUID
    kind: str
    key: str | None
    facts: Mapping[str, str | int]
    created: datetime
    attempts: int
    fence: int


@dataclass(frozen=True)
class ParkedJob:
    """A job that failed too often and waits for an operator.

    Attributes:
        id, kind, key, created: as of Job.
        parked: when it failed for the last time.
        problem: how.
    """

    id: UUID
    kind: str
    key: str | None
    created: datetime
    parked: datetime
    problem: str


Handler: TypeAlias = Callable[[Database, Job], None]
"""Does a job, and calls finish() in the change that writes what it did."""


def claim(database: Database, kinds: Collection[str], lease: timedelta = LEASE) -> Job | None:
    """Claim the job of these kinds that has waited the longest.

    Other jobs with its key that are due as well are done with it: they are removed.

    Returns:
        The job; None: there is none to be done now.
    """
    while True:
        with database.change() as change:
            found = _oldest(change, kinds)
            if found is None:
                return None
            if found.attempts >= MOST_ATTEMPTS:
                _park(change, found.id, found.problem or _WORKER_ENDED)
                continue
            claimed = {
                "attempts": found.attempts + 1,
                "fence": found.fence + 1,
                "due": change.now + lease,
            }
            change.connection.execute(update(JOBS).where(JOBS.c.id == found.id).values(claimed))
            if found.key is not None:
                _remove_others(change, found)
            facts = read_facts(found.facts)
            return Job(
                found.id, found.kind, found.key, facts, found.created, found.attempts + 1, found.fence + 1
            )


def finish(change: Change, job: Job) -> None:
    """Remove a job that is done, in the change that writes what was done.

    Raises:
        JobLost: its lease was over and somebody else has claimed it: let the change be undone.
    """
    done = delete(JOBS).where(JOBS.c.id == job.id, JOBS.c.fence == job.fence)
    if change.connection.execute(done).rowcount != 1:
        raise JobLost(kind=job.kind)


def require_held(change: Change, job: Job) -> None:
    """See that a job is still this worker's, in a change that writes a part of what it does.

    Nobody else claims it before the change ends.

    Raises:
        JobLost: its lease was over and somebody else has claimed it: let the change be undone.
    """
    held = select(JOBS.c.id).where(JOBS.c.id == job.id, JOBS.c.fence == job.fence).with_for_update()
    if change.connection.execute(held).first() is None:
        raise JobLost(kind=job.kind)


def fail(database: Database, job: Job, problem: str) -> None:
    """Put a job back that failed: for later, at growing distances, or for an operator.

    Args:
        database: of the job.
        job: as it was claimed. If somebody else has claimed it, nothing is done.
        problem: how it failed, for the operator. No secret.
    """
    own = (JOBS.c.id == job.id) & (JOBS.c.fence == job.fence)
    with database.change() as change:
        pause = min(_FIRST_PAUSE * 2 ** min(job.attempts - 1, 20), _LONGEST_PAUSE)
        values: dict[str, Any] = {"problem": problem, "due": change.now + pause}
        if job.attempts >= MOST_ATTEMPTS:
            values["parked"] = change.now
        change.connection.execute(update(JOBS).where(own).values(values))


def work_on_one(database: Database, handlers: Mapping[str, Handler]) -> bool:
    """Do one job, if one is due.

    Args:
        database: of the jobs.
        handlers: for each kind of job that this worker does.

    Returns:
        Whether there was one.

    Raises:
        StoreUnavailable, ChangeUncertain, JournalUnavailable, NotJournalled: as of Database.change(); the job
            comes back when its lease ends, unless it is done.
    """
    job = claim(database, handlers.keys())
    if job is None:
        return False
    try:
        handlers[job.kind](database, job)
    except JobLost:
        pass
    except StoreProblem:
        raise
    except Exception as error:
        # An error of the centre holds no secret (XcaError); what another says is unknown.
        fail(
            database,
            job,
            f"{type(error).__name__}: {error}" if isinstance(error, XcaError) else place_of(error),
        )
    return True


def parked_jobs(connection: Connection) -> Sequence[ParkedJob]:
    """Return the jobs that wait for an operator, the oldest first."""
    columns = (JOBS.c[name] for name in ("id", "kind", "key", "created", "parked", "problem"))
    found = select(*columns).where(JOBS.c.parked.is_not(None)).order_by(JOBS.c.parked, JOBS.c.id)
    return [ParkedJob(**row._mapping) for row in connection.execute(found)]


def take_up(change: Change, job: UUID) -> None:
    """Let the workers try a parked job again, as if it were new.

    Raises:
        JobNotParked: there is no such job.
    """
    parked = update(JOBS).where(JOBS.c.id == job, JOBS.c.parked.is_not(None))
    values = {"parked": None, "attempts": 0, "due": change.now}
    if change.connection.execute(parked.values(values)).rowcount != 1:
        raise JobNotParked


def drop(change: Change, job: UUID, reason: str, by: Actor) -> None:
    """Give a parked job up; the event says why.

    Raises:
        JobNotParked: there is no such job.
    """
    parked = delete(JOBS).where(JOBS.c.id == job, JOBS.c.parked.is_not(None)).returning(JOBS.c.kind)
    kind = change.connection.execute(parked).scalar()
    if kind is None:
        raise JobNotParked
    change.event("job_dropped", str(job), by, {"kind": kind, "reason": reason})


def _due(change: Change) -> Any:
    return JOBS.c.parked.is_(None) & (JOBS.c.due <= change.now)


def _oldest(change: Change, kinds: Collection[str]) -> Row[Any] | None:
    """Return the next job, locked: of several workers at once, each finds another one."""
    found = select(JOBS).where(_due(change), JOBS.c.kind.in_(kinds)).order_by(JOBS.c.due, JOBS.c.id).limit(1)
    return change.connection.execute(found.with_for_update(skip_locked=True)).one_or_none()


def _remove_others(change: Change, job: Row[Any]) -> None:
    """Remove the jobs that are done with another one. Its worker has not read anything yet."""
    others = select(JOBS.c.id).where(
        _due(change), JOBS.c.kind == job.kind, JOBS.c.key == job.key, JOBS.c.id != job.id
    )
    change.connection.execute(delete(JOBS).where(JOBS.c.id.in_(others.with_for_update(skip_locked=True))))


def _park(change: Change, job: UUID, problem: str) -> None:
    change.connection.execute(update(JOBS).where(JOBS.c.id == job).values(parked=change.now, problem=problem))
