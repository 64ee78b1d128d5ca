# SPDX-License-Identifier: Apache-2.0
"""A store whose values no card can have: nothing is read into them that would let anyone guess on."""

import pytest
from pkcs11 import UserType

from support.module.cards import PIN, USER_CODE, WRONG, Card, Inner, card_session, card_slot
from support.module.cryptoki import CKR
from support.module.host import Room

MANY_TRIES = 2**32 + 3  # three in its last 32 bits
LAST_EPOCH = 2**63 - 1


@pytest.mark.parametrize(
    ("values", "user", "secret"),
    [
        (f"pin_tries = {MANY_TRIES}", UserType.USER, PIN),
        ("pin_tries = 4", UserType.USER, PIN),
        (f"user_code_tries = {MANY_TRIES}", UserType.SO, USER_CODE),
        (f"epoch = {LAST_EPOCH}", UserType.USER, PIN),
    ],
)
def test_a_row_that_no_card_can_have_lets_nobody_try(
    card: Card, inner: Inner, values: str, user: UserType, secret: str
) -> None:
    slot = card_slot(card.host())
    card.write(f"UPDATE card SET {values}")
    host = card.host(inner)
    session = host.open(slot)
    for value in (WRONG[0], secret):
        assert host.login(session, user, value) == CKR.DEVICE_ERROR
    assert host.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.DEVICE_ERROR
    assert inner.count("C_Login") == 0


def test_the_last_generation_lets_nobody_change_a_secret(card: Card, inner: Inner) -> None:
    card.write(f"PRAGMA user_version = {2**31 - 2}")
    host = card.host(inner)
    session = card_session(host)
    assert host.set_pin(session, PIN, "newpin-1") == CKR.DEVICE_ERROR
    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    assert host.init_pin(session, "newpin-1") == CKR.DEVICE_ERROR
    assert host.set_pin(session, USER_CODE, "NewCode-99") == CKR.DEVICE_ERROR
    assert inner.count("C_SetPIN", "C_InitPIN") == 0
    assert host.logout(session) == CKR.OK
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    assert (card.pin_tries, card.user_code_tries) == (3, 3)


def test_a_cut_off_change_at_the_last_epoch_lets_nobody_try(card: Card, inner: Inner) -> None:
    slot = card_slot(card.host())
    card.write(f"UPDATE card SET epoch = {LAST_EPOCH}, pending = 1")
    host = card.host(inner)
    assert host.login(host.open(slot), UserType.USER, PIN) == CKR.DEVICE_ERROR
    assert inner.count("C_Login") == 0
