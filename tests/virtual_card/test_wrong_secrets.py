# SPDX-License-Identifier: Apache-2.0
"""Every ladder of wrong secrets down to the lock, through the module: the card counts alone."""

from collections.abc import Callable

import pytest
from pkcs11 import TokenFlag, UserType

from pkcs11_shim import rules
from support.cli.xcactl import NEW_PIN, PIN
from support.module.cryptoki import CKR
from support.module.host import Host
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CODE, CardInReader, reset_pin, try_pin

WRONG_PINS = ("wrong-1", "wrong-2", "wrong-3")
WRONG_CODES = ("wrong-A", "wrong-B", "wrong-C")
LADDER = ((2, CKR.PIN_INCORRECT), (1, CKR.PIN_INCORRECT), (0, CKR.PIN_LOCKED))


def _change_pin(host: Host, old: str) -> CKR | None:
    session = host.open(host.slot(rules.CARD_LABEL))
    answer = host.set_pin(session, old, NEW_PIN)
    host.call("C_CloseSession", session)
    return answer


def _change_pin_logged_in(host: Host, old: str) -> CKR | None:
    session = host.open(host.slot(rules.CARD_LABEL))
    assert host.login(session, UserType.USER, PIN) in {CKR.OK, CKR.USER_ALREADY_LOGGED_IN}
    answer = host.set_pin(session, old, NEW_PIN)
    host.call("C_CloseSession", session)
    return answer


def _flags(host: Host) -> TokenFlag:
    return host.flags(host.slot(rules.CARD_LABEL))


@pytest.mark.parametrize("ask", [try_pin, _change_pin], ids=["login", "change"])
def test_wrong_pins_in_a_row_lock_the_pin_at_the_third(
    either: CardInReader, ask: Callable[[Host, str], CKR | None]
) -> None:
    host = either.host()
    for wrong, (left, answer) in zip(WRONG_PINS, LADDER, strict=True):
        assert ask(host, wrong) == answer
        assert either.card.tries(card_files.PIN) == left
        assert (TokenFlag.USER_PIN_FINAL_TRY in _flags(host)) == (left == 1)
        assert (TokenFlag.USER_PIN_LOCKED in _flags(host)) == (left == 0)
    assert ask(host, PIN) == CKR.PIN_LOCKED
    assert either.card.holds(card_files.PIN, PIN)


def test_wrong_old_pin_in_a_login_costs_a_try_of_the_card(real: CardInReader) -> None:
    host = real.host()
    assert _change_pin_logged_in(host, WRONG_PINS[0]) == CKR.PIN_INCORRECT
    assert real.card.tries(card_files.PIN) == 2
    assert real.card.holds(card_files.PIN, PIN)


def test_right_pin_after_wrong_ones_fills_the_tries(real: CardInReader) -> None:
    host = real.host()
    for wrong in WRONG_PINS[:2]:
        assert try_pin(host, wrong) == CKR.PIN_INCORRECT
    assert try_pin(host, PIN) == CKR.OK
    assert real.card.tries(card_files.PIN) == 3


def test_same_wrong_pin_again_costs_a_try_each_time(real: CardInReader) -> None:
    host = real.host()
    for left, answer in LADDER:
        assert try_pin(host, WRONG_PINS[0]) == answer
        assert real.card.tries(card_files.PIN) == left


@pytest.mark.parametrize("activated", [True, False], ids=["active", "not-activated"])
def test_wrong_user_codes_in_a_row_lock_it_at_the_third(either: CardInReader, activated: bool) -> None:
    either.card.renew(CODE, PIN if activated else None)
    host = either.host()
    for wrong, (left, answer) in zip(WRONG_CODES, LADDER, strict=True):
        assert reset_pin(host, wrong, NEW_PIN) == answer
        assert either.card.tries(card_files.USER_CODE) == left
    assert reset_pin(host, CODE, NEW_PIN) == CKR.PIN_LOCKED
    assert either.card.holds(card_files.PIN, PIN) == activated
    assert try_pin(host, PIN) == (CKR.OK if activated else CKR.PIN_LOCKED)


def test_user_code_locked_after_the_pin_locks_the_card_for_good(real: CardInReader) -> None:
    host = real.host()
    for wrong in WRONG_PINS:
        try_pin(host, wrong)
    for wrong in WRONG_CODES:
        reset_pin(host, wrong, NEW_PIN)
    assert try_pin(host, PIN) == reset_pin(host, CODE, NEW_PIN) == CKR.PIN_LOCKED


def test_user_code_changed_where_it_is_the_so_pin_counts_its_tries(either: CardInReader) -> None:
    host = either.host()
    session = host.open(host.slot(rules.CARD_LABEL))
    assert host.login(session, UserType.SO, CODE) == CKR.OK
    if not either.user_code_is_so_pin:
        assert host.set_pin(session, CODE, "New-code") == CKR.USER_PIN_NOT_INITIALIZED
        assert either.card.holds(card_files.USER_CODE, CODE)
        return
    assert host.set_pin(session, WRONG_CODES[0], "New-code") == CKR.PIN_INCORRECT
    assert either.card.tries(card_files.USER_CODE) == 2
    host.logout(session)  # the card has forgotten the login, and OpenSC closes the session
    session = host.open(host.slot(rules.CARD_LABEL))
    assert host.login(session, UserType.SO, CODE) == CKR.OK
    assert host.set_pin(session, CODE, "New-code") == CKR.OK
    assert either.card.holds(card_files.USER_CODE, "New-code")
    assert either.card.tries(card_files.USER_CODE) == 3


@pytest.mark.parametrize("pin", ["short", "far-too-long"])
def test_pins_of_a_wrong_length_cost_no_try(either: CardInReader, pin: str) -> None:
    host = either.host()
    assert try_pin(host, pin) == CKR.PIN_LEN_RANGE
    assert _change_pin(host, pin) == CKR.PIN_LEN_RANGE
    # Where OpenSC leaves the length to the card, the card's answer is data that is wrong.
    assert reset_pin(host, CODE, pin) in {CKR.PIN_LEN_RANGE, CKR.DATA_INVALID}
    assert reset_pin(host, pin, NEW_PIN) == CKR.PIN_LEN_RANGE
    assert (either.card.tries(card_files.PIN), either.card.tries(card_files.USER_CODE)) == (3, 3)
    assert either.card.holds(card_files.PIN, PIN)
