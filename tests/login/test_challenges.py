# SPDX-License-Identifier: Apache-2.0
"""Challenges are made for one session and used once, whichever store keeps them."""

import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event

from support.login_site import SITE, Desk
from support.postgresql import WITH_POSTGRESQL
from xca_common.statement import Statement, StatementKind
from xca_common.taipei import TAIPEI
from xca_login import Challenges, ChallengeStore, MemoryStore, Site, errors
from xca_login.challenges import LIFETIME, MOST_OF_A_SESSION, Challenge
from xca_login.sql_store import METADATA, SqlStore, create_tables
from xca_login.testing.parties import NOW
from xca_login.testing.tokens import sign
from xca_login.token import Token

KINDS = ("memory", "sqlite", WITH_POSTGRESQL)

Make = Callable[[int], ChallengeStore]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes an empty store for so many challenges."""
    if request.param == "memory":
        return MemoryStore
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path / 'challenges.db'}")
    else:
        engine = request.getfixturevalue("server")
        METADATA.drop_all(engine)

    def made(most: int) -> ChallengeStore:
        create_tables(engine)
        return SqlStore(engine, most)

    return made


@pytest.fixture
def kept(make: Make) -> ChallengeStore:
    return make(100)


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


def token(desk: Desk, text: bytes) -> Token:
    return Token.read(sign(desk.school, text))


def test_challenge_of_a_site_is_a_login_statement_for_its_origin(kept: ChallengeStore) -> None:
    challenge = Challenges(SITE, kept, clock=lambda: NOW).new("a")
    statement = Statement.parse(challenge.text)
    assert (statement.kind, statement.origin, statement.time) == (StatementKind.LOGIN, SITE.origin, NOW)
    assert statement.nonce == challenge.nonce
    assert challenge.until == NOW + timedelta(seconds=300)


def test_challenge_that_was_taken_is_gone(kept: ChallengeStore, desk: Desk) -> None:
    challenges = Challenges(SITE, kept)
    challenge = challenges.new("a")
    answer = token(desk, challenge.text)
    assert challenges.take("a", answer) == challenge
    with pytest.raises(errors.ChallengeUnknown):
        challenges.take("a", answer)


def test_challenge_of_another_session_stays_where_it_is(kept: ChallengeStore, desk: Desk) -> None:
    challenges = Challenges(SITE, kept)
    answer = token(desk, challenges.new("a").text)
    with pytest.raises(errors.ChallengeUnknown):
        challenges.take("b", answer)
    assert challenges.take("a", answer)


def test_challenge_that_ended_is_told_and_used_up(kept: ChallengeStore, desk: Desk) -> None:
    answer = token(desk, Challenges(SITE, kept, clock=lambda: NOW).new("a").text)
    late = Challenges(SITE, kept, clock=lambda: NOW + timedelta(seconds=301))
    with pytest.raises(errors.ChallengeExpired):
        late.take("a", answer)
    with pytest.raises(errors.ChallengeUnknown):
        late.take("a", answer)


def test_challenge_has_its_time_whatever_the_clocks_time_zone(kept: ChallengeStore, desk: Desk) -> None:
    there = NOW.astimezone(TAIPEI)
    challenges = Challenges(SITE, kept, clock=lambda: there)
    challenge = challenges.new("a")
    assert Statement.parse(challenge.text).time == NOW
    assert challenges.take("a", token(desk, challenge.text)).until == NOW + LIFETIME
    late = token(desk, challenges.new("a").text)
    there += LIFETIME + timedelta(seconds=1)
    with pytest.raises(errors.ChallengeExpired):
        challenges.take("a", late)


def test_token_over_something_else_takes_nothing(kept: ChallengeStore, desk: Desk) -> None:
    challenges = Challenges(SITE, kept)
    challenge = challenges.new("a")
    with pytest.raises(errors.ContentWrong):
        challenges.take("a", token(desk, b"a document"))
    assert challenges.take("a", token(desk, challenge.text))


def test_ninth_challenge_of_a_session_takes_the_place_of_its_oldest(kept: ChallengeStore, desk: Desk) -> None:
    at = iter(NOW + timedelta(milliseconds=n) for n in range(1000))
    challenges = Challenges(SITE, kept, clock=lambda: next(at))
    other = challenges.new("b")
    made = [challenges.new("a") for _ in range(MOST_OF_A_SESSION + 1)]
    with pytest.raises(errors.ChallengeUnknown):
        challenges.take("a", token(desk, made[0].text))
    assert challenges.take("b", token(desk, other.text))
    assert all(challenges.take("a", token(desk, one.text)) for one in made[1:])


def test_challenge_that_is_made_after_the_clock_was_set_back_is_kept(
    kept: ChallengeStore, desk: Desk
) -> None:
    for _ in range(MOST_OF_A_SESSION):
        Challenges(SITE, kept, clock=lambda: NOW).new("a")
    before = Challenges(SITE, kept, clock=lambda: NOW - timedelta(minutes=1))
    assert before.take("a", token(desk, before.new("a").text))


def test_store_that_is_full_refuses_and_drops_nobodys(make: Make, desk: Desk) -> None:
    challenges = Challenges(SITE, make(2), clock=lambda: NOW)
    made = [challenges.new(session) for session in "ab"]
    with pytest.raises(errors.TooManyChallenges):
        challenges.new("c")
    assert all(
        challenges.take(session, token(desk, one.text)) for session, one in zip("ab", made, strict=True)
    )
    assert challenges.new("c")


def test_store_that_is_full_of_ended_ones_takes_new_ones(make: Make) -> None:
    full = make(1)
    Challenges(SITE, full, clock=lambda: NOW).new("a")
    assert Challenges(SITE, full, clock=lambda: NOW + timedelta(hours=1)).new("b")


def test_rows_of_a_database_are_not_counted_at_each_challenge(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'challenges.db'}")
    create_tables(engine)
    store = SqlStore(engine)
    counted = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: object, cursor: object, statement: str, *more: object) -> None:
        if "count(" in statement and "WHERE" not in statement:
            counted.append(statement)

    challenges = Challenges(SITE, store)
    for number in range(20):
        challenges.new(str(number))
    assert 1 <= len(counted) < 20


def test_challenge_that_many_threads_take_goes_to_one(kept: ChallengeStore) -> None:
    challenge = Challenges(SITE, kept).new("a")
    session = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"  # SHA-256 of "a"
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: kept.take(session, challenge.nonce), range(16)))
    assert [one for one in taken if one] == [challenge]


def test_database_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    nowhere = create_engine(f"sqlite:///{tmp_path / 'nowhere' / 'challenges.db'}")
    unreachable = SqlStore(nowhere)
    with pytest.raises(errors.StoreUnavailable):
        create_tables(nowhere)
    with pytest.raises(errors.StoreUnavailable):
        Challenges(SITE, unreachable).new("a")
    with pytest.raises(errors.StoreUnavailable):
        unreachable.take("a", "nonce")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "bids.example.gov.tw",
        "http://bids.example.gov.tw",
        "https://bids.example.gov.tw/",
        "https://Bids.example.gov.tw",
        "https://bids.example.gov.tw:443",
        "https://bids.example.gov.tw/login",
        "ftp://bids.example.gov.tw",
    ],
)
def test_origin_that_browsers_do_not_write_is_refused(origin: str) -> None:
    with pytest.raises(errors.BadOrigin):
        Site(origin, "")


@pytest.mark.parametrize("origin", ["https://bids.example.gov.tw:8443", "http://localhost:8000"])
def test_origin_that_is_secure_or_local_is_taken(origin: str) -> None:
    assert Site(origin, "").origin == origin


def test_full_store_refuses_as_fast_as_a_small_one() -> None:
    taken = {}
    for size in (100, 50_000):
        full = MemoryStore(size)
        for number in range(size):
            full.add(str(number), Challenge(b"", "nonce", NOW + LIFETIME), NOW)
        rounds = []
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(100):
                with pytest.raises(errors.TooManyChallenges):
                    full.add("another", Challenge(b"", "nonce", NOW + LIFETIME), NOW)
            rounds.append(time.perf_counter() - start)
        taken[size] = min(rounds)
    assert taken[50_000] < 20 * taken[100]


def test_memory_of_a_store_does_not_grow_with_what_was_taken() -> None:
    store = MemoryStore()
    tracemalloc.start()
    try:
        for number in range(2_000):
            store.add("a", Challenge(b"", str(number), NOW + LIFETIME), NOW)
            assert store.take("a", str(number))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 50_000
