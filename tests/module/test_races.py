# SPDX-License-Identifier: Apache-2.0
"""Many processes and threads at one card; forks; a reader beside a writer."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pkcs11 import TokenFlag, UserType

from support.module.cards import (
    PIN,
    USER_CODE,
    WRONG,
    Card,
    Gate,
    Inner,
    card_session,
    card_slot,
    signs,
    so_session,
    user_session,
)
from support.module.cryptoki import CKR
from support.module.host import OS_LOCKING, Host, Room, given

pytestmark = pytest.mark.integration  # many processes at once

MANY = 16
GUESSES = [f"guess-{n:02}" for n in range(MANY)]
ALL_PIN_FLAGS = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED
LOCKED_ANSWERS = [CKR.PIN_INCORRECT] * 2 + [CKR.PIN_LOCKED] * (MANY - 2)


def all_log_in(hosts: list[Host], sessions: list[int], pins: list[str]) -> list[CKR | None]:
    for host, session, pin in zip(hosts, sessions, pins, strict=True):
        host.ask_call("C_Login", session, UserType.USER, *given(pin))
    return [host.answer().rv for host in hosts]


def test_logins_of_many_processes_with_the_right_pin_all_succeed(card: Card) -> None:
    hosts = [card.host() for _ in range(MANY)]
    sessions = [card_session(host) for host in hosts]
    for _ in range(3):
        assert all_log_in(hosts, sessions, [PIN] * MANY) == [CKR.OK] * MANY
        for host, session in zip(hosts, sessions, strict=True):
            host.ask_call("C_Logout", session)
        assert [host.answer().rv for host in hosts] == [CKR.OK] * MANY
    assert card.pin_tries == 3


def test_starts_and_logins_of_many_processes_at_once_all_succeed(card: Card) -> None:
    hosts = [card.host(initialize=False) for _ in range(MANY)]
    for host in hosts:
        host.ask_call("C_Initialize", None)
    assert [host.answer().rv for host in hosts] == [CKR.OK] * MANY
    assert all_log_in(hosts, [card_session(host) for host in hosts], [PIN] * MANY) == [CKR.OK] * MANY


def test_guesses_of_many_processes_are_three_in_all(card: Card, inner: Inner) -> None:
    hosts = [card.host(inner) for _ in range(MANY)]
    sessions = [card_session(host) for host in hosts]
    answers = all_log_in(hosts, sessions, GUESSES)
    assert sorted(answer or 0 for answer in answers) == LOCKED_ANSWERS
    assert inner.count("C_Login") == 3
    assert all_log_in(hosts, sessions, [PIN] * MANY) == [CKR.PIN_LOCKED] * MANY
    assert inner.count("C_Login") == 3


def test_guesses_at_different_doors_share_the_tries(card: Card, inner: Inner) -> None:
    hosts = [card.host(inner) for _ in range(MANY)]
    sessions = [card_session(host) for host in hosts]
    for n, (host, session, guess) in enumerate(zip(hosts, sessions, GUESSES, strict=True)):
        if n % 2:
            host.ask_call("C_Login", session, UserType.USER, *given(guess))
        else:
            host.ask_call("C_SetPIN", session, *given(guess), *given("newpin-1"))
    assert sorted(host.answer().rv or 0 for host in hosts) == LOCKED_ANSWERS
    assert inner.count("C_Login", "C_SetPIN") == 3


def threads_host(card: Card, inner: Inner | None = None) -> tuple[Host, list[int]]:
    host = card.host(inner, initialize=False)
    assert host.initialize(OS_LOCKING) == CKR.OK
    slot = card_slot(host)
    return host, [host.open(slot) for _ in range(MANY)]


def test_guesses_of_many_threads_are_three_in_all(card: Card, inner: Inner) -> None:
    host, sessions = threads_host(card, inner)
    answers = host.threads(
        *(
            ("C_Login", session, UserType.USER, *given(guess))
            for session, guess in zip(sessions, GUESSES, strict=True)
        )
    )
    assert sorted(answer.rv or 0 for answer in answers) == LOCKED_ANSWERS
    assert inner.count("C_Login") == 3


def test_logins_of_many_threads_with_the_right_pin_all_succeed(card: Card) -> None:
    host, sessions = threads_host(card)
    answers = host.threads(*(("C_Login", session, UserType.USER, *given(PIN)) for session in sessions))
    assert sorted(answer.rv or 0 for answer in answers) == [CKR.OK] + [CKR.USER_ALREADY_LOGGED_IN] * (
        MANY - 1
    )
    assert card.pin_tries == 3
    assert signs(host, sessions[0])


def test_try_that_is_still_open_is_never_shown_as_locked(card: Card, inner: Inner, gate: Gate) -> None:
    card.set_tries(pin=1)
    writer, reader = card.host(inner), card.host()
    session, slot = card_session(writer), card_slot(reader)
    inner.does(f"C_Login wait {gate.path}")
    writer.ask_call("C_Login", session, UserType.USER, *given(PIN))
    waiting = gate.arrived()
    # The row says 0 now. The reader may wait and give up, but must not call the card locked.
    seen = reader.call("C_GetTokenInfo", slot, Room(208))
    os.close(waiting)
    assert seen.rv == CKR.DEVICE_ERROR
    assert writer.answer().rv == CKR.OK
    assert not reader.flags(slot) & (TokenFlag.USER_PIN_LOCKED | TokenFlag.USER_PIN_COUNT_LOW)


def test_reader_that_has_just_shown_the_card_shows_no_try_that_is_still_open(
    card: Card, inner: Inner, gate: Gate
) -> None:
    card.set_tries(pin=1)
    writer, reader = card.host(inner), card.host()
    session, slot = card_session(writer), card_slot(reader)
    time.sleep(0.1)  # what was written longer ago than a clock's step is remembered
    assert reader.flags(slot) & TokenFlag.USER_PIN_FINAL_TRY
    inner.does(f"C_Login wait {gate.path}")
    writer.ask_call("C_Login", session, UserType.USER, *given(WRONG[0]))
    waiting = gate.arrived()
    seen = [
        reader.call("C_GetTokenInfo", slot, Room(208)).rv,
        reader.call("C_GetSlotInfo", slot, Room(104)).rv,
    ]
    os.close(waiting)
    assert seen == [CKR.DEVICE_ERROR] * 2
    assert writer.answer().rv == CKR.PIN_LOCKED
    assert reader.flags(slot) & TokenFlag.USER_PIN_LOCKED


def test_reader_that_has_just_shown_the_card_shows_it_again_without_the_lock(card: Card) -> None:
    reader = card.host()
    slot = card_slot(reader)
    time.sleep(0.1)
    flags = reader.flags(slot)
    with card.store.lock(exclusive=True):
        assert reader.flags(slot) == flags


def test_reader_sees_every_change_at_once(card: Card) -> None:
    writer, reader = card.host(), card.host()
    session, slot = card_session(writer), card_slot(reader)
    for _ in range(5):
        for wrong, flags in (
            (WRONG[0], TokenFlag.USER_PIN_COUNT_LOW),
            (WRONG[1], TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY),
        ):
            assert writer.login(session, UserType.USER, wrong) == CKR.PIN_INCORRECT
            assert reader.flags(slot) & ALL_PIN_FLAGS == flags
        assert writer.login(session, UserType.USER, PIN) == CKR.OK
        assert not reader.flags(slot) & ALL_PIN_FLAGS
        writer.logout(session)


def test_login_gets_its_turn_among_many_readers(card: Card) -> None:
    readers = [card.host() for _ in range(4)]
    slot = card_slot(readers[0])
    writer = card.host()
    session = card_session(writer)
    for reader in readers:
        reader.ask("repeat", 3000, "C_GetTokenInfo", [slot, {"room": 208}])
    answers = []
    for _ in range(5):
        answers += [writer.login(session, UserType.USER, PIN), writer.logout(session)]
    assert answers == [CKR.OK, CKR.OK] * 5
    for reader in readers:
        # A call that only shows the card waits for a quarter of a second.
        assert reader.answer().rv in (CKR.OK, CKR.DEVICE_ERROR)


def test_forked_child_uses_the_card(card: Card) -> None:
    host = card.host()
    session = user_session(host)
    child = host.fork(
        ("C_Logout", session),
        ("C_Login", session, UserType.USER, *given(WRONG[0])),
        ("C_Login", session, UserType.USER, *given(PIN)),
        ("C_GetTokenInfo", card_slot(host), Room(208)),
    )
    assert [answer.rv for answer in child] == [CKR.OK, CKR.PIN_INCORRECT, CKR.OK, CKR.OK]
    assert signs(host, session)
    assert host.logout(session) == CKR.OK
    assert host.login(session, UserType.USER, PIN) == CKR.OK


def test_forked_child_pays_for_its_guesses(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    session = card_session(host)
    child = host.fork(*(("C_Login", session, UserType.USER, *given(guess)) for guess in GUESSES[:4]))
    assert [answer.rv for answer in child] == [CKR.PIN_INCORRECT] * 2 + [CKR.PIN_LOCKED] * 2
    assert host.login(session, UserType.USER, PIN) == CKR.PIN_LOCKED
    assert inner.count("C_Login") == 3


def login_at_the_gate(host: Host, inner: Inner, gate: Gate) -> int:
    """Let a thread of the host stop inside the inner module's C_Login; closing the result lets it go on."""
    session = card_session(host)
    inner.does(f"C_Login wait {gate.path}")
    host.start("C_Login", session, UserType.USER, *given(PIN))
    waiting = gate.arrived()
    inner.does()
    return waiting


