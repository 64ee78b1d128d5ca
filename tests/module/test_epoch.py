# SPDX-License-Identifier: Apache-2.0
"""A secret that one process changed, and the processes that were running already."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pkcs11 import UserType

from pkcs11_shim import module_path, rules
from softhsm.environment import Environment
from softhsm.issuer import issue, reset_user_code
from support.module.cards import (
    PIN,
    USER_CODE,
    WRONG,
    Card,
    Inner,
    card_session,
    die,
    signs,
    so_session,
    user_session,
)
from support.module.cryptoki import CKR
from support.module.host import Host

pytestmark = pytest.mark.integration  # many programs, each with the module

NEW_PIN, NEW_USER_CODE = "newpin-1", "NewCode-99"
OWN_CHANGES = 32  # that the module keeps in mind (epochs.c)


def change_pin(host: Host) -> CKR | None:
    return host.set_pin(card_session(host), PIN, NEW_PIN)


def reset_pin(host: Host) -> CKR | None:
    return host.init_pin(so_session(host), NEW_PIN)


def change_user_code(host: Host) -> CKR | None:
    return host.set_pin(so_session(host), USER_CODE, NEW_USER_CODE)


@pytest.mark.parametrize("change", [change_pin, reset_pin, change_user_code])
def test_process_that_ran_during_a_change_must_start_anew(
    card: Card, inner: Inner, change: Callable[[Host], CKR | None]
) -> None:
    host = card.host(inner)
    session = card_session(host)
    assert change(card.host()) == CKR.OK
    pin = PIN if change is change_user_code else NEW_PIN
    user_code = NEW_USER_CODE if change is change_user_code else USER_CODE
    for value in (PIN, NEW_PIN, WRONG[0]):
        assert host.login(session, UserType.USER, value) == CKR.DEVICE_REMOVED
        assert host.set_pin(session, value, "newpin-2") == CKR.DEVICE_REMOVED
    for value in (USER_CODE, NEW_USER_CODE, WRONG[0]):
        assert host.login(session, UserType.SO, value) == CKR.DEVICE_REMOVED
    assert inner.count("C_Login", "C_SetPIN") == 0
    assert (card.pin_tries, card.user_code_tries) == (3, 3)

    host.reinitialize()
    session = card_session(host)
    assert host.login(session, UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert host.login(session, UserType.USER, pin) == CKR.OK
    host.logout(session)
    assert host.login(session, UserType.SO, user_code) == CKR.OK


def test_process_that_ran_during_an_activation_sees_it(closed: Card) -> None:
    host = closed.host()
    session = card_session(host)
    other = closed.host()
    assert other.init_pin(so_session(other), PIN) == CKR.OK
    assert host.login(session, UserType.USER, PIN) == CKR.DEVICE_REMOVED
    host.reinitialize()
    assert host.login(card_session(host), UserType.USER, PIN) == CKR.OK


def test_process_that_ran_during_the_issuers_change_sees_it(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = card_session(host)
    reset_user_code(Environment(card.path), card.number, NEW_USER_CODE)
    assert host.login(session, UserType.SO, USER_CODE) == CKR.DEVICE_REMOVED
    assert inner.count("C_Login") == 0
    host.reinitialize()
    session = card_session(host)
    assert host.login(session, UserType.SO, NEW_USER_CODE) == CKR.OK
    assert host.init_pin(session, PIN) == CKR.OK


def test_process_that_made_the_change_goes_on(card: Card) -> None:
    host = card.host()
    session = user_session(host)
    assert host.set_pin(session, PIN, NEW_PIN) == CKR.OK
    assert signs(host, session)
    assert host.logout(session) == CKR.OK
    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    assert host.set_pin(session, USER_CODE, NEW_USER_CODE) == CKR.OK
    assert host.init_pin(session, PIN) == CKR.OK
    assert host.logout(session) == CKR.OK
    assert host.login(session, UserType.USER, PIN) == CKR.OK


def test_session_that_is_logged_in_during_a_change_keeps_signing(card: Card) -> None:
    host = card.host()
    session = user_session(host)
    assert change_pin(card.host()) == CKR.OK
    assert signs(host, session)
    assert host.set_pin(session, PIN, "newpin-2") == CKR.DEVICE_REMOVED
    assert signs(host, session)


def test_stale_so_session_does_not_overwrite_the_change(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = so_session(host)
    assert change_pin(card.host()) == CKR.OK
    assert host.init_pin(session, "newpin-2") == CKR.DEVICE_REMOVED
    assert host.set_pin(session, USER_CODE, NEW_USER_CODE) == CKR.DEVICE_REMOVED
    assert inner.count("C_InitPIN", "C_SetPIN") == 0
    other = card.host()
    assert other.login(card_session(other), UserType.USER, NEW_PIN) == CKR.OK


@pytest.mark.parametrize("old", [WRONG[0], "short", "with blank"])
def test_change_that_fails_evicts_nobody(card: Card, old: str) -> None:
    host = card.host()
    session = card_session(host)
    other = card.host()
    assert other.set_pin(card_session(other), old, NEW_PIN) != CKR.OK
    assert host.login(session, UserType.USER, PIN) == CKR.OK


@pytest.mark.parametrize("answer", [CKR.DEVICE_REMOVED, CKR.DEVICE_ERROR, CKR.FUNCTION_FAILED])
@pytest.mark.parametrize("function", ["C_SetPIN", "C_InitPIN"])
def test_change_that_may_have_been_made_counts_as_made(
    card: Card, inner: Inner, function: str, answer: CKR
) -> None:
    bystander, host = card.host(), card.host(inner)
    bystanders_session = card_session(bystander)
    session = so_session(host) if function == "C_InitPIN" else card_session(host)
    inner.answers(function, answer)
    if function == "C_InitPIN":
        assert host.init_pin(session, NEW_PIN) == answer
        assert host.logout(session) == CKR.OK
    else:
        assert host.set_pin(session, PIN, NEW_PIN) == answer
    inner.does()
    for stale, at in ((host, session), (bystander, bystanders_session)):
        assert stale.login(at, UserType.USER, PIN) == CKR.DEVICE_REMOVED
        stale.reinitialize()
        assert stale.login(card_session(stale), UserType.USER, PIN) == CKR.OK


def test_login_in_another_process_evicts_nobody(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    other = card.host()
    other_session = card_session(other)
    assert other.login(other_session, UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert other.login(other_session, UserType.USER, PIN) == CKR.OK
    assert host.login(session, UserType.USER, PIN) == CKR.OK


def test_second_c_initialize_does_not_make_a_stale_process_fresh(card: Card) -> None:
    host = card.host()
    session = card_session(host)
    assert change_pin(card.host()) == CKR.OK
    assert host.initialize() == CKR.CRYPTOKI_ALREADY_INITIALIZED
    assert host.login(session, UserType.USER, PIN) == CKR.DEVICE_REMOVED


def test_failed_c_initialize_does_not_make_a_stale_process_fresh(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = card_session(host)
    assert change_pin(card.host()) == CKR.OK
    inner.answers("C_Initialize", CKR.GENERAL_ERROR)
    assert host.initialize() == CKR.GENERAL_ERROR
    inner.does()
    assert host.login(session, UserType.USER, PIN) == CKR.DEVICE_REMOVED


def test_inner_module_that_the_host_initialized_waits_for_a_new_c_initialize(card: Card) -> None:
    host = card.host(initialize=False, SOFTHSM2_CONF=str(card.path / "softhsm2.conf"))
    ours = host.do("entries", None, 1)
    theirs = host.do("beside", str(card.library))
    assert host.do("entries", theirs, 1) != ours
    host.do("use", theirs)
    assert host.initialize() == CKR.OK
    assert change_pin(card.host()) == CKR.OK
    host.do("load")
    assert host.initialize() == CKR.CRYPTOKI_ALREADY_INITIALIZED
    assert host.login(card_session(host), UserType.USER, PIN) == CKR.DEVICE_REMOVED
    host.reinitialize()
    assert host.login(card_session(host), UserType.USER, NEW_PIN) == CKR.OK
    assert card.pin_tries == rules.MAX_TRIES


def test_second_copy_of_the_module_neither_accepts_an_old_pin_nor_undoes_a_change(
    card: Card, tmp_path: Path
) -> None:
    host = card.host()
    assert change_pin(card.host()) == CKR.OK
    copy = shutil.copy(module_path(), tmp_path / "copy.so")
    second = host.do("beside", str(copy))
    assert second != host.loaded.out[0]
    host.do("use", second)
    assert host.initialize() == CKR.CRYPTOKI_ALREADY_INITIALIZED
    session = card_session(host)
    assert host.login(session, UserType.USER, PIN) == CKR.DEVICE_REMOVED
    assert host.set_pin(session, PIN, "newpin-2") == CKR.DEVICE_REMOVED
    host.reinitialize()
    assert host.login(card_session(host), UserType.USER, NEW_PIN) == CKR.OK
    # The first copy does not know when the second one initialised the inner module.
    host.do("load")
    host.logout(card_session(host))
    assert host.login(card_session(host), UserType.USER, NEW_PIN) == CKR.DEVICE_REMOVED
    host.reinitialize()
    assert host.login(card_session(host), UserType.USER, NEW_PIN) == CKR.OK
    assert card.pin_tries == rules.MAX_TRIES


@pytest.fixture
def neighbour(card: Card) -> str:
    """The number of a second card in the same store, activated."""
    number = issue(Environment(card.path), USER_CODE).number
    host = card.host()
    session = host.open(slot_of(host, number))
    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    assert host.init_pin(session, PIN) == CKR.OK
    card.stop()
    return number


def slot_of(host: Host, number: str) -> int:
    """Return the slot of one card among several."""
    (slot,) = (slot for slot in host.slots() if host.token(slot).serialNumber == number.encode())
    return slot


def test_change_of_another_card_evicts_nobody(card: Card, neighbour: str) -> None:
    host, other = card.host(), card.host()
    session = host.open(slot_of(host, card.number))
    others_session = other.open(slot_of(other, neighbour))
    assert other.set_pin(others_session, PIN, NEW_PIN) == CKR.OK
    issue(Environment(card.path), USER_CODE)
    assert host.set_pin(session, PIN, "newpin-2") == CKR.OK
    assert other.login(others_session, UserType.USER, NEW_PIN) == CKR.OK
    assert other.logout(others_session) == CKR.OK
    assert other.set_pin(others_session, NEW_PIN, PIN) == CKR.OK
    assert host.login(session, UserType.USER, "newpin-2") == CKR.OK


def test_change_counts_while_a_neighbours_is_cut_off(card: Card, neighbour: str, inner: Inner) -> None:
    bystander, host, killed = card.host(), card.host(), card.host(inner)
    bystanders_session = bystander.open(slot_of(bystander, card.number))
    session = host.open(slot_of(host, card.number))
    die(inner, "C_SetPIN", "after", killed.set_pin, killed.open(slot_of(killed, neighbour)), PIN, NEW_PIN)
    assert host.set_pin(session, PIN, "newpin-2") == CKR.OK
    assert bystander.login(bystanders_session, UserType.USER, PIN) == CKR.DEVICE_REMOVED
    neighbours_session = bystander.open(slot_of(bystander, neighbour))
    assert bystander.login(neighbours_session, UserType.USER, PIN) == CKR.DEVICE_REMOVED

    fresh = card.host()
    assert fresh.login(fresh.open(slot_of(fresh, neighbour)), UserType.USER, NEW_PIN) == CKR.OK
    assert fresh.login(fresh.open(slot_of(fresh, card.number)), UserType.USER, "newpin-2") == CKR.OK
    assert host.login(session, UserType.USER, "newpin-2") == CKR.OK


def test_own_changes_beyond_what_is_kept_ask_to_start_anew(card: Card, neighbour: str) -> None:
    host = card.host()
    session = host.open(slot_of(host, card.number))
    assert host.set_pin(session, PIN, NEW_PIN) == CKR.OK
    neighbours_session = host.open(slot_of(host, neighbour))
    for _ in range(OWN_CHANGES // 2):
        assert host.set_pin(neighbours_session, PIN, NEW_PIN) == CKR.OK
        assert host.set_pin(neighbours_session, NEW_PIN, PIN) == CKR.OK
    assert host.login(session, UserType.USER, NEW_PIN) == CKR.DEVICE_REMOVED
    assert host.login(neighbours_session, UserType.USER, PIN) == CKR.OK
