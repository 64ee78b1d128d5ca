# SPDX-License-Identifier: Apache-2.0
"""How many changes the centre's database takes, and how far its chainer is behind.

Usage: python tests/bench/centre_store.py

PostgreSQL with its own settings (each commit waits for the disk), 16 clients in two processes, and a chainer
in a third; server and clients share the processor. A row is a kind of change: one with an event alone, one
that suspends or resumes certificates with its event and jobs, and the latter with a journal, too.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.new_sets import new_set
from support.postgresql import postgresql
from xca_centre.certificate_sets import add, change_state, reserve
from xca_centre.issuer_rules import Issuer, load
from xca_centre.life.certificate import REISSUED, CertificateEvent
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Change, Database
from xca_centre.store.event_chain import chain
from xca_centre.store.journal import Journal
from xca_centre.store.schema import migrate
from xca_centre.store.tables import EVENTS

_PROCESSES: Final = 2
_THREADS: Final = 8
_SECONDS: Final = 10.0
_HOLDER: Final = Actor(Role.HOLDER, "XC00000000000001")
_RULES: Final = load(Issuer.TEST)
_EVENTS: Final = (CertificateEvent.SUSPEND, CertificateEvent.RESUME)

_Step = Callable[[Change, UUID, int], object]


def only_event(change: Change, certificates: UUID, number: int) -> None:
    """Write an event, and nothing else."""
    change.event("looked_at", str(certificates), _HOLDER, {"number": number})


def state(change: Change, certificates: UUID, number: int) -> None:
    """Suspend or resume certificates."""
    change_state(change, certificates, _EVENTS[number % 2], _HOLDER, _RULES)


def open_database(address: str, journal: Path | None) -> Database:
    return Database(address, lambda: datetime.now(UTC), Journal.begin(journal) if journal else None)


def work(
    address: str, journal: Path | None, step: _Step, sets: Sequence[UUID], together: Barrier, answers: Any
) -> None:
    """Be eight clients, each with certificates of its own; answers with the seconds that each change took."""
    database, times = open_database(address, journal), []

    def change(certificates: UUID) -> None:
        together.wait()
        end, number = time.perf_counter() + _SECONDS, 0
        while (begun := time.perf_counter()) < end:
            with database.change() as made:
                step(made, certificates, number)
            times.append(time.perf_counter() - begun)
            number += 1

    threads = [Thread(target=change, args=(certificates,)) for certificates in sets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.put(times)


def follow(address: str, journal: Path | None, is_over: Event, answers: Any) -> None:
    """Chain; answers with how many seconds the oldest unchained event was old at the most."""
    database, behind = open_database(address, journal), 0.0
    oldest = select(func.min(EVENTS.c.at)).where(EVENTS.c.number.is_(None))
    while not is_over.is_set():
        if not chain(database):
            time.sleep(0.1)
        with database.read() as connection:
            at = connection.execute(oldest).scalar()
        if at:
            behind = max(behind, (datetime.now(UTC) - at).total_seconds())
    answers.put(behind)


def measure(address: str, journal: Path | None, step: _Step) -> tuple[list[float], float]:
    """Return how many seconds each change took, and how far the chainer was behind at the most."""
    database = open_database(address, None)
    with database.change() as change:
        sets = [
            add(change, new_set(change.now, reserve(change, 2, 2), standing=REISSUED), _HOLDER)
            for _ in range(_PROCESSES * _THREADS)
        ]
    while chain(database):
        pass
    database.close()
    together = multiprocessing.Barrier(_PROCESSES * _THREADS)
    is_over = multiprocessing.Event()
    answers, lags = multiprocessing.Queue(), multiprocessing.Queue()  # type: ignore[var-annotated]
    workers = [
        multiprocessing.Process(
            target=work, args=(address, journal, step, sets[at::_PROCESSES], together, answers)
        )
        for at in range(_PROCESSES)
    ]
    follower = multiprocessing.Process(target=follow, args=(address, journal, is_over, lags))
    for process in (*workers, follower):
        process.start()
    times = [each for _ in workers for each in answers.get()]
    is_over.set()
    behind = lags.get()
    for process in (*workers, follower):
        process.join()
    return times, behind


def main() -> None:
    """Measure, and print a table."""
    print(f"{_PROCESSES * _THREADS} clients, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print("| change | a second | median | 95 of 100 within | chainer behind, at most |")
    print("|---|---|---|---|---|")
    with postgresql("-c max_connections=60") as address, TemporaryDirectory() as journal:
        migrate(address)
        for name, step, folder in (
            ("an event alone", only_event, None),
            ("state, event, jobs", state, None),
            ("state, event, jobs, journal", state, Path(journal)),
        ):
            times, behind = measure(address, folder, step)
            print(
                f"| {name} | {len(times) / _SECONDS:,.0f} | {median(times) * 1000:.1f} ms "
                f"| {quantiles(times, n=20)[-1] * 1000:.1f} ms | {behind:.2f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