def test_process_that_becomes_another_program_in_the_middle_leaves_no_lock(
    card: Card, inner: Inner, gate: Gate
) -> None:
    host = card.host(inner)
    waiting = login_at_the_gate(host, inner, gate)
    host.do("exec")
    os.close(waiting)
    assert card.pin_tries == 2
    assert host.do("load")["rv"] == CKR.OK
    assert host.initialize() == CKR.OK
    assert host.login(card_session(host), UserType.USER, PIN) == CKR.OK
    assert card.pin_tries == 3


def test_fork_waits_for_the_login_of_another_thread(card: Card, inner: Inner, gate: Gate) -> None:
    host = card.host(inner)
    slot = card_slot(host)
    waiting = login_at_the_gate(host, inner, gate)
    host.ask("fork", [["C_GetTokenInfo", [slot, {"room": 208}]]])
    os.close(waiting)
    (seen,) = host.result()
    assert seen["rv"] == CKR.OK
    assert card.pin_tries == 3


# The state that a call was decided on stays until the call has ended


@contextmanager
def waits_for_the_store(card: Card, inner: Inner, host: Host, *call: Any) -> Iterator[None]:
    """Let a thread of the host wait for the store's lock, after it has looked at its session."""
    with card.store.lock(exclusive=True):
        seen = inner.count("C_GetSessionInfo")
        host.start(*call)
        while inner.count("C_GetSessionInfo") == seen:
            time.sleep(0.001)
        yield


