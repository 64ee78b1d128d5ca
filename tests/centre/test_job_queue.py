# SPDX-License-Identifier: Apache-2.0
"""Each job is done, by one worker at a time, and what it writes is written once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from support.moved_clock import MovedClock
from xca_centre.errors import BadCaseNumber, JobLost, JobNotParked, StoreUnavailable
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_centre.store.job_queue import (
    LEASE,
    MOST_ATTEMPTS,
    Job,
    claim,
    fail,
    finish,
    parked_jobs,
    take_up,
    work_on_one,
)
from xca_centre.store.tables import EVENTS, JOBS

CENTRE = Actor(Role.CENTRE, "jobs")


@pytest.fixture
def other(address: str, database: Database, clock: MovedClock) -> Iterator[Database]:
    """The database, as another process has it."""
    made = Database(address, clock)
    yield made
    made.close()


def ask(database: Database, *subjects: str, key: str | None = None) -> None:
    """Make a change that a mail follows from, for each subject."""
    with database.change() as change:
        for subject in subjects:
            change.enqueue("mail", {"to": subject}, key=key)


def mail(database: Database, job: Job) -> None:
    """Do a job."""
    with database.change() as change:
        finish(change, job)
        change.event("mailed", str(job.facts["to"]), CENTRE, {})


def mailed(database: Database) -> Sequence[str]:
    """To whom mails were sent."""
    with database.read() as connection:
        return connection.execute(select(EVENTS.c.subject).order_by(EVENTS.c.subject)).scalars().all()


def left(database: Database) -> int:
    """How many jobs there are."""
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(JOBS)).scalar_one()


def test_job_is_done_once_and_gone(database: Database) -> None:
    ask(database, "a")
    assert work_on_one(database, {"mail": mail})
    assert not work_on_one(database, {"mail": mail})
    assert (mailed(database), left(database)) == (["a"], 0)


def test_job_of_a_change_that_is_broken_off_is_not_there(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.change() as change:
        change.enqueue("mail", {"to": 1 // 0})
    assert left(database) == 0


def test_job_waits_for_its_time_and_for_a_worker_of_its_kind(database: Database, clock: MovedClock) -> None:
    with database.change() as change:
        change.enqueue("mail", {"to": "a"}, not_before=clock.at + timedelta(days=90))
    assert claim(database, {"mail"}) is None
    clock.move(timedelta(days=90))
    assert claim(database, {"list"}) is None
    job = claim(database, {"list", "mail"})
    assert job is not None
    assert (job.kind, job.facts, job.attempts) == ("mail", {"to": "a"}, 1)


def test_jobs_are_shared_by_workers_that_race(database: Database, other: Database) -> None:
    names = [f"{number:02}" for number in range(40)]
    ask(database, *names)
    together = Barrier(4)

    def work(number: int) -> None:
        together.wait()
        mine = (database, other)[number % 2]
        while left(mine):
            work_on_one(mine, {"mail": mail})

    with ThreadPoolExecutor(4) as pool:
        [*pool.map(work, range(4))]
    assert mailed(database) == names


def test_worker_that_took_too_long_writes_nothing(
    database: Database, other: Database, clock: MovedClock
) -> None:
    ask(database, "a")
    slow = claim(database, {"mail"})
    assert slow is not None
    clock.move(LEASE - timedelta(seconds=1))
    assert claim(other, {"mail"}) is None
    clock.move(timedelta(seconds=1))
    fast = claim(other, {"mail"})
    assert fast is not None
    assert (fast.id, fast.attempts) == (slow.id, 2)
    with pytest.raises(JobLost):
        mail(database, slow)
    fail(database, slow, "too late")
    mail(other, fast)
    with pytest.raises(JobLost):
        mail(database, slow)
    assert (mailed(database), left(database)) == (["a"], 0)


def test_worker_that_took_long_writes_if_nobody_else_did(database: Database, clock: MovedClock) -> None:
    ask(database, "a")
    slow = claim(database, {"mail"})
    clock.move(2 * LEASE)
    assert slow is not None
    mail(database, slow)
    assert (mailed(database), left(database)) == (["a"], 0)


def test_job_that_fails_is_tried_later_and_later_and_then_parked(
    database: Database, clock: MovedClock
) -> None:
    begun, pauses = clock.at, []

    def refuse(database: Database, job: Job) -> None:
        if job.attempts % 2:
            raise BadCaseNumber
        raise RuntimeError("may hold a PIN: 123456")

    ask(database, "a")
    for _ in range(MOST_ATTEMPTS):
        with database.read() as connection:
            due = connection.execute(select(JOBS.c.due)).scalar_one()
        pauses.append(due - clock.at)
        clock.at = due
        assert work_on_one(database, {"mail": refuse})
    assert pauses[:4] == [timedelta(seconds=number) for number in (0, 5, 10, 20)]
    assert pauses[-1] == timedelta(hours=1)
    assert clock.at - begun > timedelta(days=1)  # a mail server may be away for a day
    clock.move(timedelta(days=30))
    assert not work_on_one(database, {"mail": mail})
    with database.read() as connection:
        (parked,) = parked_jobs(connection)
    assert parked.kind == "mail"
    assert parked.problem.startswith("RuntimeError, test_job_queue.py")
    assert "123456" not in parked.problem
    with database.change() as change:
        take_up(change, parked.id)
    assert work_on_one(database, {"mail": mail})
    assert (mailed(database), left(database)) == (["a"], 0)


def test_job_that_kills_its_workers_is_parked(database: Database, clock: MovedClock) -> None:
    ask(database, "a")
    for _ in range(MOST_ATTEMPTS):
        assert claim(database, {"mail"})
        clock.move(LEASE)
    assert claim(database, {"mail"}) is None
    with database.read() as connection:
        assert "its worker ended" in parked_jobs(connection)[0].problem


def test_job_that_is_not_parked_cannot_be_taken_up(database: Database) -> None:
    ask(database, "a")
    with database.read() as connection:
        waiting = connection.execute(select(JOBS.c.id)).scalar_one()
    for job in (waiting, uuid4()):
        with pytest.raises(JobNotParked), database.change() as change:
            take_up(change, job)


def test_jobs_with_one_key_are_done_as_one(database: Database) -> None:
    ask(database, "a", "a", key="list 1")
    ask(database, "b", key="list 2")
    ask(database, "a", key="list 1")
    while work_on_one(database, {"mail": mail}):
        pass
    assert mailed(database) == ["a", "b"]


def test_job_that_is_asked_for_while_it_is_worked_on_is_done_again(database: Database) -> None:
    ask(database, "a", key="list 1")
    first = claim(database, {"mail"})
    ask(database, "a", key="list 1")
    assert first is not None
    mail(database, first)
    assert work_on_one(database, {"mail": mail})
    assert mailed(database) == ["a", "a"]


def test_job_with_a_key_that_is_for_later_is_not_done_now(database: Database, clock: MovedClock) -> None:
    with database.change() as change:
        change.enqueue("mail", {"to": "later"}, not_before=clock.at + timedelta(days=1), key="sweep")
    ask(database, "now", key="sweep")
    while work_on_one(database, {"mail": mail}):
        pass
    assert (mailed(database), left(database)) == (["now"], 1)


def test_store_that_is_down_is_told_to_the_worker_and_the_job_stays(
    database: Database, clock: MovedClock
) -> None:
    def lose(database: Database, job: Job) -> None:
        raise StoreUnavailable

    ask(database, "a")
    with pytest.raises(StoreUnavailable):
        work_on_one(database, {"mail": lose})
    clock.move(LEASE)
    assert work_on_one(database, {"mail": mail})
