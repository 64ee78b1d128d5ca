# SPDX-License-Identifier: Apache-2.0
"""The card's life through PKCS#11: closed, activated, locked, unlocked, lapsed."""

import pkcs11
import pytest
from pkcs11 import Attribute, TokenFlag, UserType

from pkcs11_shim import rules
from support.module.cards import (
    PIN,
    PLAIN,
    PLAIN_SO_PIN,
    USER_CODE,
    WRONG,
    Card,
    Inner,
    card_session,
    card_slot,
    signs,
    so_session,
    user_session,
)
from support.module.cryptoki import CKR, CONTEXT_SPECIFIC
from support.module.host import Host, Mechanism, Room, Template, Ulong, given, ulong


def test_closed_card_refuses_its_pin_and_any_change_of_it(closed: Card) -> None:
    host = closed.host()
    session = card_session(host)
    assert host.login(session, UserType.USER, PIN) == CKR.USER_PIN_NOT_INITIALIZED
    assert host.set_pin(session, PIN, "newpin-1") == CKR.USER_PIN_NOT_INITIALIZED
    assert TokenFlag.USER_PIN_INITIALIZED not in host.flags(card_slot(host))
    assert (closed.pin_tries, closed.user_code_tries) == (3, 3)


def test_activation_with_the_right_user_code_sets_the_pin(closed: Card) -> None:
    host = closed.host()
    session = so_session(host)
    assert closed.row().activated_at is None  # the user code alone does not activate
    assert host.init_pin(session, PIN) == CKR.OK
    assert host.logout(session) == CKR.OK
    assert TokenFlag.USER_PIN_INITIALIZED in host.flags(card_slot(host))
    assert closed.row().activated_at is not None
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    assert signs(host, session)


