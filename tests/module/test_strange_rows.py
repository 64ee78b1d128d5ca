# SPDX-License-Identifier: Apache-2.0
"""A store with values that no card can have: the card refuses, and no guess is possible."""

import os
import re
import subprocess
import sys

import pytest
from pkcs11 import UserType

from pkcs11_shim import StoreError, rules
from softhsm import Environment, issue, remove
from support.module.cards import PIN, USER_CODE, WRONG, Card, Inner, card_session, card_slot
from support.module.cryptoki import CKR
from support.module.host import Room, given
from xca_common import taipei

LAST = 2**63 - 1


ODD_ROWS: list[dict[str, int | bytes]] = [
    {"pin_tries": 4},
    {"pin_tries": -1},
    {"user_code_tries": 2**31 - 1},
    {"epoch": LAST},
    {"epoch": -1},
    {"pending": LAST},
    {"pending": -1},
    {"pending": 1},
    {"events": -1},
    {"events": LAST},
    {"number": b"\xff" * 16},
    {"activate_by": 2**31 - 1},
    {"issued_on": -(2**31)},
    {"activated_at": LAST},
    {"activated_at": -LAST},
]


@pytest.mark.parametrize("values", ODD_ROWS, ids=str)
def test_python_on_a_row_that_no_card_can_have_says_so(card: Card, values: dict[str, int | bytes]) -> None:
    card.write(**values)
    message = "values that no card can have|a time that no clock shows"
    with pytest.raises(StoreError, match=message):
        card.store.cards()
    with card.store.writing() as writer, pytest.raises(StoreError, match=message):
        writer.cards()
    command = [sys.executable, "-m", "softhsm.cli", "--dir", str(card.path), "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(f"Error: .*({message}).*\n", done.stderr)


@pytest.mark.parametrize("values", [{"sequence": LAST - 1}, {"events": LAST}], ids=str)
def test_python_on_a_record_that_is_used_up_says_so(card: Card, values: dict[str, int]) -> None:
    card.write(**values)
    with card.store.writing() as writer, pytest.raises(StoreError, match="used up"):
        writer.replace_secrets(card.number, event="repair")


def test_python_on_the_last_generation_says_so(card: Card) -> None:
    card.write_generation(LAST)
    today = taipei.today()
    with card.store.writing() as writer, pytest.raises(StoreError, match="used up"):
        writer.add("XC00000000000009", reader="r", model="m", issued_on=today, activate_by=today)


def test_python_asked_for_a_number_that_is_no_text_finds_no_card(card: Card) -> None:
    number = os.fsdecode(b"\xff")
    assert card.store.card(number) is None
    assert card.store.events(number) == []
    with card.store.writing() as writer:
        writer.remove(number)
        with pytest.raises(StoreError, match="no card"):
            writer.replace_secrets(number, event="repair")


def test_python_on_an_event_at_no_time_says_so(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: float(2**62))
    with card.store.writing() as writer:
        writer.replace_secrets(card.number, event="repair")
    with pytest.raises(StoreError, match="a time that no clock shows"):
        card.store.events()


@pytest.mark.parametrize(
    ("values", "user", "secret"),
    [
        ({"pin_tries": 4}, UserType.USER, PIN),
        ({"pin_tries": -1}, UserType.USER, PIN),
        ({"user_code_tries": 2**31 - 1}, UserType.SO, USER_CODE),
        ({"epoch": LAST}, UserType.USER, PIN),
        ({"epoch": -1}, UserType.USER, PIN),
        ({"pending": LAST}, UserType.USER, PIN),
        ({"pending": -1}, UserType.USER, PIN),
        ({"pending": 1}, UserType.USER, PIN),  # before the card's epoch
        ({"events": -1}, UserType.USER, PIN),
        ({"events": LAST}, UserType.USER, PIN),
        ({"number": b"XC00000000000000"}, UserType.USER, PIN),
    ],
)
def test_row_that_no_card_can_have_lets_nobody_try(
    card: Card, inner: Inner, values: dict[str, int | bytes], user: UserType, secret: str
) -> None:
    slot = card_slot(card.host())
    card.write(**values)
    host = card.host(inner)
    session = host.open(slot)
    for value in (WRONG[0], secret):
        assert host.login(session, user, value) == CKR.DEVICE_ERROR
    assert host.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.DEVICE_ERROR
    assert inner.count("C_Login") == 0


def test_last_generation_lets_nobody_change_a_secret(card: Card, inner: Inner) -> None:
    card.write_generation(LAST)
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


def test_cut_off_change_at_the_last_epoch_lets_nobody_try(card: Card, inner: Inner) -> None:
    slot = card_slot(card.host())
    card.write(epoch=LAST, pending=LAST)
    host = card.host(inner)
    assert host.login(host.open(slot), UserType.USER, PIN) == CKR.DEVICE_ERROR
    assert inner.count("C_Login") == 0


def test_token_without_a_number_is_given_no_free_record(card: Card, inner: Inner) -> None:
    environment = Environment(card.path)
    remove(environment, issue(environment, USER_CODE).number)
    direct = card.direct()
    blank = direct.slots()[-1]
    label = rules.INNER_LABEL.encode().ljust(32)
    assert direct.call("C_InitToken", blank, *given(USER_CODE), label).rv == CKR.OK
    direct = card.direct()
    (slot,) = (slot for slot in direct.slots() if direct.token(slot).label == label)
    host = card.host(inner)
    assert host.call("C_GetTokenInfo", slot, Room(208)).rv == CKR.DEVICE_ERROR
    assert host.login(host.open(slot), UserType.SO, USER_CODE) in (CKR.DEVICE_ERROR, CKR.DEVICE_REMOVED)
    assert inner.count("C_Login") == 0
