# SPDX-License-Identifier: Apache-2.0
"""User codes for what is done online: their tries, and what nobody learns from them."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Literal
from uuid import UUID

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from pkcs11_shim import rules
from support.moved_clock import MovedClock
from xca_centre import user_codes
from xca_centre.errors import BadUserCode, LinkUnusable, UserCodeError, UserCodeRefused
from xca_centre.life.transitions import Actor, Role
from xca_centre.network_limits import WINDOW
from xca_centre.store.database import Change, Database
from xca_centre.store.job_queue import work_on_one
from xca_centre.store.tables import EVENTS, JOBS, USER_CODES
from xca_centre.user_codes import NETWORK_TRIES, UserCodes, network_of
from xca_common.pki.authority import ENCRYPTION
from xca_common.pki.sealed_secret import unseal
from xca_common.secret import Secret
from xca_login.testing.parties import party

RIGHT, WRONG = "Abc-1234", "abc-1234"
NETWORK = "192.0.2.0/24"
OFFICER = Actor(Role.FIRST_REVIEWER, "officer 1")
HOLDER = Actor(Role.HOLDER, "TTXC000000000001")


class CountedHasher(PasswordHasher):
    """Does what argon2 does, with less work, and counts it."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0
        self.before: Callable[[], object] = lambda: None

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # as in argon2
        self.verified += 1
        self.before()
        return super().verify(hash, password)


@pytest.fixture
def hasher() -> CountedHasher:
    return CountedHasher()


@pytest.fixture
def codes(database: Database, hasher: CountedHasher) -> UserCodes:
    return UserCodes(database, told, hasher)


def told(change: Change, code: UUID) -> None:
    change.enqueue("told", {"user_code": str(code)})


@pytest.fixture
def code(database: Database, codes: UserCodes) -> UUID:
    new = codes.choose(Secret(RIGHT))
    with database.change() as change:
        return user_codes.add(change, new)


def tried(codes: UserCodes, code: UUID | None, entered: str, network: str = NETWORK) -> str:
    try:
        codes.prove(lambda _: code, Secret(entered), network, Role.APPLICANT)
    except UserCodeError as refusal:
        return type(refusal).__name__
    return "right"


def locked(database: Database, code: UUID) -> bool:
    with database.read() as connection:
        return user_codes.is_locked(connection, code)


def test_form_of_a_user_code_is_the_cards() -> None:
    assert (user_codes.SHORTEST, user_codes.LONGEST) == (rules.USER_CODE_MIN, rules.USER_CODE_MAX)
    assert user_codes.TRIES == rules.MAX_TRIES
    for right in (chr(rules.CHAR_FIRST) * 6, chr(rules.CHAR_LAST) * 10):
        user_codes.check_form(Secret(right))
    for wrong in ("a" * 5, "a" * 11, "abc def", "abcdé1", "用戶代碼用戶", "", "\ud800" * 6):
        with pytest.raises(BadUserCode):
            user_codes.check_form(Secret(wrong))


def test_right_code_gives_back_the_tries(database: Database, codes: UserCodes, code: UUID) -> None:
    entered = (WRONG, WRONG, RIGHT, WRONG, WRONG, RIGHT)
    assert [tried(codes, code, one) for one in entered] == ["UserCodeRefused", "UserCodeRefused", "right"] * 2
    assert not locked(database, code)


def test_three_wrong_codes_lock_for_good_and_tell_the_contact(
    database: Database, codes: UserCodes, code: UUID, clock: MovedClock
) -> None:
    assert [tried(codes, code, WRONG) for _ in range(3)] == ["UserCodeRefused"] * 3
    clock.move(timedelta(days=400))
    assert tried(codes, code, RIGHT) == "UserCodeRefused"
    assert tried(UserCodes(database, told, CountedHasher()), code, RIGHT) == "UserCodeRefused"
    assert locked(database, code)
    assert told_of(database) == [str(code)]


def told_of(database: Database) -> list[str]:
    """Of which codes somebody was told, once all is done that follows."""
    while work_on_one(database, {user_codes.LOCKED: user_codes.handler(told)}):
        pass
    with database.read() as connection:
        found = connection.execute(select(JOBS.c.facts).where(JOBS.c.kind == "told")).scalars()
        return [json.loads(facts)["user_code"] for facts in found]


@pytest.mark.parametrize("entered", [WRONG, RIGHT])
def test_contact_is_told_of_a_lock_although_who_found_it_was_killed(
    database: Database,
    codes: UserCodes,
    code: UUID,
    hasher: CountedHasher,
    clock: MovedClock,
    entered: str,
) -> None:
    for _ in range(2):
        tried(codes, code, WRONG)

    def killed() -> None:
        raise KeyboardInterrupt

    hasher.before = killed
    with pytest.raises(KeyboardInterrupt):
        tried(codes, code, entered)
    assert told_of(database) == []
    clock.move(timedelta(minutes=1))
    assert told_of(database) == [str(code)]


