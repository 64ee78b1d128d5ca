# SPDX-License-Identifier: Apache-2.0
"""Certificates move together, each change is one transaction, two at once are one after the other."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import sleep
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import NullPool, create_engine, func, select, text

from support.moved_clock import MovedClock
from support.new_sets import new_set
from xca_centre import deadlines
from xca_centre.authority.repository import PARTITION_SIZE, partition_of
from xca_centre.certificate_sets import (
    PUBLISH,
    TELL_CONTACT,
    CertificateSet,
    Use,
    add,
    certificates_of,
    change_state,
    find,
    merge_list,
    of_card,
    of_organisation,
    of_serial,
    overdue,
    past_not_after,
    redo,
    reserve,
    serial_of,
)
from xca_centre.errors import HeldByOthers, NoSuchCertificates, Refused
from xca_centre.issuer_rules import Issuer, load
from xca_centre.life.certificate import (
    ISSUED,
    REISSUED,
    CertificateEvent,
    CertificateState,
    Circumstances,
    Hold,
    Reason,
    Standing,
    deadline_begins_anew,
    next_standing,
)
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_centre.store.job_queue import claim
from xca_centre.store.journal import Journal
from xca_centre.store.restored import merge
from xca_centre.store.tables import EVENTS, JOBS

RULES = load(Issuer.XCA)
HOLDING = load(Issuer.GCA)
HOLDER = Actor(Role.HOLDER, "XC00000000000001")
OPERATOR = Actor(Role.OPERATOR, "1")
COURT = Actor(Role.COURT, "letter 1")
CENTRE = Actor(Role.CENTRE, "jobs")


def issue(database: Database, **how: Any) -> UUID:
    """Issue the certificates of a card."""
    with database.change() as change:
        return add(change, new_set(change.now, reserve(change, 2, 2), **how), OPERATOR)


def happen(
    database: Database, certificates: UUID, event: CertificateEvent, by: Actor, reason: Reason | None = None
) -> Standing:
    with database.change() as change:
        return change_state(change, certificates, event, by, RULES, reason)


def now_of(database: Database, certificates: UUID) -> CertificateSet:
    with database.read() as connection:
        return find(connection, certificates)


def written(database: Database) -> tuple[list[str], list[str]]:
    """The kinds of all events and jobs."""
    with database.read() as connection:
        events = connection.execute(select(EVENTS.c.kind).order_by(EVENTS.c.at)).scalars()
        return [*events], sorted(connection.execute(select(JOBS.c.kind)).scalars())


def test_certificates_that_are_issued_are_found_by_card_organisation_and_serial(
    database: Database, clock: MovedClock
) -> None:
    with database.change() as change:
        new = new_set(change.now, reserve(change, 2, 2))
        identity = add(change, new, OPERATOR)
    with database.read() as connection:
        found = find(connection, identity)
        assert found == CertificateSet(
            identity,
            "XC00000000000001",
            "2.16.886.111.100000",
            "secondary",
            ISSUED,
            clock.at,
            1,
            clock.at,
            None,
            clock.at + timedelta(days=90),
            clock.at + timedelta(days=6 * 365),
            True,
        )
        assert [*of_card(connection, "XC00000000000001")] == [found]
        assert [*of_organisation(connection, "2.16.886.111.100000")] == [found]
        assert of_card(connection, "XC00000000000002") == []
        signing, encryption = certificates_of(connection, identity)
        for _, certificate in new.certificates:
            assert of_serial(connection, f"00{serial_of(certificate).lower()}") == found
        with pytest.raises(NoSuchCertificates):
            of_serial(connection, "1")
    assert (signing.use, signing.serial) == (Use.SIGNING, serial_of(new.certificates[0][1]))
    assert (encryption.use, encryption.partition) == (Use.ENCRYPTION, 0)
    assert written(database) == (["certificates.issue"], [PUBLISH])


def test_change_of_state_writes_version_event_and_jobs(database: Database, clock: MovedClock) -> None:
    identity = issue(database)
    begun = clock.at
    clock.move(timedelta(days=1))
    accepted = happen(database, identity, CertificateEvent.ACCEPT, HOLDER)
    assert accepted == Standing(CertificateState.VALID)
    found = now_of(database, identity)
    assert (found.standing, found.version, found.since, found.accepted) == (accepted, 2, clock.at, clock.at)
    assert found.issued == begun
    assert written(database) == (
        ["certificates.issue", "certificates.accept"],
        [PUBLISH, PUBLISH, TELL_CONTACT],
    )


def test_change_that_changes_nothing_writes_nothing(database: Database) -> None:
    identity = issue(database)
    first = happen(database, identity, CertificateEvent.SUSPEND, HOLDER)
    before = now_of(database, identity), written(database)
    assert happen(database, identity, CertificateEvent.SUSPEND, HOLDER) == first
    assert (now_of(database, identity), written(database)) == before


def test_change_that_is_refused_writes_nothing(database: Database) -> None:
    identity = issue(database)
    happen(database, identity, CertificateEvent.SUSPEND, COURT)
    before = now_of(database, identity), written(database)
    with pytest.raises(HeldByOthers):
        happen(database, identity, CertificateEvent.RESUME, HOLDER)
    with pytest.raises(NoSuchCertificates):
        happen(database, uuid4(), CertificateEvent.RESUME, HOLDER)
    assert (now_of(database, identity), written(database)) == before


def test_hold_before_acceptance_changes_no_list(database: Database) -> None:
    identity = issue(database)
    since = now_of(database, identity).since
    happen(database, identity, CertificateEvent.SUSPEND, HOLDER)
    assert now_of(database, identity).since == since
    assert written(database)[1] == [PUBLISH, TELL_CONTACT]


def test_lapse_that_is_lifted_begins_the_days_anew(database: Database, clock: MovedClock) -> None:
    identity = issue(database)
    clock.move(timedelta(days=90))
    with database.change() as change:
        lapsed = change_state(change, identity, CertificateEvent.LAPSE, CENTRE, HOLDING)
        assert lapsed.holds == {Hold.LAPSE}
    with database.read() as connection:
        assert overdue(connection, clock.at, 10) == []
    with database.change() as change:
        change_state(change, identity, CertificateEvent.RESUME, OPERATOR, HOLDING)
    found = now_of(database, identity)
    assert found.standing == ISSUED
    assert found.lapses_at == deadlines.lapses_at(clock.at, HOLDING)


def test_sweep_finds_what_is_overdue_until_it_had_its_consequence(
    database: Database, clock: MovedClock
) -> None:
    identity, other = issue(database), issue(database, card=None)
    happen(database, other, CertificateEvent.ACCEPT, HOLDER)
    with database.read() as connection:
        assert overdue(connection, clock.at + timedelta(days=90, microseconds=-1), 10) == []
        assert overdue(connection, clock.at + timedelta(days=90), 10) == [identity]
    clock.move(timedelta(days=90))
    happen(database, identity, CertificateEvent.LAPSE, CENTRE)
    end = now_of(database, other).not_after
    with database.read() as connection:
        assert overdue(connection, clock.at, 10) == []
        assert past_not_after(connection, end, 10) == []
        assert past_not_after(connection, end + timedelta(seconds=1), 10) == [other]
    clock.at = end + timedelta(seconds=1)
    happen(database, other, CertificateEvent.EXPIRE, CENTRE)
    with database.read() as connection:
        assert past_not_after(connection, clock.at, 10) == []


def test_lists_of_a_partition_that_changes_often_are_published_once(database: Database) -> None:
    identities = [issue(database) for _ in range(3)]
    for identity in identities:
        happen(database, identity, CertificateEvent.REVOKE, OPERATOR, Reason.KEY_COMPROMISE)
    job = claim(database, {PUBLISH})
    assert job is not None
    assert job.facts == {"generation": 2, "partition": 0}
    assert claim(database, {PUBLISH}) is None


def test_sequence_is_given_once_and_a_card_stays_in_one_partition(database: Database) -> None:
    def take(_: int) -> int:
        with database.change() as change:
            return reserve(change, 2, 2)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take, range(12))) == [2 * number for number in range(12)]
    with database.change() as change:
        assert reserve(change, 3, 1) == 0  # each generation has its own
        reserve(change, 2, PARTITION_SIZE - 24 - 1)
        first = reserve(change, 2, 2)
    assert first == PARTITION_SIZE
    assert partition_of(first) == partition_of(first + 1) == 1


def test_change_waits_for_another_one_of_the_set_and_is_judged_after_it(
    address: str, database: Database, clock: MovedClock
) -> None:
    identity = issue(database)
    happen(database, identity, CertificateEvent.ACCEPT, HOLDER)
    happen(database, identity, CertificateEvent.SUSPEND, HOLDER)
    other = Database(address, clock)
    is_begun = Event()

    def resume() -> Standing:
        is_begun.set()
        return happen(other, identity, CertificateEvent.RESUME, HOLDER)

    with ThreadPoolExecutor(1) as pool:
        with database.change() as change:
            change_state(change, identity, CertificateEvent.SUSPEND, COURT, RULES)
            waiting = pool.submit(resume)
            assert is_begun.wait(30)
            wait_until_blocked(address)
            assert not waiting.done()
        assert waiting.result().holds == {Hold.COURT}
    other.close()
    assert now_of(database, identity).version == 5
    kinds = written(database)[0]
    assert (kinds.count("certificates.suspend"), kinds.count("certificates.resume")) == (2, 1)


def wait_until_blocked(address: str) -> None:
    """Wait until a statement of PostgreSQL waits for a row. On SQLite nobody reads before the other ends."""
    if not address.startswith("postgresql"):
        return
    blocked = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        for _ in range(3000):
            if connection.execute(blocked).scalar_one():
                return
            sleep(0.01)
    raise TimeoutError


def test_restored_database_has_every_certificate_and_state_again(
    tmp_path: Path, address: str, backed_up: Callable[[], str], clock: MovedClock
) -> None:
    journal = tmp_path / "journal"
    journal.mkdir(0o700)
    database = Database(address, clock, Journal.begin(journal))
    kept = issue(database)
    happen(database, kept, CertificateEvent.ACCEPT, HOLDER)
    database.close()
    backup = backed_up()
    clock.move(timedelta(days=1))
    happen(database, kept, CertificateEvent.SUSPEND, HOLDER)
    happen(database, kept, CertificateEvent.RESUME, HOLDER)
    happen(database, kept, CertificateEvent.REVOKE, OPERATOR, Reason.KEY_COMPROMISE)
    lost = issue(database, card=None)
    happen(database, lost, CertificateEvent.SUSPEND, COURT)
    before = [now_of(database, identity) for identity in (kept, lost)]
    with database.read() as connection:
        certificates = certificates_of(connection, lost)
    database.close()
    restored = Database(backup, clock)
    assert now_of(restored, kept).standing.listed_reason is None
    assert merge(restored, Journal(journal), [redo], OPERATOR).count == 5
    assert [now_of(restored, identity) for identity in (kept, lost)] == before
    with restored.read() as connection:
        assert certificates_of(connection, lost) == certificates
    with restored.change() as change:
        assert reserve(change, 2, 1) == 3  # behind what was issued
    job = claim(restored, {PUBLISH})
    assert job is not None
    assert job.facts == {"generation": 2, "partition": 0}
    restored.close()


def test_published_list_is_merged_into_a_restored_database(database: Database, clock: MovedClock) -> None:
    revoked, held, unaccepted = (issue(database) for _ in range(3))
    for identity in (revoked, held):
        happen(database, identity, CertificateEvent.ACCEPT, HOLDER)
    with database.read() as connection:
        serials = [
            certificates_of(connection, identity)[0].serial for identity in (revoked, held, unaccepted)
        ]
    listed = clock.at - timedelta(hours=1)
    reasons = (Reason.KEY_COMPROMISE, Reason.CERTIFICATE_HOLD, Reason.CERTIFICATE_HOLD)
    entries = [
        *((serial, reason, listed) for serial, reason in zip(serials, reasons, strict=True)),
        ("ABCDEF", Reason.SUPERSEDED, listed),
    ]
    for _ in range(2):
        with database.change() as change:
            assert merge_list(change, entries, OPERATOR, RULES) == ["ABCDEF"]
    assert now_of(database, revoked).standing == Standing(CertificateState.REVOKED, Reason.KEY_COMPROMISE)
    assert now_of(database, revoked).since == listed
    assert now_of(database, held).standing.holds == {Hold.AUTHORITY}
    assert now_of(database, unaccepted).version == 1
    assert [now_of(database, identity).version for identity in (revoked, held)] == [3, 3]


class Lives(RuleBasedStateMachine):
    """Sets in SQLite, beside a model: what next_standing() says, and how often it changed."""

    sets: Bundle[UUID] = Bundle("sets")
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        path = shutil.copy(self.template, Path(self.folder.name) / "centre.db")
        self.clock = MovedClock()
        self.database = Database(f"sqlite:///{path}", self.clock)
        self.model: dict[UUID, CertificateSet] = {}
        self.events = 0

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @rule(target=sets, standing=st.sampled_from([ISSUED, REISSUED]), on_card=st.booleans())
    def issue(self, standing: Standing, on_card: bool) -> UUID:
        identity = issue(self.database, standing=standing, card="XC00000000000001" if on_card else None)
        self.model[identity] = now_of(self.database, identity)
        self.events += 1
        return identity

    @rule(days=st.sampled_from([0, 30, 91, 2000]))
    def wait(self, days: int) -> None:
        self.clock.move(timedelta(days=days, seconds=1))

    @rule(
        identity=sets,
        event=st.sampled_from(CertificateEvent),
        role=st.sampled_from(Role),
        reason=st.sampled_from([None, *Reason]),
        rules=st.sampled_from([RULES, HOLDING]),
    )
    def happen(
        self, identity: UUID, event: CertificateEvent, role: Role, reason: Reason | None, rules: Any
    ) -> None:
        before = self.model[identity]
        at = Circumstances(
            before.standing,
            role,
            self.clock.at,
            before.lapses_at,
            before.not_after,
            rules.deadlines.lapse,
            reason,
        )
        expected: Standing | type[Refused]
        try:
            expected = next_standing(event, at, rules.certificates)
        except Refused as refused:
            expected = type(refused)
        found: Standing | type[Refused]
        try:
            with self.database.change() as change:
                found = change_state(change, identity, event, Actor(role, "1"), rules, reason)
        except Refused as refused:
            found = type(refused)
        assert found == expected
        if isinstance(expected, Standing) and expected != before.standing:
            self.events += 1
            after = now_of(self.database, identity)
            assert after.version == before.version + 1
            assert after.standing == expected
            is_told_otherwise = expected.listed_reason != before.standing.listed_reason
            assert after.since == (self.clock.at if is_told_otherwise else before.since)
            begins_anew = deadline_begins_anew(before.standing, expected)
            assert (after.lapses_at != before.lapses_at) is begins_anew
            self.model[identity] = after

    @invariant()
    def only_what_changed_has_changed(self) -> None:
        for identity, expected in self.model.items():
            assert now_of(self.database, identity) == expected
        with self.database.read() as connection:
            assert connection.execute(select(func.count()).select_from(EVENTS)).scalar_one() == self.events


@pytest.mark.integration  # thousands of steps
def test_lives_of_certificates_are_those_of_the_model(sqlite_template: Path) -> None:
    Lives.template = sqlite_template
    run_state_machine_as_test(
        Lives, settings=settings(max_examples=30, stateful_step_count=30, deadline=None, derandomize=True)
    )
