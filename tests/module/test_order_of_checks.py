# SPDX-License-Identifier: Apache-2.0
"""Which refusal comes first; and that a refusal before the inner module is asked costs no try."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pkcs11 import UserType

from support.module.cards import (
    PIN,
    USER_CODE,
    WRONG,
    Card,
    Inner,
    card_session,
    card_slot,
    so_session,
    user_session,
)
from support.module.cryptoki import CKR
from support.module.native_host import minimal_host

NO_SESSION = 0xDEAD
SHORT, LONG_PIN, LONG_USER_CODE = "12345", "123456789", "12345678901"
BAD_CHARACTERS = [
    "123 456",
    "123\t456",
    "123456\n",
    "123\x00456",
    "123456\x7f",
    "12345\xe9",
    "\u00e4\u00f6\u00fc123",
]
SECRETS = [(UserType.USER, PIN), (UserType.SO, USER_CODE)]


@pytest.fixture(params=SECRETS, ids=["pin", "user code"])
def secret(request: pytest.FixtureRequest) -> tuple[UserType, str]:
    pair: tuple[UserType, str] = request.param
    return pair


def change_pin_elsewhere(card: Card) -> None:
    """Make every process that runs now stale."""
    other = card.host()
    assert other.set_pin(card_session(other), PIN, PIN[::-1]) == CKR.OK


# C_Login


def test_session_that_is_bad_is_told_before_the_pin(card: Card, secret: tuple[UserType, str]) -> None:
    user, right = secret
    host = card.host()
    assert host.login(NO_SESSION, user, None) == CKR.SESSION_HANDLE_INVALID
    assert host.login(NO_SESSION, user, right) == CKR.SESSION_HANDLE_INVALID
    assert host.finalize() == CKR.OK
    assert host.login(NO_SESSION, user, right) == CKR.CRYPTOKI_NOT_INITIALIZED
    assert (card.pin_tries, card.user_code_tries) == (3, 3)


def test_login_of_one_logged_in_is_told_before_the_pin(card: Card) -> None:
    host = card.host()
    session = user_session(host)
    for value in (None, SHORT, WRONG[0]):
        assert host.login(session, UserType.USER, value) == CKR.USER_ALREADY_LOGGED_IN
        assert host.login(session, UserType.SO, value) == CKR.USER_ANOTHER_ALREADY_LOGGED_IN
    assert (card.pin_tries, card.user_code_tries) == (3, 3)


def test_so_login_beside_a_read_only_session_is_refused(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    host.open(card_slot(host), rw=False)
    assert host.login(session, UserType.SO, WRONG[0]) == CKR.SESSION_READ_ONLY_EXISTS
    assert card.user_code_tries == 3


def test_unknown_user_type_costs_nothing(card: Card) -> None:
    host = card.host()
    assert host.login(card_session(host), 7, WRONG[0]) == CKR.USER_TYPE_INVALID
    assert (card.pin_tries, card.user_code_tries) == (3, 3)


@pytest.mark.parametrize("state", ["lapsed", "closed", "card"])
def test_null_pin_in_any_state_is_told_first(
    state: str, secret: tuple[UserType, str], request: pytest.FixtureRequest
) -> None:
    card: Card = request.getfixturevalue(state)
    card.set_tries(pin=0, user_code=0)
    host = card.host()
    session = card_session(host)
    assert host.login(session, secret[0], None) == CKR.ARGUMENTS_BAD
    assert host.call("C_Login", session, secret[0], None, 6).rv == CKR.ARGUMENTS_BAD


def test_null_pin_with_an_old_epoch_is_told_first(card: Card, secret: tuple[UserType, str]) -> None:
    host = card.host()
    session = card_session(host)
    change_pin_elsewhere(card)
    assert host.login(session, secret[0], None) == CKR.ARGUMENTS_BAD


def test_epoch_that_is_old_is_told_before_lock_and_length(card: Card, secret: tuple[UserType, str]) -> None:
    user, right = secret
    host = card.host()
    session = card_session(host)
    change_pin_elsewhere(card)
    card.set_tries(pin=0, user_code=0)
    for value in (right, SHORT, BAD_CHARACTERS[0]):
        assert host.login(session, user, value) == CKR.DEVICE_REMOVED


def test_epoch_that_is_old_is_told_before_the_state(closed: Card) -> None:
    host = closed.host()
    session = card_session(host)
    other = closed.host()
    assert other.set_pin(so_session(other), USER_CODE, "NewCode-99") == CKR.OK
    closed.last_day(-1)
    assert host.login(session, UserType.USER, PIN) == CKR.DEVICE_REMOVED
    assert host.login(session, UserType.SO, USER_CODE) == CKR.DEVICE_REMOVED


def test_lapsed_card_that_is_locked_says_lapsed(lapsed: Card) -> None:
    lapsed.set_tries(pin=0, user_code=0)
    host = lapsed.host()
    session = card_session(host)
    assert host.login(session, UserType.SO, USER_CODE) == CKR.PIN_EXPIRED
    assert host.login(session, UserType.SO, SHORT) == CKR.PIN_EXPIRED
    assert host.login(session, UserType.USER, SHORT) == CKR.USER_PIN_NOT_INITIALIZED


def test_locked_card_before_activation_says_not_activated(closed: Card) -> None:
    closed.set_tries(pin=0)
    host = closed.host()
    assert host.login(card_session(host), UserType.USER, PIN) == CKR.USER_PIN_NOT_INITIALIZED


def test_locked_card_with_a_malformed_value_says_locked(card: Card, secret: tuple[UserType, str]) -> None:
    user, right = secret
    card.set_tries(pin=0, user_code=0)
    host = card.host()
    session = card_session(host)
    for value in (right, SHORT, BAD_CHARACTERS[0]):
        assert host.login(session, user, value) == CKR.PIN_LOCKED


def test_value_of_the_wrong_form_costs_no_try(card: Card, inner: Inner, secret: tuple[UserType, str]) -> None:
    user, right = secret
    too_long = LONG_PIN if user == UserType.USER else LONG_USER_CODE
    host = card.host(inner)
    session = card_session(host)
    for value in ("", SHORT, too_long, "x" * 300, "a b", right + "12345"):
        assert host.login(session, user, value) == CKR.PIN_LEN_RANGE, value
    for value in BAD_CHARACTERS:
        assert host.login(session, user, value) == CKR.PIN_INVALID, value
    assert inner.count("C_Login") == 0
    assert (card.pin_tries, card.user_code_tries) == (3, 3)


def test_pin_length_beyond_the_value_is_not_believed(card: Card) -> None:
    host = card.host()
    session = so_session(host)
    endless = (b"123456", 2**64 - 1)
    assert host.call("C_InitPIN", session, *endless).rv == CKR.PIN_LEN_RANGE
    assert host.call("C_SetPIN", session, *endless, *endless).rv == CKR.PIN_LEN_RANGE
    host.logout(session)
    for user, _ in SECRETS:
        assert host.call("C_Login", session, user, *endless).rv == CKR.PIN_LEN_RANGE


@pytest.mark.parametrize("value", ["!~!~!~", "abcdef", "12345678"])
def test_every_printable_value_of_the_right_length_is_a_try(card: Card, value: str) -> None:
    host = card.host()
    assert host.login(card_session(host), UserType.USER, value) == CKR.PIN_INCORRECT
    assert card.pin_tries == 2


# C_SetPIN


def test_read_only_session_with_bad_values_is_told_first(card: Card) -> None:
    host = card.host()
    session = card_session(host, rw=False)
    assert host.set_pin(session, PIN, SHORT) == CKR.SESSION_READ_ONLY
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    assert host.set_pin(session, WRONG[0], "newpin-1") == CKR.SESSION_READ_ONLY
    assert host.set_pin(NO_SESSION, PIN, SHORT) == CKR.SESSION_HANDLE_INVALID
    assert card.pin_tries == 3


Session = Callable[..., int]


@pytest.mark.parametrize(
    ("login", "too_long"), [(user_session, LONG_PIN), (card_session, LONG_PIN), (so_session, LONG_USER_CODE)]
)
def test_new_value_that_is_bad_is_told_before_the_old_one(
    card: Card, inner: Inner, login: Session, too_long: str
) -> None:
    host = card.host(inner)
    session = login(host)
    card.set_tries(pin=1, user_code=1)
    for value in ("", SHORT, too_long):
        assert host.set_pin(session, WRONG[0], value) == CKR.PIN_LEN_RANGE, value
    for value in BAD_CHARACTERS:
        assert host.set_pin(session, WRONG[0], value) == CKR.PIN_INVALID, value
    assert host.set_pin(session, WRONG[0], None) == CKR.ARGUMENTS_BAD
    assert host.set_pin(session, None, "newpin-1") == CKR.ARGUMENTS_BAD
    assert inner.count("C_SetPIN") == 0
    assert (card.pin_tries, card.user_code_tries) == (1, 1)


def test_old_value_of_the_wrong_form_costs_no_try(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = user_session(host)
    assert host.set_pin(session, SHORT, "newpin-1") == CKR.PIN_LEN_RANGE
    assert host.set_pin(session, LONG_PIN, "newpin-1") == CKR.PIN_LEN_RANGE
    assert host.set_pin(session, BAD_CHARACTERS[0], "newpin-1") == CKR.PIN_INVALID
    assert inner.count("C_SetPIN") == 0
    assert card.pin_tries == 3


def test_so_changes_the_user_code_by_the_user_codes_rules(card: Card) -> None:
    host = card.host()
    session = so_session(host)
    assert host.set_pin(session, USER_CODE, "1234567890") == CKR.OK  # longer than any PIN


# C_InitPIN


def test_c_initpin_without_the_so_is_refused(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = card_session(host)
    for value in ("newpin-1", SHORT, None):
        assert host.init_pin(session, value) == CKR.USER_NOT_LOGGED_IN
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    for value in ("newpin-1", SHORT, None):
        assert host.init_pin(session, value) == CKR.USER_NOT_LOGGED_IN
    assert host.init_pin(NO_SESSION, None) == CKR.SESSION_HANDLE_INVALID
    assert inner.count("C_InitPIN") == 0


def test_epoch_that_is_old_is_told_before_the_new_pin(card: Card) -> None:
    host = card.host()
    session = so_session(host)
    change_pin_elsewhere(card)
    assert host.init_pin(session, SHORT) == CKR.DEVICE_REMOVED
    assert host.init_pin(session, "newpin-1") == CKR.DEVICE_REMOVED


def test_lapsed_card_with_a_bad_new_pin_says_lapsed(closed: Card, inner: Inner) -> None:
    host = closed.host(inner)
    session = so_session(host)
    closed.last_day(-1)
    assert host.init_pin(session, SHORT) == CKR.PIN_EXPIRED
    assert host.init_pin(session, PIN) == CKR.PIN_EXPIRED
    assert inner.count("C_InitPIN") == 0


def test_new_pin_of_the_wrong_form_leaves_the_card_closed(closed: Card, inner: Inner) -> None:
    host = closed.host(inner)
    session = so_session(host)
    for value in ("", SHORT, LONG_PIN):
        assert host.init_pin(session, value) == CKR.PIN_LEN_RANGE, value
    for value in BAD_CHARACTERS:
        assert host.init_pin(session, value) == CKR.PIN_INVALID, value
    assert host.init_pin(session, None) == CKR.ARGUMENTS_BAD
    assert inner.count("C_InitPIN") == 0
    assert closed.row().activated_at is None
    assert host.init_pin(session, PIN) == CKR.OK


def test_secret_that_changes_during_the_call_is_tried_as_it_was_checked(tmp_path: Path) -> None:
    with minimal_host(tmp_path) as run:
        assert run("double_fetch", "secrets") == ""


def test_mechanism_that_changes_during_the_call_is_used_as_it_was_checked(tmp_path: Path) -> None:
    with minimal_host(tmp_path, "[quirks]", "hash=module") as run:
        assert run("double_fetch", "mechanism") == ""
