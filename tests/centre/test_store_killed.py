# SPDX-License-Identifier: Apache-2.0
"""A process that is killed anywhere loses nothing and does nothing twice: changes, jobs, chain, journal."""

import shutil
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import func, select

from support.killed_process import STATEMENTS, killed
from support.moved_clock import MovedClock
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_centre.store.event_chain import audit, chain
from xca_centre.store.job_queue import LEASE, Job, finish, work_on_one
from xca_centre.store.journal import Journal
from xca_centre.store.tables import EVENTS, JOBS

CENTRE = Actor(Role.CENTRE, "jobs")


def live(database: Database, folder: Path) -> None:
    """Do all that a store does: a change, the job that follows from it, the chain, the journal."""
    if not happened(database, "ordered"):
        with database.change() as change:
            change.event("ordered", "card 1", CENTRE, {})
            change.enqueue("mail", {"to": "card 1"})

    def mail(database: Database, job: Job) -> None:
        with (folder / "mailbox").open("a") as mailbox:
            mailbox.write(f"{job.id}\n")
        with database.change() as change:
            finish(change, job)
            change.event("mailed", "card 1", CENTRE, {})

    while work_on_one(database, {"mail": mail}):
        pass
    chain(database)
    chain(database)


def happened(database: Database, kind: str) -> int:
    counted = select(func.count()).select_from(EVENTS).where(EVENTS.c.kind == kind)
    with database.read() as connection:
        return connection.execute(counted).scalar_one()


@pytest.mark.integration
def test_process_that_is_killed_at_any_step_leaves_a_whole_store(
    sqlite_template: Path, tmp_path: Path, clock: MovedClock
) -> None:
    repeated = 0
    for nth in count(1):
        folder = tmp_path / str(nth)
        (folder / "journal").mkdir(parents=True)
        address = f"sqlite:///{shutil.copy(sqlite_template, folder / 'centre.db')}"
        database = Database(address, clock, Journal.begin(folder / "journal"))
        database.close()  # no connection goes into the other process
        is_reached = killed(nth, partial(live, database, folder), STATEMENTS)
        clock.move(LEASE + timedelta(seconds=1))
        live(database, folder)
        assert (happened(database, "ordered"), happened(database, "mailed")) == (1, 1), nth
        mails = (folder / "mailbox").read_text().splitlines()
        assert len(set(mails)) == 1, nth
        assert len(mails) <= 2, nth
        repeated += len(mails) == 2
        with database.read() as connection:
            found = audit(connection)
            assert connection.execute(select(JOBS)).all() == [], nth
        assert (found.head.number, found.broken, found.unchained) == (2, None, []), nth
        events = [line.event for line in Journal(folder / "journal").read() if line.event]
        assert {event.number for event in events} >= {1, 2}, nth
        assert len({event.id for event in events}) == 2, nth
        Database(address, clock, Journal(folder / "journal")).close()  # lacks nothing
        database.close()
        if not is_reached:
            break
    assert nth > 50
    assert repeated
