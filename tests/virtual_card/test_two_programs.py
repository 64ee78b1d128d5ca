# SPDX-License-Identifier: Apache-2.0
"""Two programs with one card at the same time: one counter, and one holder of each secret."""

from pkcs11 import Attribute, Mechanism, ObjectClass, UserType

from pkcs11_shim import rules
from support.cli.xcactl import NEW_PIN, PIN
from support.module.cryptoki import CKR
from support.module.host import OS_LOCKING, Host, Room, Ulong, given, ulong
from support.module.host import Mechanism as HostMechanism
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CODE, CardInReader, reset_pin, try_pin

THREADS = 6


def _signing_session(host: Host) -> tuple[int, int]:
    session = host.open(host.slot(rules.CARD_LABEL))
    assert host.login(session, UserType.USER, PIN) in {CKR.OK, CKR.USER_ALREADY_LOGGED_IN}
    private_key = (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY))
    (key,) = host.find(session, private_key, (Attribute.ID, b"SIGN"))
    return session, key


def test_signatures_of_two_programs_by_turns_are_made(real: CardInReader) -> None:
    hosts = [real.host(), real.host()]
    sessions = [(host, *_signing_session(host)) for host in hosts]
    for _ in range(5):
        for host, session, key in sessions:
            assert host.sign(session, key, b"text") == CKR.OK
    assert real.card.tries(card_files.PIN) == 3


def test_signatures_in_six_threads_are_made(real: CardInReader) -> None:
    host = real.host()
    host.finalize()
    assert host.initialize(OS_LOCKING) == CKR.OK
    sessions = [_signing_session(host) for _ in range(THREADS)]
    how = HostMechanism(Mechanism.SHA256_RSA_PKCS)
    for _ in range(3):
        begun = host.threads(*(("C_SignInit", session, how, key) for session, key in sessions))
        assert {answer.rv for answer in begun} == {CKR.OK}
        made = host.threads(
            *(("C_Sign", session, b"text", 4, Room(256), Ulong(256)) for session, _ in sessions)
        )
        assert {(answer.rv, answer.out[0]) for answer in made} == {(CKR.OK, made[0].out[0])}


def test_wrong_pins_of_two_programs_at_once_are_counted_together(real: CardInReader) -> None:
    hosts = [real.host(), real.host()]
    sessions = [host.open(host.slot(rules.CARD_LABEL)) for host in hosts]
    answers = []
    for guess in ("wrong-1", "wrong-2"):
        for host, session in zip(hosts, sessions, strict=True):
            host.ask_call("C_Login", session, UserType.USER, *given(guess))
        answers += [host.answer().rv for host in hosts]
    assert sorted(answers, key=int) == [CKR.PIN_INCORRECT] * 2 + [CKR.PIN_LOCKED] * 2  # type: ignore[arg-type]
    assert real.card.tries(card_files.PIN) == 0
    assert {try_pin(host, PIN) for host in hosts} == {CKR.PIN_LOCKED}


def test_pin_reset_by_one_program_holds_for_the_other(either: CardInReader) -> None:
    first, second = either.host(), either.host()
    assert try_pin(first, PIN) == CKR.OK
    assert reset_pin(second, CODE, NEW_PIN) == CKR.OK
    assert try_pin(first, PIN) == CKR.PIN_INCORRECT
    assert either.card.tries(card_files.PIN) == 2
    assert try_pin(first, NEW_PIN) == CKR.OK


def test_wrong_pin_of_one_program_during_a_login_of_the_other_costs_one_try(real: CardInReader) -> None:
    first, second = real.host(), real.host()
    session, key = _signing_session(first)
    assert try_pin(second, "wrong-1") == CKR.PIN_INCORRECT
    assert real.card.tries(card_files.PIN) == 2
    # The card has forgotten the login. OpenSC gives it the PIN again, or tells that nobody is logged in.
    assert first.sign(session, key, b"text") in {CKR.OK, CKR.USER_NOT_LOGGED_IN, CKR.SESSION_HANDLE_INVALID}
    assert real.card.holds(card_files.PIN, PIN)
    assert real.card.tries(card_files.PIN) in {2, 3}


def test_two_activations_at_once_set_one_pin(closed: CardInReader) -> None:
    hosts = {PIN: closed.host(), NEW_PIN: closed.host()}
    sessions = {}
    for pin, host in hosts.items():
        sessions[pin] = host.open(host.slot(rules.CARD_LABEL))
        assert host.login(sessions[pin], UserType.SO, CODE) == CKR.OK
    for pin, host in hosts.items():
        host.ask_call("C_InitPIN", sessions[pin], *given(pin))
    answers = {pin: host.answer().rv for pin, host in hosts.items()}
    assert set(answers.values()) == {CKR.OK}
    assert closed.card.holds(card_files.PIN, PIN) != closed.card.holds(card_files.PIN, NEW_PIN)
    assert closed.card.tries(card_files.USER_CODE) == 3