def test_card_after_three_wrong_pins_is_locked_until_the_user_code_resets_it(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    for wrong, answer, left in zip(
        WRONG, (CKR.PIN_INCORRECT, CKR.PIN_INCORRECT, CKR.PIN_LOCKED), (2, 1, 0), strict=False
    ):
        assert host.login(session, UserType.USER, wrong) == answer
        assert card.pin_tries == left
    assert host.login(session, UserType.USER, PIN) == CKR.PIN_LOCKED
    assert host.set_pin(session, PIN, "newpin-1") == CKR.PIN_LOCKED

    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    assert host.init_pin(session, "newpin-1") == CKR.OK
    assert host.logout(session) == CKR.OK
    assert card.pin_tries == 3
    assert host.login(session, UserType.USER, "newpin-1") == CKR.OK
    assert signs(host, session)


@pytest.mark.parametrize("state", ["closed", "card"])
def test_card_after_three_wrong_user_codes_is_locked(state: str, request: pytest.FixtureRequest) -> None:
    card: Card = request.getfixturevalue(state)
    host = card.host()
    session = card_session(host)
    for wrong, answer, left in zip(
        WRONG, (CKR.PIN_INCORRECT, CKR.PIN_INCORRECT, CKR.PIN_LOCKED), (2, 1, 0), strict=False
    ):
        assert host.login(session, UserType.SO, wrong) == answer
        assert card.user_code_tries == left
    assert host.login(session, UserType.SO, USER_CODE) == CKR.PIN_LOCKED
    assert card.pin_tries == 3


def test_card_with_a_locked_user_code_still_signs(card: Card) -> None:
    card.set_tries(user_code=0)
    host = card.host()
    assert signs(host, user_session(host))


def test_right_value_fills_its_own_counter_only(card: Card) -> None:
    card.set_tries(pin=1, user_code=1)
    host = card.host()
    session = user_session(host)
    assert (card.pin_tries, card.user_code_tries) == (3, 1)
    host.logout(session)
    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    assert (card.pin_tries, card.user_code_tries) == (3, 3)


def test_locked_pin_cannot_be_unlocked_by_a_login_as_so_alone(card: Card) -> None:
    card.set_tries(pin=0)
    host = card.host()
    session = so_session(host)
    host.logout(session)
    assert host.login(session, UserType.USER, PIN) == CKR.PIN_LOCKED


@pytest.mark.parametrize("logged_in", [True, False])
def test_pin_change_with_the_right_old_pin_takes_effect(card: Card, logged_in: bool) -> None:
    host = card.host()
    session = user_session(host) if logged_in else card_session(host)
    assert host.set_pin(session, "wrong-1", "newpin-1") == CKR.PIN_INCORRECT
    assert card.pin_tries == 2
    assert host.set_pin(session, PIN, "newpin-1") == CKR.OK
    assert card.pin_tries == 3
    if logged_in:
        host.logout(session)
    assert host.login(session, UserType.USER, PIN) == CKR.PIN_INCORRECT
    assert host.login(session, UserType.USER, "newpin-1") == CKR.OK


@pytest.mark.parametrize("logged_in", [True, False])
def test_pin_change_with_three_wrong_old_pins_locks_the_card(card: Card, logged_in: bool) -> None:
    host = card.host()
    session = user_session(host) if logged_in else card_session(host)
    answers = [host.set_pin(session, wrong, "newpin-1") for wrong in WRONG]
    assert answers == [CKR.PIN_INCORRECT, CKR.PIN_INCORRECT, CKR.PIN_LOCKED, CKR.PIN_LOCKED]
    assert card.pin_tries == 0


def test_user_code_change_with_the_right_old_code_takes_effect(card: Card) -> None:
    host = card.host()
    session = so_session(host)
    assert host.set_pin(session, "wrong-1", "NewCode-99") == CKR.PIN_INCORRECT
    assert (card.pin_tries, card.user_code_tries) == (3, 2)
    assert host.set_pin(session, USER_CODE, "NewCode-99") == CKR.OK
    assert card.user_code_tries == 3
    host.logout(session)
    assert host.login(session, UserType.SO, USER_CODE) == CKR.PIN_INCORRECT
    assert host.login(session, UserType.SO, "NewCode-99") == CKR.OK


def test_user_code_change_with_three_wrong_old_codes_locks_it(card: Card) -> None:
    host = card.host()
    session = so_session(host)
    answers = [host.set_pin(session, wrong, "NewCode-99") for wrong in WRONG]
    assert answers == [CKR.PIN_INCORRECT, CKR.PIN_INCORRECT, CKR.PIN_LOCKED, CKR.PIN_LOCKED]
    assert (card.pin_tries, card.user_code_tries) == (3, 0)


def test_user_code_change_of_a_closed_card_leaves_it_closed(closed: Card) -> None:
    host = closed.host()
    session = so_session(host)
    assert host.set_pin(session, USER_CODE, "NewCode-99") == CKR.OK
    host.logout(session)
    assert host.login(session, UserType.USER, PIN) == CKR.USER_PIN_NOT_INITIALIZED
    assert host.login(session, UserType.SO, "NewCode-99") == CKR.OK
    assert host.init_pin(session, PIN) == CKR.OK


def test_lapsed_card_takes_no_user_code(lapsed: Card) -> None:
    host = lapsed.host()
    session = card_session(host)
    assert host.login(session, UserType.SO, USER_CODE) == CKR.PIN_EXPIRED
    assert host.login(session, UserType.USER, PIN) == CKR.USER_PIN_NOT_INITIALIZED
    assert lapsed.user_code_tries == 3


def test_activation_on_the_last_day_works_until_midnight_in_taipei(closed: Card) -> None:
    closed.last_day(0)
    host = closed.host()
    assert host.init_pin(so_session(host), PIN) == CKR.OK


def test_activation_on_the_day_after_the_last_is_refused(closed: Card) -> None:
    host = closed.host()
    session = so_session(host)
    closed.last_day(-1)
    assert host.init_pin(session, PIN) == CKR.PIN_EXPIRED
    assert closed.row().activated_at is None


def test_card_activated_before_its_last_day_never_lapses(card: Card) -> None:
    card.last_day(-365)
    host = card.host()
    session = so_session(host)
    assert host.init_pin(session, "newpin-1") == CKR.OK


@pytest.mark.parametrize("state", ["closed", "card"])
def test_card_that_somebody_wants_to_wipe_refuses(
    state: str, request: pytest.FixtureRequest, inner: Inner
) -> None:
    card: Card = request.getfixturevalue(state)
    host = card.host(inner)
    slot = card_slot(host)
    label = b"mine now".ljust(32)
    assert host.call("C_InitToken", slot, *given(USER_CODE), label).rv == CKR.TOKEN_WRITE_PROTECTED
    assert host.call("C_InitToken", slot, *given("wrong-1"), label).rv == CKR.TOKEN_WRITE_PROTECTED
    assert host.call("C_InitToken", slot, None, 0, None).rv == CKR.TOKEN_WRITE_PROTECTED
    assert inner.count("C_InitToken") == 0
    assert card.user_code_tries == 3


def test_token_that_would_become_a_twin_of_a_card_is_refused(card: Card, inner: Inner) -> None:
    # A token with a user code of one's own and the card's name would fill the card's counters at every login.
    host = card.host(inner)
    (blank,) = set(host.slots()) - {card_slot(host), host.slot(PLAIN)}
    label = f"{rules.INNER_LABEL}{card.number}".encode().ljust(32)
    for slot, so_pin in ((blank, "attack"), (host.slot(PLAIN), PLAIN_SO_PIN)):
        assert host.call("C_InitToken", slot, *given(so_pin), label).rv != CKR.OK
    assert inner.count("C_InitToken") == 0


def key_that_asks(host: Host, session: int) -> int:
    """Make a private key that asks for the PIN at every signature."""
    public = Template([(Attribute.MODULUS_BITS, ulong(1024))])
    private = Template([(Attribute.ALWAYS_AUTHENTICATE, b"\1"), (Attribute.SIGN, b"\1")])
    generation = Mechanism(pkcs11.Mechanism.RSA_PKCS_KEY_PAIR_GEN)
    pair = host.call("C_GenerateKeyPair", session, generation, public, 1, private, 2, Ulong(), Ulong())
    assert pair.rv == CKR.OK
    return int(pair.out[-1])


def test_pin_that_is_asked_for_at_every_signature_costs_tries_too(card: Card) -> None:
    host = card.host()
    session = user_session(host)
    key = key_that_asks(host, session)

    assert host.login(session, CONTEXT_SPECIFIC, WRONG[0]) == CKR.OPERATION_NOT_INITIALIZED
    assert card.pin_tries == 3
    assert host.call("C_SignInit", session, Mechanism(pkcs11.Mechanism.SHA256_RSA_PKCS), key).rv == CKR.OK
    answers = [host.login(session, CONTEXT_SPECIFIC, wrong) for wrong in WRONG[1:3]]
    assert answers == [CKR.PIN_INCORRECT, CKR.PIN_INCORRECT]
    assert card.pin_tries == 1
    assert host.login(session, CONTEXT_SPECIFIC, PIN) == CKR.OK
    assert card.pin_tries == 3
    assert host.call("C_Sign", session, b"text", 4, Room(128), Ulong(128)).rv == CKR.OK


def test_pin_that_is_asked_for_while_the_so_is_logged_in_is_not_asked_for(card: Card) -> None:
    # SoftHSM keeps what the user began, and would compare the user code.
    host = card.host()
    assert host.set_pin(so_session(host), USER_CODE, "Code8642") == CKR.OK
    host.reinitialize()
    session = user_session(host)
    key = key_that_asks(host, session)
    assert host.call("C_SignInit", session, Mechanism(pkcs11.Mechanism.SHA256_RSA_PKCS), key).rv == CKR.OK
    assert host.logout(session) == CKR.OK
    assert host.login(session, UserType.SO, "Code8642") == CKR.OK
    card.set_tries(pin=2)
    for value in ("Code8642", PIN):
        assert host.login(session, CONTEXT_SPECIFIC, value) == CKR.USER_ANOTHER_ALREADY_LOGGED_IN
    assert card.pin_tries == 2
    assert host.logout(session) == CKR.OK
    assert host.login(session, UserType.USER, PIN) == CKR.OK