def test_contact_is_not_told_of_a_lock_after_a_right_third_code(
    database: Database, codes: UserCodes, code: UUID, clock: MovedClock
) -> None:
    assert [tried(codes, code, one) for one in (WRONG, WRONG, RIGHT)][2] == "right"
    clock.move(timedelta(minutes=1))
    assert told_of(database) == []


def test_contact_is_told_of_each_lock_once(
    database: Database, codes: UserCodes, code: UUID, clock: MovedClock
) -> None:
    for _ in range(2):
        for _ in range(4):
            tried(codes, code, WRONG)
        clock.move(timedelta(minutes=1))
        with database.change() as change:
            user_codes.lift(change, code, OFFICER)
    assert told_of(database) == [str(code)] * 2


def test_code_of_another_form_spends_no_try(database: Database, codes: UserCodes, code: UUID) -> None:
    assert {tried(codes, code, "short") for _ in range(NETWORK_TRIES + 1)} == {"BadUserCode"}
    assert tried(codes, code, RIGHT) == "right"


def test_answer_and_work_are_the_same_for_unknown_wrong_and_locked(
    database: Database, codes: UserCodes, code: UUID, hasher: CountedHasher
) -> None:
    for _ in range(3):
        tried(codes, code, WRONG)
    with database.change() as change:
        other = user_codes.add(change, codes.choose(Secret(RIGHT)))
    said, work = set(), []
    for subject, entered in ((None, RIGHT), (other, WRONG), (code, RIGHT), (code, WRONG)):
        before = hasher.verified, events(database)
        with pytest.raises(UserCodeRefused) as refusal:
            codes.prove(lambda _, subject=subject: subject, Secret(entered), NETWORK, Role.HOLDER)  # type: ignore[misc]
        said.add((str(refusal.value), refusal.value.message("zh_TW")))
        work.append((hasher.verified - before[0], events(database) - before[1]))
    assert len(said) == 1
    assert work == [(1, 1)] * 4


def events(database: Database) -> int:
    with database.read() as connection:
        return len(connection.execute(select(EVENTS.c.id)).all())


def test_try_is_spent_in_the_database_before_the_hash_is_computed(
    database: Database, codes: UserCodes, code: UUID, hasher: CountedHasher
) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    hasher.before = killed
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            codes.prove(lambda _: code, Secret(WRONG), NETWORK, Role.APPLICANT)
    assert locked(database, code)


def test_parallel_wrong_codes_cost_a_try_each(database: Database, codes: UserCodes, code: UUID) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(lambda _: tried(codes, code, WRONG), range(2))] == ["UserCodeRefused"] * 2
    with database.read() as connection:
        assert connection.execute(select(USER_CODES.c.spent)).scalar_one() == 2
    assert not locked(database, code)


def test_many_parallel_codes_are_tried_three_times_in_all(
    database: Database, codes: UserCodes, code: UUID, hasher: CountedHasher
) -> None:
    guesses = [f"guess-{number:02}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        assert {*pool.map(lambda guess: tried(codes, code, guess), guesses)} == {"UserCodeRefused"}
    assert locked(database, code)
    with database.read() as connection:
        kinds = [*connection.execute(select(EVENTS.c.kind)).scalars()]
    assert kinds.count("user_code_locked") == 1


def test_right_code_that_took_long_lifts_no_later_lock(
    database: Database, codes: UserCodes, code: UUID, hasher: CountedHasher
) -> None:
    def meanwhile() -> None:
        hasher.before = lambda: None
        assert tried(codes, code, RIGHT) == "right"
        for _ in range(3):
            tried(codes, code, WRONG)

    hasher.before = meanwhile
    tried(codes, code, RIGHT)
    assert locked(database, code)


def test_code_that_was_replaced_meanwhile_is_refused(
    database: Database, codes: UserCodes, code: UUID, hasher: CountedHasher
) -> None:
    def meanwhile() -> None:
        with database.change() as change:
            user_codes.replace(change, code, codes.choose(Secret("Other-987")), HOLDER, "0000000000")

    hasher.before = meanwhile
    assert tried(codes, code, RIGHT) == "UserCodeRefused"
    hasher.before = lambda: None
    assert tried(codes, code, "Other-987") == "right"


def test_network_with_many_wrong_codes_waits_and_others_do_not(
    codes: UserCodes, code: UUID, clock: MovedClock
) -> None:
    for _ in range(NETWORK_TRIES):
        assert tried(codes, None, WRONG) == "UserCodeRefused"
    assert tried(codes, code, RIGHT) == "TooManyTries"
    assert tried(codes, code, RIGHT, "2001:db8::/48") == "right"
    clock.move(WINDOW)
    assert tried(codes, code, RIGHT) == "right"


def test_network_does_not_wait_for_an_hour_of_a_clock_that_was_put_back(
    codes: UserCodes, code: UUID, clock: MovedClock
) -> None:
    clock.move(timedelta(days=3650))
    for _ in range(NETWORK_TRIES):
        tried(codes, None, WRONG)
    clock.move(timedelta(days=-3650))
    assert tried(codes, code, RIGHT) == "right"


def test_network_with_many_right_codes_does_not_wait(codes: UserCodes, code: UUID) -> None:
    for _ in range(NETWORK_TRIES + 1):
        assert tried(codes, code, RIGHT) == "right"


@pytest.mark.fast
@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("testclient", "unknown"),
        ("", "unknown"),
    ],
)
def test_network_of_an_address_is_its_neighbourhood(address: str, network: str) -> None:
    assert network_of(address) == network


