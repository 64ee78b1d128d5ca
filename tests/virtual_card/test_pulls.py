# SPDX-License-Identifier: Apache-2.0
"""The card is pulled out in the middle of a command: before the card has it, and with its answer lost."""

from collections.abc import Callable

import pytest
from pkcs11 import Attribute, Mechanism, ObjectClass, TokenFlag, UserType

from pkcs11_shim import rules
from support.cli.xcactl import NEW_PIN, PIN
from support.module.cryptoki import CKR
from support.module.host import Host, Room, Ulong, ulong
from support.module.host import Mechanism as HostMechanism
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CODE, CardInReader, reset_pin, try_pin
from support.virtual_card.myeid_card import Instruction

Ask = Callable[[Host], CKR | None]
AFTER = pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])


def _read_card(host: Host) -> CKR | None:
    """Read the whole card, as C_Initialize and the first look at its slots do."""
    host.reinitialize()
    answer = host.call("C_GetSlotList", 1, None, Ulong())
    if answer.rv != CKR.OK or answer.out[0] == 0:
        return CKR.TOKEN_NOT_PRESENT
    (slot, *_) = host.slots()
    return host.call("C_GetTokenInfo", slot, Room(208)).rv


def _change_pin(host: Host) -> CKR | None:
    session = host.open(host.slot(rules.CARD_LABEL))
    return host.set_pin(session, PIN, NEW_PIN)


def _use(host: Host, key: bytes, mechanism: Mechanism, data: bytes, *calls: str) -> CKR | None:
    session = host.open(host.slot(rules.CARD_LABEL))
    answer = host.login(session, UserType.USER, PIN)
    if answer != CKR.OK:
        return answer
    found = host.find(session, (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY)), (Attribute.ID, key))
    begin, work = calls
    answer = host.call(begin, session, HostMechanism(mechanism), found[0]).rv
    return host.call(work, session, data, len(data), Room(256), Ulong(256)).rv if answer == CKR.OK else answer


def _sign(host: Host) -> CKR | None:
    return _use(host, b"SIGN", Mechanism.SHA256_RSA_PKCS, b"text", "C_SignInit", "C_Sign")


def _decrypt(host: Host) -> CKR | None:
    block = b"\1" * 256
    return _use(host, b"KEYX", Mechanism.RSA_X_509, block, "C_DecryptInit", "C_Decrypt")


def _random(host: Host) -> CKR | None:
    return host.call("C_GenerateRandom", host.open(host.slot(rules.CARD_LABEL)), Room(8), 8).rv


def _log_out(host: Host) -> CKR | None:
    session = host.open(host.slot(rules.CARD_LABEL))
    answer = host.login(session, UserType.USER, PIN)
    host.logout(session)
    host.finalize()
    host.initialize()
    return answer


def _reset_pin(host: Host) -> CKR | None:
    return reset_pin(host, CODE, NEW_PIN)


READING = [
    (_read_card, Instruction.SELECT, 1),
    (_read_card, Instruction.GET_DATA, 1),
    (_read_card, Instruction.READ_BINARY, 6),
    (_read_card, Instruction.VERIFY, 1),
]
USING = [
    (_change_pin, Instruction.CHANGE, 1),
    *((_sign, Instruction.VERIFY, count) for count in (1, 2, 3)),
    *(
        (_sign, instruction, 1)
        for instruction in (Instruction.SELECT, Instruction.MANAGE_SECURITY, Instruction.PERFORM_OPERATION)
    ),
    *((_decrypt, Instruction.PERFORM_OPERATION, count) for count in (1, 2)),
    (_random, Instruction.GET_CHALLENGE, 1),
    (_log_out, Instruction.LOG_OUT, 1),
]
RESETTING = [(_reset_pin, Instruction.VERIFY, 1), (_reset_pin, Instruction.RESET_RETRIES, 1)]


def _name(value: Ask | Instruction | int) -> str:
    if callable(value):
        return str(getattr(value, "__name__", "")).strip("_")
    return value.name.lower() if isinstance(value, Instruction) else str(value)


def _check_pull(
    card: CardInReader, ask: Ask, instruction: Instruction, count: int, after_effect: bool
) -> None:
    """Pull the card, and see that its secrets are the old ones or the new ones, and that no try is lost."""
    host = card.host()
    host.slots()
    card.pull_at(instruction, count, after_effect=after_effect)
    answer = ask(host)
    if instruction is Instruction.LOG_OUT and card.reader.has_card:
        pytest.skip("this version of OpenSC sends no such command")
    assert not card.reader.has_card
    assert answer != CKR.OK or ask in {_read_card, _log_out}
    is_new = after_effect and instruction in {Instruction.RESET_RETRIES, Instruction.CHANGE}
    now = NEW_PIN if is_new else PIN
    assert card.card.holds(card_files.PIN, now)
    assert (card.card.tries(card_files.PIN), card.card.tries(card_files.USER_CODE)) == (3, 3)
    card.insert()
    host.reinitialize()
    assert try_pin(host, now) == CKR.OK


@AFTER
@pytest.mark.parametrize(("ask", "instruction", "count"), [*READING, *USING], ids=_name)
def test_card_pulled_at_a_command_is_sound_when_it_is_back(
    real: CardInReader, ask: Ask, instruction: Instruction, count: int, after_effect: bool
) -> None:
    _check_pull(real, ask, instruction, count, after_effect)


@AFTER
@pytest.mark.parametrize(("ask", "instruction", "count"), RESETTING, ids=_name)
def test_card_pulled_at_a_reset_is_sound_when_it_is_back(
    either: CardInReader, ask: Ask, instruction: Instruction, count: int, after_effect: bool
) -> None:
    _check_pull(either, ask, instruction, count, after_effect)


def _place_of_the_try(card: CardInReader) -> int:
    """Return which VERIFY of a login carries the PIN; the others only ask for the tries left."""
    host = card.host()
    session = host.open(host.slot(rules.CARD_LABEL))
    card.card.commands.clear()
    assert host.login(session, UserType.USER, "wrong-1") == CKR.PIN_INCORRECT
    card.card.renew(CODE, PIN)
    return card.card.commands[: card.card.last_try].count(Instruction.VERIFY)


@AFTER
def test_wrong_pin_whose_answer_is_lost_costs_one_try(real: CardInReader, after_effect: bool) -> None:
    count = _place_of_the_try(real)
    host = real.host()
    session = host.open(host.slot(rules.CARD_LABEL))
    real.pull_at(Instruction.VERIFY, count, after_effect=after_effect)
    assert host.login(session, UserType.USER, "wrong-1") != CKR.OK
    assert not real.reader.has_card
    assert real.card.tries(card_files.PIN) == (2 if after_effect else 3)


def test_pin_locked_by_a_try_whose_answer_is_lost_shows_it(real: CardInReader) -> None:
    count = _place_of_the_try(real)
    real.card.set_tries(card_files.PIN, 1)
    host = real.host()
    session = host.open(host.slot(rules.CARD_LABEL))
    real.pull_at(Instruction.VERIFY, count, after_effect=True)
    assert host.login(session, UserType.USER, "wrong-1") != CKR.OK
    real.insert()
    host.reinitialize()
    assert TokenFlag.USER_PIN_LOCKED in host.flags(host.slot(rules.CARD_LABEL))
    assert try_pin(host, PIN) == CKR.PIN_LOCKED