def test_user_code_that_waits_while_the_so_logs_out_is_charged_as_what_it_is_tried_as(
    card: Card, inner: Inner
) -> None:
    host = card.host(inner)
    session = so_session(host)
    with waits_for_the_store(card, inner, host, "C_SetPIN", session, *given(WRONG[0]), *given("newpin-1")):
        assert host.logout(session) == CKR.OK
    assert host.finish().rv == CKR.PIN_INCORRECT
    # In a public session SoftHSM compared it with the PIN.
    assert (card.pin_tries, card.user_code_tries) == (2, 3)


def test_pin_that_waits_while_the_so_logs_in_is_charged_as_what_it_is_tried_as(
    card: Card, inner: Inner
) -> None:
    host = card.host(inner)
    session = card_session(host)
    other = host.open(card_slot(host))
    inner_login = inner.count("C_Login")
    with card.store.lock(exclusive=True):
        host.start("C_Login", other, UserType.SO, *given(USER_CODE))
        host.start("C_SetPIN", session, *given(USER_CODE), *given("Longer-10c"))
    answers = {host.finish().rv, host.finish().rv}
    assert inner.count("C_Login") == inner_login + 1
    # Whichever was first: as the user code it may have ten characters, as the PIN it is too long to be asked.
    assert answers in ({CKR.OK}, {CKR.OK, CKR.PIN_LEN_RANGE})
    assert card.pin_tries == 3


@pytest.mark.parametrize("closer", ["C_Logout", "C_CloseSession", "C_CloseAllSessions", "C_Finalize"])
def test_closer_waits_for_the_decision_but_not_for_the_store(
    card: Card, inner: Inner, gate: Gate, closer: str
) -> None:
    host = card.host(inner, initialize=False)
    assert host.initialize(OS_LOCKING) == CKR.OK
    slot, session = card_slot(host), card_session(host)
    argument = {"C_Finalize": None, "C_CloseAllSessions": slot}.get(closer, session)
    with waits_for_the_store(card, inner, host, "C_Login", session, UserType.USER, *given(PIN)):
        host.start(closer, argument)
        assert host.finish().rv in (CKR.OK, CKR.USER_NOT_LOGGED_IN)
        if closer == "C_Finalize":
            assert inner.count("C_Login") == 0
    host.finish()
