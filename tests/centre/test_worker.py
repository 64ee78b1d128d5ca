# SPDX-License-Identifier: Apache-2.0
"""Workers: they do the jobs, chain the events, and wait for a database that is away."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from support.centre.begun import opened, write_settings
from support.centre.cases import OPERATOR
from xca_centre import sweeps, worker
from xca_centre.centre import Centre
from xca_centre.errors import StoreUnavailable
from xca_centre.store.database import Database
from xca_centre.store.event_chain import head
from xca_centre.store.job_queue import Job, finish, work_on_one
from xca_centre.store.journal import Journal
from xca_centre.store.tables import JOBS


@pytest.fixture
def centre(sqlite_template: Path, tmp_path: Path) -> Iterator[Centre]:
    """A centre with a database, and no keys."""
    folder = write_settings(tmp_path / "centre")
    shutil.copy(sqlite_template, folder / "centre.db")
    (folder / "centre.db").chmod(0o600)
    (folder / "journal").mkdir()
    Journal.begin(folder / "journal")
    made = opened(folder)
    with closing(made.database):
        yield made


def work(centre: Centre, monkeypatch: pytest.MonkeyPatch, failures: int = 0) -> list[str]:
    """Let a worker do the jobs of the kind `say`, until it is told that all is over; return what it said."""
    said: list[str] = []
    is_over = Event()

    def say(database: Database, job: Job) -> None:
        with database.change() as change:
            finish(change, job)
        said.append(str(job.facts["word"]))

    def over(database: Database, job: Job) -> None:
        with database.change() as change:
            finish(change, job)
        is_over.set()

    left = iter([StoreUnavailable()] * failures)
    real = work_on_one

    def failing(database: Database, handlers: object) -> bool:
        for error in left:
            raise error
        return real(database, {"say": say, "over": over})

    monkeypatch.setattr(worker, "handlers", lambda _: {})
    monkeypatch.setattr(worker, "work_on_one", failing)
    monkeypatch.setattr(worker, "_AFTER_FAILURE", 0.0)
    worker.work(centre, is_over)
    return said


def test_worker_does_the_jobs_and_chains_the_events_until_it_is_told_to_end(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    with centre.database.change() as change:
        change.event("said", "word", OPERATOR, {})
        for word in ("one", "two"):
            change.enqueue("say", {"word": word})
    with centre.database.change() as change:
        change.enqueue("over", {})
    assert sorted(work(centre, monkeypatch)) == ["one", "two"]
    with centre.database.read() as connection:
        assert connection.execute(select(JOBS.c.kind)).scalars().all() == [sweeps.SWEEP]  # of tomorrow
        assert head(connection).number == 1


def test_worker_waits_for_a_database_that_is_away(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    with centre.database.change() as change:
        change.enqueue("say", {"word": "one"})
    with centre.database.change() as change:
        change.enqueue("over", {})
    assert work(centre, monkeypatch, failures=3) == ["one"]
