# SPDX-License-Identifier: Apache-2.0
"""What a try costs when the inner module answers neither yes nor no, and what the same mistake costs."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from pkcs11 import UserType

from support.module.cards import PIN, USER_CODE, WRONG, Card, Inner, card_session, so_session, user_session
from support.module.cryptoki import CKR
from support.module.host import Host

GIVEN_BACK = [
    CKR.USER_ALREADY_LOGGED_IN,
    CKR.USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR.USER_PIN_NOT_INITIALIZED,
    CKR.SESSION_READ_ONLY,
    CKR.SESSION_READ_ONLY_EXISTS,
    CKR.SESSION_HANDLE_INVALID,
    CKR.OPERATION_NOT_INITIALIZED,
    CKR.USER_TYPE_INVALID,
    CKR.ARGUMENTS_BAD,
    CKR.CRYPTOKI_NOT_INITIALIZED,
    CKR.PIN_LEN_RANGE,
    CKR.GENERAL_ERROR,
]
"""Answers that prove that the value was not looked at."""

KEPT_SPENT = [
    CKR.PIN_INCORRECT,
    CKR.PIN_INVALID,
    CKR.PIN_EXPIRED,
    CKR.HOST_MEMORY,
    CKR.SLOT_ID_INVALID,
    CKR.FUNCTION_FAILED,
    CKR.FUNCTION_CANCELED,
    CKR.FUNCTION_NOT_SUPPORTED,
    CKR.DEVICE_ERROR,
    CKR.DEVICE_MEMORY,
    CKR.DEVICE_REMOVED,
    CKR.SESSION_CLOSED,
    CKR.TOKEN_NOT_PRESENT,
    CKR.TOKEN_WRITE_PROTECTED,
    CKR.VENDOR,
]


@dataclass(frozen=True)
class Door:
    """One way to try a secret."""

    function: str
    secret: str
    session: Callable[[Host], int]
    knock: Callable[[Host, int, str], CKR | None]

    def tries(self, card: Card) -> int:
        return card.pin_tries if self.secret == "pin" else card.user_code_tries

    def set_tries(self, card: Card, tries: int) -> None:
        card.set_tries(**{self.secret: tries})


DOORS = [
    Door("C_Login", "pin", card_session, lambda host, at, value: host.login(at, UserType.USER, value)),
    Door("C_Login", "user_code", card_session, lambda host, at, value: host.login(at, UserType.SO, value)),
    Door("C_SetPIN", "pin", user_session, lambda host, at, value: host.set_pin(at, value, "newpin-1")),
    Door("C_SetPIN", "pin", card_session, lambda host, at, value: host.set_pin(at, value, "newpin-1")),
    Door("C_SetPIN", "user_code", so_session, lambda host, at, value: host.set_pin(at, value, "NewCode-99")),
]


@pytest.fixture(
    params=DOORS, ids=[f"{door.function}-{door.secret}-{door.session.__name__}" for door in DOORS]
)
def door(request: pytest.FixtureRequest) -> Door:
    one: Door = request.param
    return one


def test_try_comes_back_only_when_the_value_was_not_looked_at(card: Card, inner: Inner, door: Door) -> None:
    host = card.host(inner)
    for answer in GIVEN_BACK + KEPT_SPENT:
        for before in (3, 2):
            inner.does()
            host.reinitialize()
            session = door.session(host)
            door.set_tries(card, before)
            inner.answers(door.function, answer)
            # A value of its own each time: the same wrong value would not be asked again.
            value = f"v{answer:x}-{before}".ljust(8, "_")[-8:]
            asked = inner.count(door.function)
            assert door.knock(host, session, value) == answer
            assert inner.count(door.function) == asked + 1
            spent = answer in KEPT_SPENT
            assert door.tries(card) == before - spent, (answer, before)


def test_answer_that_proves_nothing_can_spend_the_last_try(card: Card, inner: Inner, door: Door) -> None:
    host = card.host(inner)
    session = door.session(host)
    door.set_tries(card, 1)
    inner.answers(door.function, CKR.DEVICE_REMOVED)
    door.knock(host, session, WRONG[0])
    assert door.tries(card) == 0
    other = card.host()
    user, right = (UserType.USER, PIN) if door.secret == "pin" else (UserType.SO, USER_CODE)
    assert other.login(card_session(other), user, right) == CKR.PIN_LOCKED


def test_same_wrong_value_again_costs_nothing(card: Card, inner: Inner, door: Door) -> None:
    host = card.host(inner)
    session = door.session(host)
    asked = inner.count(door.function)
    answers = [door.knock(host, session, WRONG[0]) for _ in range(5)]
    assert answers == [CKR.PIN_INCORRECT] * 5
    assert inner.count(door.function) == asked + 1
    assert door.tries(card) == 2


def test_remembered_value_is_the_last_wrong_one(card: Card, door: Door) -> None:
    host = card.host()
    session = door.session(host)
    answers = [door.knock(host, session, WRONG[value]) for value in (0, 1, 1, 0)]
    assert answers == [CKR.PIN_INCORRECT, CKR.PIN_INCORRECT, CKR.PIN_INCORRECT, CKR.PIN_LOCKED]
    assert door.tries(card) == 0


def test_remembered_value_of_a_locked_secret_is_answered_locked(card: Card, door: Door) -> None:
    host = card.host()
    session = door.session(host)
    for wrong in WRONG[:3]:
        last = door.knock(host, session, wrong)
    assert last == CKR.PIN_LOCKED
    assert door.knock(host, session, WRONG[2]) == CKR.PIN_LOCKED


def test_another_process_pays_for_the_same_value(card: Card) -> None:
    for left in (2, 1):
        host = card.host()
        assert host.login(card_session(host), UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
        assert card.pin_tries == left


def test_login_and_change_share_what_is_remembered(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    assert host.login(session, UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert host.set_pin(session, WRONG[0], "newpin-1") == CKR.PIN_INCORRECT
    assert card.pin_tries == 2


def test_remembered_pin_is_not_taken_for_the_user_code(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    assert host.login(session, UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert host.login(session, UserType.SO, WRONG[0]) == CKR.PIN_INCORRECT
    assert (card.pin_tries, card.user_code_tries) == (2, 2)


def test_remembered_value_after_finalize_is_kept(card: Card) -> None:
    host = card.host()
    assert host.login(card_session(host), UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    host.reinitialize()
    assert host.login(card_session(host), UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert card.pin_tries == 2


def test_remembered_value_after_a_success_is_forgotten(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    assert host.login(session, UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    host.logout(session)
    assert host.login(session, UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert card.pin_tries == 2


def test_wrong_value_may_become_the_right_one(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    assert host.login(session, UserType.USER, "newpin-1") == CKR.PIN_INCORRECT
    assert host.set_pin(session, PIN, "newpin-1") == CKR.OK
    assert host.login(session, UserType.USER, "newpin-1") == CKR.OK


def test_wrong_pin_may_become_the_one_that_the_user_code_sets(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    assert host.login(session, UserType.USER, "newpin-1") == CKR.PIN_INCORRECT
    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    assert host.init_pin(session, "newpin-1") == CKR.OK
    host.logout(session)
    assert host.login(session, UserType.USER, "newpin-1") == CKR.OK


def test_wrong_value_of_another_epoch_is_tried_again(card: Card) -> None:
    host = card.host()
    assert host.login(card_session(host), UserType.USER, "newpin-1") == CKR.PIN_INCORRECT
    other = card.host()
    assert other.set_pin(card_session(other), PIN, "newpin-1") == CKR.OK
    host.reinitialize()
    assert host.login(card_session(host), UserType.USER, "newpin-1") == CKR.OK


@pytest.mark.parametrize("answer", [CKR.GENERAL_ERROR, CKR.DEVICE_ERROR])
def test_value_that_was_not_found_wrong_is_not_remembered(card: Card, inner: Inner, answer: CKR) -> None:
    host = card.host(inner)
    session = card_session(host)
    inner.answers("C_Login", answer)
    assert host.login(session, UserType.USER, PIN) == answer
    inner.does()
    assert host.login(session, UserType.USER, PIN) == CKR.OK


def test_history_after_any_try_names_it(card: Card) -> None:
    before = len(card.store.events(card.number))
    host = card.host()
    session = card_session(host)
    host.login(session, UserType.USER, WRONG[0])
    host.login(session, UserType.SO, USER_CODE)
    host.init_pin(session, "newpin-1")
    host.set_pin(session, USER_CODE, "NewCode-99")
    host.logout(session)
    host.set_pin(session, "newpin-1", "newpin-2")
    history = [(event.event, event.result) for event in card.store.events(card.number)[before:]]
    assert history == [
        ("verify-pin", CKR.PIN_INCORRECT),
        ("verify-user-code", CKR.OK),
        ("reset-pin", CKR.OK),
        ("change-user-code", CKR.OK),
        ("change-pin", CKR.OK),
    ]


@pytest.mark.parametrize(
    ("purpose", "right", "event"),
    [
        ("sign", True, "sign"),
        ("decrypt", True, "decrypt"),
        ("sign", False, "verify-pin"),
        ("steal", True, "verify-pin"),
        ("", True, "verify-pin"),
    ],
)
def test_history_names_the_purpose_of_a_login_that_succeeded(
    card: Card, purpose: str, right: bool, event: str
) -> None:
    host = card.host(XCA_PURPOSE=purpose)
    host.login(card_session(host), UserType.USER, PIN if right else WRONG[0])
    assert card.store.events(card.number)[-1].event == event


@pytest.mark.parametrize(
    ("said", "program"),
    [
        ("agent www.example.gov.tw", "agent www.example.gov.tw"),
        ("x" * 100, "x" * 79),
        ("a\tb\u7c3d\ncut", "a?b???"),
    ],
)
def test_history_names_the_program_as_it_calls_itself(card: Card, said: str, program: str) -> None:
    host = card.host(XCA_PROGRAM=said)
    host.login(card_session(host), UserType.USER, PIN)
    assert card.store.events(card.number)[-1].program == program
