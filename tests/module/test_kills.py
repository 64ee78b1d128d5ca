# SPDX-License-Identifier: Apache-2.0
"""A process killed in the middle: no try is gained, and the same thing done again works."""

import pytest
from pkcs11 import UserType

from support.module.cards import (
    PIN,
    USER_CODE,
    WRONG,
    Card,
    Gate,
    Inner,
    card_session,
    die,
    signs,
    so_session,
)
from support.module.cryptoki import CKR
from support.module.host import Host

NEW_PIN, NEW_USER_CODE = "newpin-1", "NewCode-99"
MOMENTS = pytest.mark.parametrize("moment", ["before", "after"])


def works(card: Card, user: UserType, value: str) -> bool:
    """Say whether a fresh process can log in."""
    host = card.host()
    return host.login(card_session(host), user, value) == CKR.OK


@MOMENTS
@pytest.mark.parametrize("value", [PIN, WRONG[0]])
def test_login_killed_at_any_write_gains_no_try(card: Card, inner: Inner, moment: str, value: str) -> None:
    for left in (2, 1, 0):
        host = card.host(inner)
        session = card_session(host)
        die(inner, "C_Login", moment, host.login, session, UserType.USER, value)
        assert card.pin_tries == left
    assert not works(card, UserType.USER, PIN)


def test_login_killed_once_can_be_repeated(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = card_session(host)
    die(inner, "C_Login", "before", host.login, session, UserType.USER, PIN)
    assert works(card, UserType.USER, PIN)
    assert card.pin_tries == 3


@MOMENTS
def test_activation_killed_at_any_write_can_be_repeated(closed: Card, inner: Inner, moment: str) -> None:
    host = closed.host(inner)
    session = so_session(host)
    die(inner, "C_InitPIN", moment, host.init_pin, session, PIN)
    assert closed.row().activated_at is None
    again = closed.host()
    session = so_session(again)
    assert again.init_pin(session, PIN) == CKR.OK
    again.logout(session)
    assert again.login(session, UserType.USER, PIN) == CKR.OK
    assert signs(again, session)


@MOMENTS
@pytest.mark.parametrize("old", [PIN, WRONG[0]])
def test_pin_change_killed_at_any_write_can_be_repeated(
    card: Card, inner: Inner, moment: str, old: str
) -> None:
    bystander = card.host()
    bystander_session = card_session(bystander)
    epoch = card.row().epoch
    host = card.host(inner)
    session = card_session(host)
    die(inner, "C_SetPIN", moment, host.set_pin, session, old, NEW_PIN)
    assert card.pin_tries == 2
    # Nobody knows whether the PIN changed: processes that were running must initialise again.
    assert bystander.login(bystander_session, UserType.USER, PIN) == CKR.DEVICE_REMOVED
    assert card.row().epoch > epoch
    assert card.pin_tries == 2
    changed = moment == "after" and old == PIN
    assert works(card, UserType.USER, NEW_PIN if changed else PIN)
    assert card.pin_tries == 3


@MOMENTS
def test_user_code_change_killed_at_any_write_can_be_repeated(card: Card, inner: Inner, moment: str) -> None:
    host = card.host(inner)
    session = so_session(host)
    die(inner, "C_SetPIN", moment, host.set_pin, session, USER_CODE, NEW_USER_CODE)
    assert (card.pin_tries, card.user_code_tries) == (3, 2)
    assert works(card, UserType.SO, NEW_USER_CODE if moment == "after" else USER_CODE)
    assert works(card, UserType.USER, PIN)


@MOMENTS
def test_pin_reset_killed_at_any_write_can_be_repeated(card: Card, inner: Inner, moment: str) -> None:
    card.set_tries(pin=0)
    host = card.host(inner)
    session = so_session(host)
    die(inner, "C_InitPIN", moment, host.init_pin, session, NEW_PIN)
    assert card.pin_tries == 0
    again = card.host()
    assert again.init_pin(so_session(again), NEW_PIN) == CKR.OK
    assert works(card, UserType.USER, NEW_PIN)


def test_changes_killed_again_and_again_give_no_free_guess(card: Card, inner: Inner) -> None:
    for wrong, left in zip(WRONG, (2, 1, 0), strict=False):
        host = card.host(inner)
        die(inner, "C_SetPIN", "after", host.set_pin, card_session(host), wrong, NEW_PIN)
        assert card.pin_tries == left
    host = card.host(inner)
    assert host.set_pin(card_session(host), PIN, NEW_PIN) == CKR.PIN_LOCKED
    assert inner.count("C_SetPIN") == 3


def test_killed_process_leaves_no_lock_behind(card: Card, inner: Inner, gate: Gate) -> None:
    host: Host = card.host(inner)
    session = card_session(host)
    inner.does(f"C_Login wait {gate.path}")
    host.ask_call("C_Login", session, UserType.USER, PIN.encode(), len(PIN))
    gate.arrived()
    host.stop()
    inner.does()
    assert works(card, UserType.USER, PIN)