def test_officer_lifts_a_lock(database: Database, codes: UserCodes, code: UUID) -> None:
    for _ in range(3):
        tried(codes, code, WRONG)
    with database.change() as change:
        user_codes.lift(change, code, OFFICER)
    assert tried(codes, code, RIGHT) == "right"


def test_mailed_link_lifts_a_lock_once(database: Database, codes: UserCodes, code: UUID) -> None:
    for _ in range(3):
        tried(codes, code, WRONG)
    with database.change() as change:
        links = [user_codes.new_link(change, code) for _ in range(2)]
    with database.change() as change:
        assert user_codes.lift_by_link(change, links[0], HOLDER) == code
    assert tried(codes, code, RIGHT) == "right"
    for link in (*links, "", "guess"):
        with pytest.raises(LinkUnusable), database.change() as change:
            user_codes.lift_by_link(change, link, HOLDER)


def test_mailed_link_ends_in_time(database: Database, code: UUID, clock: MovedClock) -> None:
    with database.change() as change:
        link = user_codes.new_link(change, code)
    clock.move(user_codes.LINK_LIFE + timedelta(seconds=1))
    with pytest.raises(LinkUnusable), database.change() as change:
        user_codes.lift_by_link(change, link, HOLDER)


def test_code_is_sealed_to_the_producer_until_it_is_forgotten(database: Database, codes: UserCodes) -> None:
    producer = party("producer", usage=ENCRYPTION)
    new = codes.choose(Secret(RIGHT), producer.key.public_key())
    with database.change() as change:
        code = user_codes.add(change, new)
    with database.read() as connection:
        sealed = user_codes.sealed(connection, code)
    assert sealed is not None
    assert unseal(sealed, producer.key) == Secret(RIGHT)
    with database.change() as change:
        user_codes.forget_sealed(change, code)
    with database.read() as connection:
        assert user_codes.sealed(connection, code) is None
    assert tried(codes, code, RIGHT) == "right"


def test_code_stands_nowhere_in_what_is_kept_and_said(database: Database, codes: UserCodes) -> None:
    def all_of_it(change: Change) -> str:
        return str([change.connection.execute(select(table)).all() for table in (USER_CODES, EVENTS, JOBS)])

    with database.change() as change:
        code = user_codes.add(change, codes.choose(Secret(RIGHT)))
    for entered in (WRONG, WRONG, WRONG, RIGHT):
        with suppress(UserCodeRefused):
            codes.prove(lambda _: code, Secret(entered), NETWORK, Role.APPLICANT)
    with database.change() as change:
        kept = all_of_it(change)
    assert RIGHT not in kept
    assert WRONG not in kept
    assert "$argon2id$" in kept


@pytest.mark.fast
def test_hash_that_takes_more_work_than_ours_is_not_affordable(
    sqlite_address: str, clock: MovedClock
) -> None:
    codes = UserCodes(Database(sqlite_address, clock), told, CountedHasher())
    assert codes.is_affordable(CountedHasher().hash("x"))
    dear = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash("x")
    cheap = dear.replace("t=2", "t=1")
    odd = (
        cheap.replace("m=8", f"m={'0' * 300}8"),
        cheap.replace("m=8", "m=８"),
        cheap[:-1] + "\0",
        cheap + "\ud800",
    )
    for digest in (dear, "", "$argon2id$", "x", cheap.replace("argon2id", "argon2i"), *odd):
        assert not codes.is_affordable(digest)
