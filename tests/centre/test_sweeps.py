# SPDX-License-Identifier: Apache-2.0
"""What the centre does by itself at its deadlines: each thing once, whoever works on it, and when."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.engine import Engine

from support.killed_process import TRANSACTIONS, killed
from support.moved_clock import MovedClock
from support.new_sets import new_set
from xca_centre import name_changes, organisations, sweeps
from xca_centre.certificate_sets import TELL_CONTACT, add, change_state, find, reserve
from xca_centre.deadlines import lapses_at
from xca_centre.errors import (
    BadOrganisationName,
    ChangeInFuture,
    JobLost,
    NotYours,
    OrganisationBlocked,
    OrganisationDissolved,
    OrganisationUnknown,
)
from xca_centre.issuer_rules import Issuer, IssuerRules, load
from xca_centre.life.certificate import (
    ISSUED,
    REISSUED,
    CertificateEvent,
    CertificateState,
    Hold,
    Reason,
    Standing,
)
from xca_centre.life.transitions import Actor, Role
from xca_centre.name_changes import NameChange
from xca_centre.organisations import Organisation, OrganisationKind
from xca_centre.reissue_blocks import require_unblocked
from xca_centre.store.database import Database
from xca_centre.store.events import read_facts
from xca_centre.store.job_queue import LEASE, Job, claim, parked_jobs, work_on_one
from xca_centre.store.tables import EVENTS, JOBS

RULES = load(Issuer.XCA)
HOLDING = load(Issuer.GCA)
OID = "2.16.886.111.100000"
HOLDER = Actor(Role.HOLDER, "XC00000000000001")
OPERATOR = Actor(Role.OPERATOR, "1")
OFFICER = Actor(Role.FIRST_REVIEWER, "1")
ISSUE_DAY = datetime(2026, 11, 2, 1, tzinfo=UTC)
LAPSES_AT = lapses_at(ISSUE_DAY, RULES)
LAST_DAY = date(2027, 1, 31)
SWEEP = LAPSES_AT + timedelta(minutes=5)
"""When the sweep after it comes."""


def issue(
    database: Database,
    *,
    card: str = "XC00000000000001",
    organisation: str = OID,
    standing: Standing = ISSUED,
    ends: datetime = LAPSES_AT,
) -> UUID:
    """Issue certificates, in a centre that watches its deadlines."""
    with database.change() as change:
        sweeps.begin(change)
        sequence = reserve(change, 2, 2)
        new = new_set(change.now, sequence, card=card, organisation=organisation, standing=standing)
        return add(change, replace(new, lapses_at=ends), OPERATOR)


def happen(database: Database, certificates: UUID, what: CertificateEvent, by: Actor = HOLDER) -> None:
    with database.change() as change:
        change_state(change, certificates, what, by, RULES)


def register(database: Database) -> None:
    """Add the organisation to the register."""
    with database.change() as change:
        one = Organisation(OID, "國立測試大學", None, OrganisationKind.SCHOOL, "教育部")
        organisations.import_organisations(change, [one], OPERATOR)


def work(database: Database, rules: IssuerRules = RULES) -> None:
    """Do all jobs of the sweeps that are due."""
    while work_on_one(database, sweeps.handlers(rules)):
        pass


def standing(database: Database, certificates: UUID) -> Standing:
    with database.read() as connection:
        return find(connection, certificates).standing


def events(database: Database, kind: str) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(EVENTS.c.subject).where(EVENTS.c.kind == kind)).scalars())


def jobs(database: Database, kind: str) -> list[dict[str, str | int]]:
    with database.read() as connection:
        found = connection.execute(select(JOBS.c.facts).where(JOBS.c.kind == kind)).scalars()
        return [dict(read_facts(facts)) for facts in found]


def is_blocked(database: Database, clock: MovedClock) -> date | None:
    with database.read() as connection:
        try:
            require_unblocked(connection, OID, clock())
        except OrganisationBlocked as refused:
            return refused.last_day
    return None


def test_lapse_happens_soon_after_the_end_of_the_last_day(database: Database, clock: MovedClock) -> None:
    certificates = issue(database)
    clock.at = LAPSES_AT - timedelta(microseconds=1)
    work(database)
    assert standing(database, certificates) == ISSUED
    clock.at = SWEEP
    work(database)
    assert standing(database, certificates) == Standing(
        CertificateState.REVOKED, Reason.CESSATION_OF_OPERATION
    )
    assert [facts["event"] for facts in jobs(database, TELL_CONTACT)] == ["lapse"]
    assert is_blocked(database, clock) == date(2027, 5, 1)
    work(database)
    assert events(database, "certificates.lapse") == [str(certificates)]


def test_lapse_of_an_issuer_that_suspends_keeps_the_certificates(
    database: Database, clock: MovedClock
) -> None:
    certificates = issue(database)
    for days in range(3):
        clock.at = SWEEP + timedelta(days=days)
        work(database, HOLDING)
    assert standing(database, certificates).holds == {Hold.LAPSE}
    assert events(database, "certificates.lapse") == [str(certificates)]
    assert is_blocked(database, clock) == date(2027, 5, 1)


def test_lapse_that_the_centre_does_late_blocks_no_longer(database: Database, clock: MovedClock) -> None:
    issue(database)
    clock.at = LAPSES_AT + timedelta(days=20)
    work(database)
    assert is_blocked(database, clock) == date(2027, 5, 1)


def test_certificates_that_were_accepted_do_not_lapse(database: Database, clock: MovedClock) -> None:
    certificates = issue(database)
    happen(database, certificates, CertificateEvent.ACCEPT)
    clock.at = SWEEP
    work(database)
    assert standing(database, certificates) == REISSUED
    assert is_blocked(database, clock) is None


def test_certificates_that_are_accepted_after_the_sweep_found_them_do_not_lapse(
    database: Database, clock: MovedClock
) -> None:
    certificates = issue(database)
    clock.at = SWEEP
    assert work_on_one(database, sweeps.handlers(RULES))  # the sweep alone
    assert jobs(database, sweeps.LAPSE) == [{"set": str(certificates)}]
    clock.at = LAPSES_AT - timedelta(hours=1)
    happen(database, certificates, CertificateEvent.ACCEPT)
    clock.at = SWEEP
    work(database)
    assert standing(database, certificates) == REISSUED
    assert jobs(database, sweeps.LAPSE) == []


def test_certificates_past_their_last_second_expire(database: Database, clock: MovedClock) -> None:
    good = issue(database, standing=REISSUED)
    unaccepted = issue(database, ends=datetime(2090, 1, 1, tzinfo=UTC))
    with database.read() as connection:
        clock.at = find(connection, good).not_after
    work(database)
    assert standing(database, good) == REISSUED
    clock.move(timedelta(days=1))
    work(database)
    assert {standing(database, each).state.value for each in (good, unaccepted)} == {"expired"}
    assert standing(database, unaccepted).listed_reason is Reason.CERTIFICATE_HOLD


def test_sweep_comes_again_each_midnight_after_whatever_pause(database: Database, clock: MovedClock) -> None:
    for _ in range(3):
        with database.change() as change:
            sweeps.begin(change)
        clock.move(timedelta(days=40))
        work(database)
        with database.read() as connection:
            (due,) = connection.execute(select(JOBS.c.due)).scalars()
        assert timedelta(0) < due - clock() <= timedelta(days=1, minutes=5)
        assert (due.hour, due.minute, due.second) == (16, 5, 0)


def test_sweep_that_a_clock_planned_which_was_put_back_keeps_nothing_from_being_swept(
    database: Database, clock: MovedClock
) -> None:
    clock.move(timedelta(days=3650))
    with database.change() as change:
        sweeps.begin(change)
    clock.move(timedelta(days=-3650))
    late = issue(database)
    clock.at = LAPSES_AT + timedelta(days=1)
    work(database)
    assert standing(database, late).state is CertificateState.REVOKED


def test_reminders_come_once_at_their_days(database: Database, clock: MovedClock) -> None:
    certificates = issue(database)
    sent: Counter[date] = Counter()
    before = 0
    for days in (61, 60, 59, 31, 30, 29, 8, 7, 6, 2, 1, 0):
        clock.at = LAPSES_AT - timedelta(days=days, hours=6)
        work(database)
        now = len(jobs(database, sweeps.REMIND_CONTACT))
        sent[(clock() + timedelta(hours=8)).date()] += now - before
        before = now
    assert {day: count for day, count in sent.items() if count} == {
        LAST_DAY - timedelta(days=60): 1,
        LAST_DAY - timedelta(days=30): 1,
        LAST_DAY - timedelta(days=7): 1,
        LAST_DAY - timedelta(days=1): 1,
    }
    assert jobs(database, sweeps.REMIND_CONTACT)[0] == {
        "set": str(certificates),
        "deadline": sweeps.ACCEPTANCE,
        "last_day": LAST_DAY.isoformat(),
    }


def test_reminders_that_came_due_in_a_pause_are_one(database: Database, clock: MovedClock) -> None:
    issue(database)
    clock.at = datetime(2027, 1, 30, 20, tzinfo=UTC)
    work(database)
    assert len(jobs(database, sweeps.REMIND_CONTACT)) == 1


def test_reminders_of_what_was_accepted_are_of_its_expiry(database: Database, clock: MovedClock) -> None:
    certificates = issue(database, standing=REISSUED)
    with database.read() as connection:
        not_after = find(connection, certificates).not_after
    clock.at = not_after - timedelta(days=61)
    work(database)
    assert jobs(database, sweeps.REMIND_CONTACT) == []
    clock.at = not_after - timedelta(days=59)
    work(database)
    (facts,) = jobs(database, sweeps.REMIND_CONTACT)
    assert facts["deadline"] == sweeps.EXPIRY


def test_deadlines_of_many_that_several_workers_watch_happen_once_each(
    address: str, database: Database, clock: MovedClock
) -> None:
    sets = [issue(database, organisation=f"{OID}.{number % 3}") for number in range(24)]
    clock.at = SWEEP
    others = [Database(address, clock) for _ in range(4)]
    together = Barrier(len(others))

    def worker(own: Database) -> None:
        together.wait()
        work(own)

    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(worker, others))
    for each in others:
        each.close()
    assert Counter(events(database, "certificates.lapse")) == dict.fromkeys(map(str, sets), 1)
    assert Counter(facts["set"] for facts in jobs(database, TELL_CONTACT)) == dict.fromkeys(map(str, sets), 1)
    assert jobs(database, sweeps.LAPSE) == []


def test_sweep_whose_lease_is_over_leaves_nothing_to_its_follower_twice(
    database: Database, clock: MovedClock
) -> None:
    certificates = issue(database)
    clock.at = SWEEP
    slow = claim(database, [sweeps.SWEEP])
    assert isinstance(slow, Job)
    clock.move(timedelta(minutes=10))
    work(database)
    with pytest.raises(JobLost):
        sweeps.handlers(RULES)[sweeps.SWEEP](database, slow)
    work(database)
    assert events(database, "certificates.lapse") == [str(certificates)]


def test_certificates_that_cannot_lapse_hold_up_no_others(
    database: Database, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, good = issue(database), issue(database)
    real = change_state

    def failing(change: object, certificates: UUID, *more: object) -> object:
        if certificates == odd:
            raise RuntimeError
        return real(change, certificates, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("xca_centre.certificate_sets.change_state", failing)
    clock.at = SWEEP
    for _ in range(6 * 24):
        work(database)
        clock.move(timedelta(hours=1))
    assert standing(database, good).is_over
    with database.read() as connection:
        # One job waits for the operator, however many sweeps found it again.
        assert [job.key for job in parked_jobs(connection)] == [f"lapse {odd}"]


def test_certificates_that_cannot_lapse_hide_no_others_from_the_sweep(
    database: Database, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "_MOST", 3)  # instead of 10,000
    odd = [issue(database) for _ in range(6)]
    with database.change() as change:
        for each in odd:
            change.enqueue(sweeps.LAPSE, {"set": str(each)}, key=f"{sweeps.LAPSE} {each}")
        change.connection.execute(update(JOBS).where(JOBS.c.kind == sweeps.LAPSE).values(parked=change.now))
    good = [issue(database, ends=LAPSES_AT + timedelta(seconds=each)) for each in range(5)]
    clock.at = SWEEP
    for _ in range(3):  # the second sweep takes what the first one left, the third finds nothing
        work(database)
        clock.move(timedelta(minutes=1))
    assert all(standing(database, each).is_over for each in good)
    assert not any(standing(database, each).is_over for each in odd)
    with database.read() as connection:
        planned = connection.execute(select(JOBS.c.due).where(JOBS.c.key == sweeps.SWEEP)).scalar_one()
    assert planned > clock.at + timedelta(hours=1)  # nothing is left: the next comes at midnight


def test_name_change_revokes_after_two_weeks_what_was_issued_before(
    database: Database, clock: MovedClock
) -> None:
    register(database)
    before, held = issue(database, standing=REISSUED), issue(database)
    elsewhere = issue(database, organisation="2.16.1")
    happen(database, held, CertificateEvent.SUSPEND)
    changed = date(2026, 11, 1)
    clock.move(timedelta(days=1))
    with database.change() as change:
        recorded = name_changes.record(change, OID, changed, OFFICER, RULES)
        assert name_changes.record(change, OID, changed, OFFICER, RULES) == recorded
    assert len(jobs(database, name_changes.TELL_ORGANISATION)) == 1
    clock.move(timedelta(days=1))
    after = issue(database, card="XC00000000000002", standing=REISSUED)
    clock.at = datetime(2026, 11, 15, 16, tzinfo=UTC) - timedelta(seconds=1)  # 15 November is the last day
    work(database)
    assert standing(database, before) == REISSUED
    clock.move(timedelta(minutes=6))
    work(database)
    work(database)
    assert {standing(database, each).reason for each in (before, held)} == {Reason.AFFILIATION_CHANGED}
    assert {standing(database, each).is_over for each in (after, elsewhere)} == {False}
    assert len(events(database, name_changes.SETTLED)) == 1


def test_certificate_with_an_email_that_is_written_after_a_name_change_is_revoked_too(
    database: Database, clock: MovedClock
) -> None:
    register(database)
    before = issue(database, standing=REISSUED)
    with database.change() as change:
        name_changes.record(change, OID, date(2026, 11, 1), OFFICER, RULES)
    clock.move(timedelta(days=1))
    happen(database, before, CertificateEvent.REISSUE)
    after = issue(database, standing=REISSUED)  # for the same keys, on the same card
    clock.at = datetime(2026, 11, 15, 16, 6, tzinfo=UTC)
    work(database)
    assert standing(database, after).reason is Reason.AFFILIATION_CHANGED


def test_dissolution_revokes_after_two_weeks_also_what_was_issued_since(
    database: Database, clock: MovedClock
) -> None:
    register(database)
    before, elsewhere = issue(database, standing=REISSUED), issue(database, organisation="2.16.1")
    with database.change() as change:
        ended = name_changes.dissolve(change, OID, date(2026, 11, 1), OFFICER, RULES)
    assert ended.last_day == date(2026, 11, 15)
    assert [job["kind"] for job in jobs(database, name_changes.TELL_ORGANISATION)] == ["dissolved"]
    clock.move(timedelta(days=1))
    after = issue(database, card="XC00000000000002", standing=REISSUED)
    work(database)
    assert standing(database, before) == REISSUED
    clock.at = datetime(2026, 11, 15, 16, 6, tzinfo=UTC)
    work(database)
    assert {standing(database, each).reason for each in (before, after)} == {Reason.CESSATION_OF_OPERATION}
    assert not standing(database, elsewhere).is_over


def test_dissolution_on_the_day_of_a_name_change_is_recorded_beside_it_and_once(
    database: Database, clock: MovedClock
) -> None:
    register(database)
    day = date(2026, 11, 1)
    with database.change() as change:
        name_changes.record(change, OID, day, OFFICER, RULES, "國立新名大學")
        name_changes.dissolve(change, OID, day, OFFICER, RULES)
    for act in (name_changes.record, name_changes.dissolve):
        with pytest.raises(OrganisationDissolved), database.change() as change:
            act(change, OID, day, OFFICER, RULES)
    with database.read() as connection:
        found = name_changes.of_organisation(connection, OID)
    assert {each.kind.value for each in found} == {"renamed", "dissolved"}


def test_new_name_is_the_registers_and_its_correction_is_noted_under_the_same_record(
    database: Database, clock: MovedClock
) -> None:
    register(database)
    wrong = None
    for name in ("國立新明大學", "國立新名大學", "國立新名大學"):
        with database.change() as change:
            name_changes.record(change, OID, date(2026, 11, 1), OFFICER, RULES, name)
        clock.move(timedelta(hours=1))
        wrong = wrong or issue(database, standing=REISSUED)
    with database.read() as connection:
        assert organisations.organisation(connection, OID).name == "國立新名大學"
        assert len(name_changes.of_organisation(connection, OID)) == 1
    assert len(events(database, name_changes.RECORDED)) == 2
    assert len(jobs(database, name_changes.TELL_ORGANISATION)) == 2
    assert wrong is not None
    clock.at = datetime(2026, 11, 15, 16, 6, tzinfo=UTC)
    work(database)
    assert standing(database, wrong).reason is Reason.AFFILIATION_CHANGED
    with pytest.raises(BadOrganisationName), database.change() as change:
        name_changes.record(change, OID, date(2026, 11, 1), OFFICER, RULES, "=1")


def test_change_of_an_organisation_that_nobody_knows_is_refused(
    database: Database, clock: MovedClock
) -> None:
    for act in (name_changes.record, name_changes.dissolve):
        with pytest.raises(OrganisationUnknown), database.change() as change:
            act(change, OID, date(2026, 11, 1), OFFICER, RULES)


def test_name_change_that_has_not_come_or_that_a_holder_records_is_refused(
    database: Database, clock: MovedClock
) -> None:
    with database.change() as change:
        with pytest.raises(ChangeInFuture):
            name_changes.record(change, OID, date(2026, 11, 3), OFFICER, RULES)
        with pytest.raises(NotYours):
            name_changes.record(change, OID, date(2026, 11, 1), HOLDER, RULES)


def test_name_change_that_two_officers_record_at_once_is_one(database: Database, clock: MovedClock) -> None:
    register(database)
    together = Barrier(2)

    def record(name: str) -> NameChange:
        together.wait()
        with database.change() as change:
            return name_changes.record(
                change, OID, date(2026, 11, 1), Actor(Role.FIRST_REVIEWER, name), RULES
            )

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(record, "12"))) == 1
    assert len(events(database, name_changes.RECORDED)) == 1


@pytest.mark.integration
def test_sweep_that_is_killed_at_any_transaction_does_each_thing_once(
    sqlite_template: Path, tmp_path: Path, clock: MovedClock
) -> None:
    for nth in count(1):
        clock.at = ISSUE_DAY
        database = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / str(nth))}", clock)
        register(database)
        renamed = issue(database, standing=REISSUED)
        with database.change() as change:
            name_changes.record(change, OID, date(2026, 11, 1), OFFICER, RULES)
        late = [issue(database, organisation="2.16.1") for _ in range(2)]
        clock.at = SWEEP
        database.close()  # no connection goes into the other process
        is_reached = killed(nth, partial(work, database), TRANSACTIONS)
        clock.move(LEASE + timedelta(seconds=1))
        work(database)
        assert Counter(events(database, "certificates.lapse")) == dict.fromkeys(map(str, late), 1), nth
        assert events(database, "certificates.revoke") == [str(renamed)], nth
        assert events(database, name_changes.SETTLED) == [OID], nth
        assert len(jobs(database, TELL_CONTACT)) == 3, nth
        assert len(jobs(database, sweeps.SWEEP)) == 1, nth
        database.close()
        if not is_reached:
            break
    assert nth > 15


@pytest.fixture
def statements() -> Iterator[list[tuple[str, tuple[object, ...]]]]:
    """The statements that any engine executes."""
    executed: list[tuple[str, tuple[object, ...]]] = []

    def note(_: object, __: object, statement: str, parameters: tuple[object, ...], *more: object) -> None:
        executed.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    yield executed
    event.remove(Engine, "before_cursor_execute", note)


def test_sweep_reads_no_table_from_end_to_end(
    sqlite_address: str, clock: MovedClock, statements: list[tuple[str, tuple[object, ...]]]
) -> None:
    database = Database(sqlite_address, clock)
    register(database)
    issue(database)
    with database.change() as change:
        name_changes.record(change, OID, date(2026, 11, 1), OFFICER, RULES)
    clock.at = SWEEP
    statements.clear()
    work(database)
    database.close()
    queries = [each for each in statements if each[0].startswith("SELECT")]
    assert len(queries) > 10
    with sqlite3.connect(sqlite_address.removeprefix("sqlite:///")) as connection:
        for query, parameters in queries:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", parameters)]
            assert [step for step in plan if step.startswith("SCAN")] == [], query
